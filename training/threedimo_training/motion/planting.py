"""Standing any person on the floor: feet that stand still do, and nothing sinks in.

A motion's rotations fit its performer only nearly: with other proportions two standing feet would drift apart
by centimetres. So the pelvis is moved to hold what stands, and each leg bends and turns a little until its
ball of the foot is exactly where it stood. The pose that is returned is the corrected one: labels of a
picture are computed from it (`smpl_labels.smpl_pose(posed)`), never from the motion.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.legs import longest_reach, reach_ankle
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.skeleton import JOINT, SIDES, Posed, forward_kinematics
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS, lowest_m
from threedimo_training.people.person import Person

# Below this clearance a body counts as resting on the floor.
_RESTING_M = 0.03
_REACH = 0.9995
# A foot that touches down or leaves shares in the pelvis's correction over this time.
_HANDOVER_S = 0.12
_BALL = 1  # column of `Person.sole_vertices`
_LEG = ("hip", "knee", "ankle", "foot")


def place(motion: Motion, person: Person) -> Posed:
    """Poses a person on the floor z = 0.

    Planted feet stay where they are, on the floor; the person's lowest point is at z = 0, except as far as
    the motion is in the air (a jump, the flight of a run).

    Args:
        motion: What to do.
        person: Who does it, at rest with the soles at z = 0.
    """
    hip_height = float(person.rest_joints[0, 2])
    root = motion.root_path * hip_height
    posed = forward_kinematics(person.rest_joints, motion.joint_rotations, root)
    standard = forward_kinematics(REST_JOINTS, motion.joint_rotations, motion.root_path * HIP_HEIGHT_M)
    clearance = _in_air(lowest_m(standard)) * hip_height / HIP_HEIGHT_M
    heights = person.skinned(posed, person.contact_vertices)[..., 2]
    balls = _balls(person, posed)
    shift = np.empty_like(root)
    shift[:, :2] = _hold_standing(balls, motion.planted, motion.fps)
    shift[:, 2] = clearance - heights.min(axis=1)
    soles = _soles(person, posed) + shift[:, 2:]
    corrections = _corrections(balls[..., :2] + shift[:, None, :2], soles, motion.planted)
    return _bend_legs(
        person, Posed(posed.rotations, posed.positions + shift[:, None]), corrections, motion.planted
    )


def _in_air(lowest: np.ndarray) -> np.ndarray:
    """Clearance (F,) in metres above the floor: 0 while resting, then growing to the full height."""
    above = np.maximum(lowest - _RESTING_M, 0.0)
    return np.minimum(2 * above, np.maximum(lowest, 0.0))


def _balls(person: Person, posed: Posed) -> np.ndarray:
    """(F, 2, 3) the soles under the balls of the feet."""
    return person.skinned(posed, person.sole_vertices[:, _BALL]).astype(np.float64)


def _soles(person: Person, posed: Posed) -> np.ndarray:
    """(F, 2) height of the lowest point of each foot, metres."""
    contact = person.contact_vertices
    strongest = person.bones[contact, person.weights[contact].argmax(axis=1)]
    feet = [[JOINT[f"{side}_ankle"], JOINT[f"{side}_foot"]] for side in SIDES]
    vertices = [
        np.concatenate([contact[np.isin(strongest, joints)], person.sole_vertices[side]])
        for side, joints in enumerate(feet)
    ]
    return np.stack([person.skinned(posed, mine)[..., 2].min(axis=1) for mine in vertices], axis=1)


def _hold_standing(balls: np.ndarray, planted: np.ndarray, fps: float) -> np.ndarray:
    """(F, 2) shift of the pelvis, 0 at first, that keeps planted feet from sliding as well as it can."""
    both = planted[1:] & planted[:-1]
    weights = np.stack([_inside(both[:, side], fps) for side in range(2)], axis=1)
    steps = np.diff(balls[..., :2], axis=0)
    total = weights.sum(axis=1, keepdims=True)
    slide = (weights[..., None] * steps).sum(axis=1) / np.where(total > 0, total, 1.0)
    shift = np.zeros((len(balls), 2))
    shift[1:] = -np.cumsum(slide, axis=0)
    return shift


def _inside(flags: np.ndarray, fps: float) -> np.ndarray:
    """How far (up to 1) each set flag lies inside its run of set flags, over the time of a handover."""
    depth = np.zeros(len(flags))
    for start, stop in runs(flags):
        index = np.arange(stop - start)
        depth[start:stop] = np.minimum(index, index[::-1]) + 1
    return np.minimum(depth / (_HANDOVER_S * fps + 1), 1.0)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Stretches [start, stop) in which the flags (F,) are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _corrections(balls: np.ndarray, soles: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """(F, 2, 3) by which each foot has to move: to its place while planted, eased in between, never under.

    Args:
        balls: (F, 2, 2) places of the balls of the feet.
        soles: (F, 2) height of each foot's lowest point.
        planted: (F, 2) bool.
    """
    result = np.zeros((*planted.shape, 3))
    frames = np.arange(len(planted))
    for side in range(2):
        for start, stop in runs(planted[:, side]):
            here = balls[start:stop, side]
            result[start:stop, side, :2] = here.mean(axis=0) - here
            result[start:stop, side, 2] = -soles[start:stop, side]
        known = planted[:, side]
        if known.any():
            for axis in range(3):
                result[:, side, axis] = np.interp(frames, frames[known], result[known, side, axis])
    result[..., 2] = np.maximum(result[..., 2], -soles)
    return result


def _bend_legs(person: Person, posed: Posed, corrections: np.ndarray, planted: np.ndarray) -> Posed:
    """Moves ankles by the corrections; the pelvis comes down where a standing leg would be too short."""
    joints, rotations, positions = person.rest_joints, posed.rotations.copy(), posed.positions.copy()
    legs = [[JOINT[f"{side}_{name}"] for name in _LEG] for side in SIDES]
    ankles = np.stack([positions[:, leg[2]] for leg in legs], axis=1) + corrections
    bones = [(joints[leg[1]] - joints[leg[0]], joints[leg[2]] - joints[leg[1]]) for leg in legs]
    down = np.zeros((len(positions), 2))
    for which, (leg, (thigh, shin)) in enumerate(zip(legs, bones, strict=True)):
        hip = positions[:, leg[0]]
        reach = _REACH * longest_reach(thigh, shin)
        across = ((ankles[:, which] - hip)[:, :2] ** 2).sum(-1)
        allowed = ankles[:, which, 2] + np.sqrt(np.maximum(reach**2 - across, 0.0))
        down[:, which] = np.maximum(hip[:, 2] - allowed, 0.0)
    lowered = _spread_over_gaps(np.where(planted, down, 0.0).max(axis=1), np.asarray(planted.any(axis=1)))
    positions[..., 2] -= lowered[:, None]
    for which, (leg, (thigh, shin)) in enumerate(zip(legs, bones, strict=True)):
        hip, knee, ankle, foot = leg
        local_knee = np.swapaxes(rotations[:, hip], 1, 2) @ rotations[:, knee]
        wanted = ankles[:, which] - positions[:, hip]
        rotations[:, hip], local_knee = reach_ankle(thigh, shin, rotations[:, hip], local_knee, wanted)
        rotations[:, knee] = rotations[:, hip] @ local_knee
        for child, parent in ((knee, hip), (ankle, knee), (foot, ankle)):
            offset = joints[child] - joints[parent]
            positions[:, child] = positions[:, parent] + rotations[:, parent] @ offset
    return Posed(rotations, positions)


def _spread_over_gaps(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    frames = np.arange(len(values))
    return np.interp(frames, frames[known], values[known]) if known.any() else values
