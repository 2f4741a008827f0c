"""Parts of a body that clothes tell apart, the course of `along` in each, and what touches the floor.

`along` runs from end to end of each: torso upwards; neck likewise, lower in front, as collars are; arms and
legs from the body outwards; hands to the fingertips; feet from the sole up to the ankle; eyes from the centre
outwards; on the head it is 0 on the face, 0.5 on the usual hairline, and 1 on the crown.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, JOINT_NAMES

REGIONS = (
    *("head", "neck", "torso", "left_arm", "right_arm", "left_hand", "right_hand"),
    *("left_leg", "right_leg", "left_foot", "right_foot", "eyes", "brows"),
)
REGION = {name: index for index, name in enumerate(REGIONS)}
_JOINT_REGIONS = {
    "head": ("head",),
    "neck": ("neck",),
    "torso": ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"),
    "arm": ("shoulder", "elbow"),
    "leg": ("hip", "knee"),
    "foot": ("ankle", "foot"),
}
_NUM_CONTACTS = 110
_SOLE_M = 0.012
_EYE_RADIUS_M = 0.016
# How far neck and arms reach into the torso, and how far below the shoulder.
_NECK_REACH_M, _ARM_REACH_M, _ARMPIT_M = 0.055, 0.045, 0.15
_COLLAR_TILT = 0.45


def joint_region(joint: str) -> int:
    """The region that a joint of `motion.skeleton` moves."""
    side, _, limb = joint.partition("_")
    for region, joints in _JOINT_REGIONS.items():
        if joint in joints:
            return REGION[region]
        if limb in joints:
            return REGION[f"{side}_{region}"]
    return REGION[f"{side}_hand"]


def face_regions(
    points: np.ndarray, faces: np.ndarray, bones: np.ndarray, weights: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """(T,) region of every face: that of the joints that move its corners most, with room for seams.

    Neck and arms reach a little into the torso and arms to the wrists, so that necklines, arm holes and
    cuffs are cut by `along` inside one region, in smooth lines.

    Args:
        points: (N, 3) metres, of an adult at rest.
        faces: (T, 3) of points.
        bones: (N, 4) joints.
        weights: (N, 4) their shares.
        joints: (54, 3) rest joints.
    """
    shares = np.zeros((len(bones), len(REGIONS)))
    region_of = np.array([joint_region(name) for name in JOINT_NAMES])
    for slot in range(bones.shape[1]):
        np.add.at(shares, (np.arange(len(bones)), region_of[bones[:, slot]]), weights[:, slot])
    regions = shares[faces].sum(axis=1).argmax(axis=1)
    centres = points[faces].mean(axis=1)
    out = np.abs(centres[:, 0])
    shoulder, wrist = joints[JOINT["left_shoulder"]], joints[JOINT["left_wrist"]]
    collar = _collar_height(centres, joints) > _collar_height(joints[JOINT["neck"]], joints) - _NECK_REACH_M
    regions[(regions == REGION["torso"]) & collar & (out < 0.62 * shoulder[0])] = REGION["neck"]
    for side, name in ((1, "left"), (-1, "right")):
        here = side * centres[:, 0] > 0
        arm, hand = REGION[f"{name}_arm"], REGION[f"{name}_hand"]
        regions[here & (regions == arm) & (out < shoulder[0] - _ARM_REACH_M)] = REGION["torso"]
        above = (out > shoulder[0] - _ARM_REACH_M) & (centres[:, 2] > shoulder[2] - _ARMPIT_M)
        regions[here & (regions == REGION["torso"]) & above] = arm
        regions[here & (regions == hand) & (out < wrist[0] + 0.006)] = arm
        regions[here & (regions == arm) & (out > wrist[0] + 0.006)] = hand
        low = centres[:, 2] < joints[JOINT[f"{name}_ankle"], 2] + 0.004
        leg, foot = REGION[f"{name}_leg"], REGION[f"{name}_foot"]
        regions[here & np.isin(regions, [leg, foot])] = np.where(low, foot, leg)[
            here & np.isin(regions, [leg, foot])
        ]
    return regions


def _collar_height(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    return points[..., 2] - _COLLAR_TILT * (points[..., 1] - joints[JOINT["neck"], 1])


def split_at_seams(faces: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give every region vertices of its own: surface point (V,), region (V,) and faces (T, 3) of vertices."""
    keys = faces * len(REGIONS) + regions[:, None]
    unique, renumbered = np.unique(keys, return_inverse=True)
    return unique // len(REGIONS), unique % len(REGIONS), renumbered.reshape(faces.shape)


def along_regions(
    points: np.ndarray, regions: np.ndarray, joints: np.ndarray, ears: np.ndarray
) -> np.ndarray:
    """(V,) float32: `along` of every vertex.

    Args:
        points: (V, 3) metres, of an adult at rest.
        regions: (V,).
        joints: (54, 3) rest joints.
        ears: (V,) 0 to 1, where no hair grows.
    """
    x, z = np.abs(points[:, 0]), points[:, 2]
    along = np.where(regions == REGION["head"], _hairness(points, joints[JOINT["head"]], ears), 0.0)
    collar = _collar_height(points, joints)
    courses = {"neck": collar, "torso": z, "left_arm": x, "left_hand": x, "left_leg": -z, "left_foot": z}
    for name, value in courses.items():
        for region in {name, name.replace("left", "right")}:
            inside = regions == REGION[region]
            low, high = value[inside].min(), value[inside].max()
            along[inside] = (value[inside] - low) / (high - low)
    eyes = regions == REGION["eyes"]
    if eyes.any():
        centre = points[eyes & (points[:, 0] > 0)].mean(axis=0)
        along[eyes] = (np.hypot(x - centre[0], z - centre[2]) / _EYE_RADIUS_M)[eyes]
    return np.clip(along, 0, 1).astype(np.float32)


def _hairness(points: np.ndarray, head: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Rises through 0.5 on the hairline, by 0.1 for every 12 mm.

    The hairline runs in a tilted plane from the forehead to the temples and before the ears, and from below
    the ears to the nape.
    """
    size = (points[:, 2].max() - head[2]) / 0.15
    y, z = (points[:, 1] - head[1]) / size, (points[:, 2] - head[2]) / size
    forehead = 0.76 * (y + 0.072) + 0.65 * (z - 0.104)
    nape = z - 0.012 + 0.9 * np.maximum(y - 0.05, 0)
    return np.clip(0.5 + np.minimum(forehead, nape) / 0.12, 0, 1) * (1 - ears)


def floor_contacts(points: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points that can touch the floor (C,), and heel and ball (2, 2) of the left and the right foot.

    Points are spread over the whole body as far from each other as possible, soles more densely.

    Args:
        points: (N, 3) metres at rest, soles at z = 0, symmetric or nearly so.
        joints: (54, 3) rest joints.
    """
    ankle, ball = joints[JOINT["left_ankle"]], joints[JOINT["left_foot"]]
    low = np.flatnonzero((points[:, 2] < _SOLE_M) & (points[:, 0] > 0))
    heel = low[np.argmax(points[low, 1] - 0.5 * np.abs(points[low, 0] - ankle[0]))]
    tread = low[np.argmin(np.linalg.norm(points[low, :2] - ball[:2], axis=1))]
    chosen = [int(heel), int(tread)]
    density = np.where(points[:, 2] < _SOLE_M, 2.5, 1.0) * (points[:, 0] >= 0)
    distance = np.linalg.norm(points - points[heel], axis=1)
    while len(chosen) < _NUM_CONTACTS // 2:
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int((distance * density).argmax()))
    images = [int(np.linalg.norm(points - points[index] * [-1, 1, 1], axis=1).argmin()) for index in chosen]
    return np.unique(chosen + images), np.array([[heel, tread], images[:2]])
