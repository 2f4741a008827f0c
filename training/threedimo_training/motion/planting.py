"""Standing any person on the floor: feet that stand still do, and nothing sinks in.

A motion's rotations fit its performer only nearly: with other proportions two standing feet would drift apart
by centimetres. So the pelvis is moved to hold what stands, and each leg bends and turns a little until its
ball of the foot is exactly where it stood. The pose that is returned is the corrected one: labels of a
picture are computed from it (`smpl_labels.smpl_pose(posed)`), never from the motion.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.legs import longest_reach, reach_ankle, too_high_m
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.skeleton import JOINT, SIDES, Posed, forward_kinematics
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS, lowest_m
from threedimo_training.people.person import Person

# Below this clearance a body counts as resting on the floor.
_RESTING_M = 0.015
_REACH = 0.9985
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
    balls = person.skinned(posed, person.sole_vertices[:, _BALL]).astype(np.float64)
    soles, others = _lowest_points(person, posed)
    weights = np.stack([_inside(motion.planted[:, side], motion.fps) for side in range(2)], axis=1)
    shift = np.empty_like(root)
    shift[:, :2] = _hold_standing(balls, motion.planted, weights)
    shift[:, 2] = _hold_up(soles, others, clearance, weights)
    corrections = _corrections(balls[..., :2] + shift[:, None, :2], soles + shift[:, 2:], motion.planted)
    posed = _bend_legs(person, Posed(posed.rotations, posed.positions + shift[:, None]), corrections)
    # who kneels with one leg too short for the other foot kneels on the floor all the same
    sunk = np.minimum(person.skinned(posed, person.contact_vertices)[..., 2].min(axis=1), 0.0)
    posed.positions[..., 2] -= sunk[:, None]
    return posed


def _in_air(lowest: np.ndarray) -> np.ndarray:
    """Clearance (F,) in metres above the floor: 0 while resting, then growing to the full height."""
    above = np.maximum(lowest - _RESTING_M, 0.0)
    return np.minimum(2 * above, np.maximum(lowest, 0.0))


def _hold_standing(balls: np.ndarray, planted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(F, 2) shift of the pelvis, 0 at first, that keeps planted feet from sliding as well as it can."""
    weights = np.minimum(weights[1:], weights[:-1]) * (planted[1:] & planted[:-1])
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


def _hold_up(soles: np.ndarray, others: np.ndarray, clearance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(F,) shift of the pelvis that puts standing feet on the floor; knees, seat and hands stay above it.

    A foot on its way does not count: its leg gives way instead. Where no foot stands, the lowest point
    decides, as far as the motion is not in the air.
    """
    total = weights.sum(axis=1)
    standing = (weights * soles).sum(axis=1) / np.where(total > 0, total, 1.0)
    lowest = np.minimum(soles.min(axis=1), others)
    return np.where(total > 0, np.maximum(-standing, -others), clearance - lowest)


def _lowest_points(person: Person, posed: Posed) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the lowest point of each foot (F, 2) and of everything else (F,), metres."""
    contact = person.contact_vertices
    strongest = person.bones[contact, person.weights[contact].argmax(axis=1)]
    feet = [np.isin(strongest, [JOINT[f"{side}_ankle"], JOINT[f"{side}_foot"]]) for side in SIDES]
    heights = person.skinned(posed, np.concatenate([contact, person.sole_vertices.reshape(-1)]))[..., 2]
    contacts, soles = heights[:, : len(contact)], heights[:, len(contact) :].reshape(-1, 2, 2)
    lowest_soles = [
        np.concatenate([contacts[:, mine], soles[:, side]], axis=1).min(axis=1)
        for side, mine in enumerate(feet)
    ]
    others = contacts[:, ~(feet[0] | feet[1])].min(axis=1, initial=np.inf)
    return np.stack(lowest_soles, axis=1).astype(np.float64), others.astype(np.float64)


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


def _bend_legs(person: Person, posed: Posed, corrections: np.ndarray) -> Posed:
    """Moves ankles by the corrections; the pelvis comes down where a leg would be too short."""
    joints, rotations, positions = person.rest_joints, posed.rotations.copy(), posed.positions.copy()
    legs = [[JOINT[f"{side}_{name}"] for name in _LEG] for side in SIDES]
    ankles = np.stack([positions[:, leg[2]] for leg in legs], axis=1) + corrections
    bones = [(joints[leg[1]] - joints[leg[0]], joints[leg[2]] - joints[leg[1]]) for leg in legs]
    for which, (leg, (thigh, shin)) in enumerate(zip(legs, bones, strict=True)):
        reach = _REACH * longest_reach(thigh, shin)
        positions[..., 2] -= too_high_m(positions[:, leg[0]], ankles[:, which], reach)[:, None]
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
