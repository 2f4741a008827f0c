"""Parts of a body that clothes tell apart, the course of `along` in each, and what touches the floor.

`along` runs from end to end of each: neck and torso upwards; arms and legs from the body outwards; hands to
the fingertips; feet from the sole up to the ankle; eyes from the pupil's centre outwards; on the head it is 0
on the face, 0.5 on the usual hairline, and 1 on the crown.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, JOINT_NAMES

REGIONS = (
    *("head", "neck", "torso", "left_arm", "right_arm", "left_hand", "right_hand"),
    *("left_leg", "right_leg", "left_foot", "right_foot", "eyes"),
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


def joint_region(joint: str) -> int:
    """The region that a joint of `motion.skeleton` moves."""
    side, _, limb = joint.partition("_")
    for region, joints in _JOINT_REGIONS.items():
        if joint in joints:
            return REGION[region]
        if limb in joints:
            return REGION[f"{side}_{region}"]
    return REGION[f"{side}_hand"]


def face_regions(faces: np.ndarray, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) region of every face (T, 3): that of the joints (N, 4) that move its corners most."""
    shares = np.zeros((len(bones), len(REGIONS)))
    region_of = np.array([joint_region(name) for name in JOINT_NAMES])
    for slot in range(bones.shape[1]):
        np.add.at(shares, (np.arange(len(bones)), region_of[bones[:, slot]]), weights[:, slot])
    return shares[faces].sum(axis=1).argmax(axis=1)


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
    courses = {"neck": z, "torso": z, "left_arm": x, "left_hand": x, "left_leg": -z, "left_foot": z}
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
    """Rises through 0.5 on the hairline.

    Angles are measured about the axis through both ears, from the front over the crown to the nape; the
    hairline lies at 52 degrees on the forehead, at 88 at the temples, and at 206 in the nape.
    """
    top = points[:, 2].max()
    centre_y, centre_z = head[1] + 0.012, head[2] + 0.42 * (top - head[2])
    angle = np.degrees(np.arctan2(points[:, 2] - centre_z, centre_y - points[:, 1])) % 360
    angle[angle > 300] -= 360
    sideways = np.clip(np.abs(points[:, 0]) / 0.075, 0, 1) ** 2
    inside = np.minimum(angle - (52 + 36 * sideways), 206 - angle)
    return np.clip(0.5 + inside / 120, 0, 1) * (1 - np.clip(3 * ears, 0, 1))


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
