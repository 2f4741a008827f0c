"""Recorded motion from BVH files of the common skeletons, whatever their units, axes and resting arms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.bvh_file import BvhFile, load_bvh
from threedimo_training.motion.bvh_names import ALLOWED, REQUIRED, joints_of_bones
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.recordings import on_floor, resample, standing_feet
from threedimo_training.motion.rotations import interpolate, shortest_turns
from threedimo_training.motion.skeleton import FINGERS, JOINT, JOINT_NAMES, NUM_JOINTS, PARENTS, SIDES
from threedimo_training.motion.standard_body import BALL_HEIGHT_M, HIP_HEIGHT_M, REST_JOINTS

# Soles below an ankle and below a ball of the foot, hip heights.
_ANKLE_HEIGHT, _BALL_HEIGHT = 0.082, BALL_HEIGHT_M / HIP_HEIGHT_M
_MOST_STRETCH = 0.03
# A resting limb further than this from arms sideways and legs down is no pose of a person.
_MOST_TURN_DEG = 80.0
# Joint, and the one that its bone points to.
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))


def read_bvh(path: str | Path, fps: float | None = None) -> Motion:
    """A recorded motion from a BVH file. Joints that the file lacks stay as at rest.

    Up and left are taken from the resting skeleton, lengths from its hip height, so that Y-up and Z-up files
    in any unit fit. Where arms or legs rest in another direction than stretched sideways and down, their
    bones are aligned. Bones that are known but have no counterpart (ends, twist bones, a second neck) count
    with the bones below them.

    Args:
        path: The file.
        fps: Frame rate to resample to; None keeps the file's.

    Raises:
        InvalidMotion: The file is missing, damaged or cut off, has bones that nobody knows or lacks some,
            rests in no pose of a person, or its bones change their length.
    """
    file = load_bvh(Path(path))
    joints, spine = _known_bones(file)
    rest = file.rest_places()
    axes = _axes(file, joints, rest)
    rest = rest @ axes.T
    hip_height = _hip_height(file, joints, rest)
    _refuse_stretching(file, joints["pelvis"], hip_height)
    turned, places = file.in_world()
    turned = axes @ turned @ axes.T
    places = places @ axes.T / hip_height
    world = _joint_orientations(file, joints, spine, turned, rest)
    local = world.copy()
    parents = list(PARENTS[1:])
    local[:, 1:] = np.swapaxes(world[:, parents], -1, -2) @ world[:, 1:]
    planted = standing_feet(_balls(joints, places), file.fps)
    root_path = on_floor(places[:, joints["pelvis"]], local)
    motion = Motion(f"bvh:{file.path.stem}:0", file.fps, local, root_path, planted)
    return motion if fps is None else resample(motion, fps)


def _known_bones(file: BvhFile) -> tuple[dict[str, int], list[int]]:
    joints, spine, unknown = joints_of_bones([bone.name for bone in file.bones])
    if unknown:
        raise InvalidMotion(
            f"{file.path.name} has bones that nobody knows",
            given=", ".join(unknown),
            allowed=ALLOWED,
            remedy="rename or remove them in the program that exported the file",
        )
    missing = [name for name in REQUIRED if name not in joints] + ([] if spine else ["spine"])
    if missing:
        raise InvalidMotion(
            f"{file.path.name} lacks bones of a person",
            given=", ".join(bone.name for bone in file.bones),
            allowed=ALLOWED,
            remedy=f"export the whole skeleton; not found: {', '.join(missing)}",
        )
    return joints, spine


def _axes(file: BvhFile, joints: dict[str, int], rest: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from the file's axes to ours, by whole quarter turns."""
    up = _nearest_axis(rest[joints["neck"]] - rest[joints["pelvis"]])
    left = rest[joints["left_hip"]] - rest[joints["right_hip"]]
    left = _nearest_axis(left - (left @ up) * up)
    if not (up.any() and left.any()):
        raise _no_person(file, "its hips or its spine have no length")
    return np.stack([left, -np.cross(left, up), up])


def _nearest_axis(direction: np.ndarray) -> np.ndarray:
    axis = np.zeros(3)
    largest = int(np.abs(direction).argmax())
    axis[largest] = np.sign(direction[largest])
    return axis


def _no_person(file: BvhFile, given: str) -> InvalidMotion:
    return InvalidMotion(
        f"{file.path.name} rests in no pose of a person",
        given=given,
        allowed="arms sideways or hanging, legs down, when all rotations are zero",
        remedy="export with a T pose as the rest pose",
    )


def _hip_height(file: BvhFile, joints: dict[str, int], rest: np.ndarray) -> float:
    """Pelvis above the soles at rest, in the file's unit."""
    pelvis = rest[joints["pelvis"], 2]
    ankle = min(rest[joints[f"{side}_ankle"], 2] for side in SIDES)
    if pelvis - ankle <= 0:
        raise _no_person(file, "its feet are above its hips")
    height = (pelvis - ankle) / (1 - _ANKLE_HEIGHT)
    if all(f"{side}_foot" in joints for side in SIDES):
        ball = min(rest[joints[f"{side}_foot"], 2] for side in SIDES)
        height = max(height, (pelvis - ball) / (1 - _BALL_HEIGHT))
    return float(height)


def _refuse_stretching(file: BvhFile, pelvis: int, hip_height: float) -> None:
    offsets = np.array([bone.offset for bone in file.bones])
    moved = np.abs(file.translations - offsets).max(axis=(0, 2))
    above = {pelvis}
    while file.bones[pelvis].parent >= 0:
        pelvis = file.bones[pelvis].parent
        above.add(pelvis)
    for index in np.flatnonzero(moved > _MOST_STRETCH * hip_height):
        if int(index) not in above:
            raise InvalidMotion(
                f"{file.path.name}: bones change their length",
                given=f"{file.bones[index].name} moves by {moved[index]:.3g} from its offset",
                allowed="positions that move for the hips only",
                remedy="export rotations for all bones but the hips",
            )


def _joint_orientations(
    file: BvhFile, joints: dict[str, int], spine: list[int], turned: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """(F, 54, 3, 3) orientations of our joints in the world."""
    align = _alignments(file, joints, rest)
    world = np.empty((len(turned), NUM_JOINTS, 3, 3))
    world[:, 0] = turned[:, joints["pelvis"]]
    for joint, name in enumerate(JOINT_NAMES[1:], start=1):
        if name in joints:
            world[:, joint] = turned[:, joints[name]] @ align[name]
        elif name.startswith("spine"):
            world[:, joint] = _spine(world[:, 0], turned, spine, int(name[-1]))
        else:
            world[:, joint] = world[:, PARENTS[joint]]
    return world


def _spine(pelvis: np.ndarray, turned: np.ndarray, spine: list[int], number: int) -> np.ndarray:
    """Orientation of one of our three spine joints from the file's one, two or more."""
    if len(spine) >= 3:
        chosen = (spine[0], spine[len(spine) // 2], spine[-1])
        return turned[:, chosen[number - 1]]
    stops = [pelvis, *(turned[:, bone] for bone in spine)]
    place = number / 3 * len(spine)
    below = min(int(place), len(spine) - 1)
    return interpolate(stops[below], stops[below + 1], np.full(len(pelvis), place - below))


def _alignments(file: BvhFile, joints: dict[str, int], rest: np.ndarray) -> dict[str, np.ndarray]:
    """For every joint found, the turn from our resting bone to the file's."""
    align = {name: np.eye(3) for name in joints}
    for side in SIDES:
        chains = [(f"{side}_{name}", f"{side}_{end}") for name, end in _LIMBS]
        hand = [
            (f"{side}_{finger}{number}", f"{side}_{finger}{number + 1}")
            for finger in FINGERS
            for number in (1, 2)
        ]
        for name, end in chains + hand:
            if name not in joints or end not in joints:
                continue
            theirs = rest[joints[end]] - rest[joints[name]]
            ours = REST_JOINTS[JOINT[end]] - REST_JOINTS[JOINT[name]]
            if not theirs.any():
                raise _no_person(file, f"{file.bones[joints[name]].name} has no length")
            cosine = theirs @ ours / np.linalg.norm(theirs) / np.linalg.norm(ours)
            angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            limit = _MOST_TURN_DEG if "shoulder" not in name else 100.0
            if angle > limit and (name, end) in chains:
                raise _no_person(file, f"{file.bones[joints[name]].name} is {angle:.0f} degrees away")
            align[name] = shortest_turns(ours, theirs)
        forearm = align.get(f"{side}_elbow", np.eye(3))
        if f"{side}_wrist" in joints:
            align[f"{side}_wrist"] = forearm
        for finger in FINGERS:
            last, before = f"{side}_{finger}3", f"{side}_{finger}2"
            if last in joints:
                align[last] = align.get(before, forearm)
    return align


def _balls(joints: dict[str, int], places: np.ndarray) -> np.ndarray:
    """(F, 2, 3) places of the balls of the feet, or of the ankles where the file has no toes."""
    bones = [joints.get(f"{side}_foot", joints[f"{side}_ankle"]) for side in SIDES]
    return places[:, bones]
