"""Keeps arms out of trunk, head, legs, floor and each other: round shapes on the standard body.

Arms are rows of balls, everything else capsules. Where they overlap, the shoulder turns until they do not;
every frame is solved on its own and from the same rule, so that the movement stays one however it is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo_training.motion.angles import shoulder_angles, shoulder_rotations, within_limits
from threedimo_training.motion.skeleton import JOINT, SIDES, Posed, axis_angle_matrices

# Along the arm: bone (0 upper arm, 1 forearm, 2 hand), share of its length, radius in metres.
_ARM_BALLS = (
    (0, 0.55, 0.044), (0, 0.8, 0.042), (1, 0.0, 0.04), (1, 0.33, 0.038), (1, 0.66, 0.034), (1, 1.0, 0.03),
    (2, 0.5, 0.032), (2, 1.0, 0.03), (2, 1.7, 0.018),
)  # fmt: skip
_BONES = np.array([bone for bone, _, _ in _ARM_BALLS])
_SHARES = np.array([share for _, share, _ in _ARM_BALLS])
_RADII_M = np.array([radius for _, _, radius in _ARM_BALLS])
# Capsules: joint, its two ends from there at rest, radius.
_TRUNK = (
    ("pelvis", (-0.07, 0.012, -0.03), (0.07, 0.012, -0.03), 0.1),
    ("spine1", (-0.05, 0.005, 0.06), (0.05, 0.005, 0.06), 0.094),
    ("spine2", (-0.055, 0.0, 0.03), (0.055, 0.0, 0.03), 0.098),
    ("spine3", (-0.06, 0.005, 0.05), (0.06, 0.005, 0.05), 0.1),
    ("spine3", (-0.05, 0.01, 0.13), (0.05, 0.01, 0.13), 0.085),
    ("neck", (0.0, 0.0, 0.0), (0.0, -0.015, 0.085), 0.058),
    ("head", (0.0, -0.012, 0.05), (0.0, -0.005, 0.12), 0.098),
)
_LEGS = (("hip", "knee", 0.068), ("knee", "ankle", 0.05))
_ITERATIONS = 12
# Close to a capsule's axis, out is where the arm belongs.
_BIAS = 0.05
# An arm that hangs into the floor goes aside, this much for every metre up.
_ASIDE = 0.6


@dataclass(frozen=True, eq=False)
class _Arms:
    """Both arms as chains: shoulder places (F, 2, 3), bones in the shoulder's frame (F, 2, 3 bones, 3)."""

    shoulders: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, posed: Posed) -> _Arms:
        chain = [
            [JOINT[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")] for side in SIDES
        ]
        places = posed.positions[:, chain]
        turned = posed.rotations[:, [joints[0] for joints in chain]]
        ends = np.einsum("fsji,fskj->fski", turned, places - places[:, :, :1])
        return cls(places[:, :, 0], ends)

    def balls(self, orientations: np.ndarray, frames: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(F, 2, B, 3) world places of the arms' balls for shoulder orientations (F, 2, 3, 3) of frames."""
        starts, ends = (self.ends[frames][:, :, _BONES + end] for end in range(2))
        local = starts + (ends - starts) * _SHARES[:, None]
        return self.shoulders[frames, :, None] + np.einsum("fsij,fsbj->fsbi", orientations, local)


def keep_arms_apart(rotations: np.ndarray, posed: Posed) -> np.ndarray:
    """Turns shoulders until arms overlap nothing and stay above the floor, within their limits.

    Args:
        rotations: (F, 54, 3, 3) local joint rotations.
        posed: The standard body in these rotations.

    Returns:
        (F, 54, 3, 3) local rotations with other shoulders.
    """
    arms = _Arms.of(posed)
    starts, ends, radii = _capsules(posed)
    joints = [JOINT[f"{side}_shoulder"] for side in SIDES]
    collars = posed.rotations[:, [JOINT[f"{side}_collar"] for side in SIDES]]
    world = posed.rotations[:, joints]
    outward = _outward(posed)
    frames = np.arange(len(world))
    for _ in range(_ITERATIONS):
        balls = arms.balls(world[frames], frames)
        push = _push_from(balls, starts[frames], ends[frames], radii, outward[frames])
        push += _push_from_other_arm(balls) + _push_from_floor(balls, outward[frames])
        weight = np.linalg.norm(push, axis=-1)
        # frames in which nothing overlaps any more are done
        busy = weight.any(axis=(1, 2))
        frames, balls, push, weight = frames[busy], balls[busy], push[busy], weight[busy]
        if not len(frames):
            break
        lever = balls - arms.shoulders[frames, :, None]
        turn = (weight[..., None] * np.cross(lever, push)).sum(2)
        turn /= (weight * (lever**2).sum(-1)).sum(2)[..., None] + 1e-9
        world[frames] = axis_angle_matrices(turn) @ world[frames]
    result = rotations.copy()
    local = np.swapaxes(collars, -1, -2) @ world
    for which, joint in enumerate(joints):
        out, forward, twist = shoulder_angles(local[:, which], which)
        out, forward = within_limits("arm_out", out), within_limits("arm_forward", forward)
        result[:, joint] = shoulder_rotations(out, forward, within_limits("arm_twist", twist), which)
    return result


def overlap_m(posed: Posed) -> np.ndarray:
    """(F,) deepest overlap in metres of the posed standard body with itself, 0 where there is none.

    Looked at are arms against trunk, head, legs and each other, and one leg against the other.
    """
    balls = _Arms.of(posed).balls(posed.rotations[:, [JOINT[f"{side}_shoulder"] for side in SIDES]])
    depth, _ = _depths(balls, _RADII_M, *_capsules(posed))
    apart = np.linalg.norm(balls[:, 0, :, None] - balls[:, 1, None], axis=-1)
    between = (_RADII_M[:, None] + _RADII_M - apart).max(axis=(1, 2))
    starts, ends, radii = _leg_capsules(posed)
    shares = np.linspace(0.35, 1.0, 6)[:, None]
    left = starts[:, :2, None] + (ends - starts)[:, :2, None] * shares
    sizes = np.repeat(radii[:2], len(shares))
    legs, _ = _depths(left.reshape(len(left), 1, -1, 3), sizes, starts[:, 2:], ends[:, 2:], radii[2:])
    deepest = np.stack([depth.max(axis=(1, 2, 3)), between, legs.max(axis=(1, 2, 3))])
    return np.maximum(deepest.max(axis=0), 0.0)


def _capsules(posed: Posed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends (F, C, 3) twice and radii (C,) of trunk, head and legs in the world."""
    joints = [JOINT[name] for name, _, _, _ in _TRUNK]
    origins, turned = posed.positions[:, joints], posed.rotations[:, joints]
    starts, ends = (
        origins + np.einsum("fcij,cj->fci", turned, np.array([shape[end] for shape in _TRUNK]))
        for end in (1, 2)
    )
    leg_starts, leg_ends, leg_radii = _leg_capsules(posed)
    radii = np.concatenate([[radius for _, _, _, radius in _TRUNK], leg_radii])
    return np.concatenate([starts, leg_starts], 1), np.concatenate([ends, leg_ends], 1), radii


def _leg_capsules(posed: Posed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends (F, 4, 3) twice and radii (4,): left thigh and shin, right thigh and shin."""
    starts = [JOINT[f"{side}_{name}"] for side in SIDES for name, _, _ in _LEGS]
    ends = [JOINT[f"{side}_{name}"] for side in SIDES for _, name, _ in _LEGS]
    radii = np.array([radius for _ in SIDES for _, _, radius in _LEGS])
    return posed.positions[:, starts], posed.positions[:, ends], radii


def _depths(
    balls: np.ndarray, sizes: np.ndarray, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How deep balls (F, S, B, 3) are in capsules: (F, S, B, C), and from the nearest axis points to them."""
    axis = (ends - starts)[:, None, None]
    from_start = balls[:, :, :, None] - starts[:, None, None]
    share = np.clip((from_start * axis).sum(-1) / (axis**2).sum(-1), 0, 1)
    away = from_start - share[..., None] * axis
    return sizes[:, None] + radii - np.linalg.norm(away, axis=-1), away


def _outward(posed: Posed) -> np.ndarray:
    """(F, 2, 3) directions in which each arm leaves the trunk: to its side and a little to the front."""
    chest = posed.rotations[:, JOINT["spine3"]]
    return np.stack([chest @ np.array([sign, -0.5, 0.0]) for sign in (1.0, -1.0)], axis=1)


def _push_from(
    balls: np.ndarray, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, outward: np.ndarray
) -> np.ndarray:
    """(F, 2, B, 3) metres by which the arms' balls should move to leave the capsules."""
    depth, away = _depths(balls, _RADII_M, starts, ends, radii)
    depth = np.maximum(depth, 0.0)
    away = away + _BIAS * outward[:, :, None, None]
    direction = away / np.linalg.norm(away, axis=-1, keepdims=True)
    # of several capsules the deepest counts most
    return (depth[..., None] ** 2 * direction).sum(3) / (depth.sum(3)[..., None] + 1e-9)


def _push_from_floor(balls: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """(F, 2, B, 3) metres by which balls should move to leave the floor: up, and out for a hanging arm."""
    depth = np.maximum(_RADII_M - balls[..., 2], 0.0)
    direction = np.array([0.0, 0.0, 1.0]) + _ASIDE * outward
    return depth[..., None] * direction[:, :, None]


def _push_from_other_arm(balls: np.ndarray) -> np.ndarray:
    """(F, 2, B, 3) metres by which balls should move to leave the other arm, half the way each."""
    away = balls[:, 0, :, None] - balls[:, 1, None]
    distance = np.linalg.norm(away, axis=-1)
    depth = np.maximum(_RADII_M[:, None] + _RADII_M - distance, 0.0)
    step = 0.5 * (depth**2 / np.maximum(distance, 1e-6))[..., None] * away
    left = step.sum(2) / (depth.sum(2)[..., None] + 1e-9)
    right = -step.sum(1) / (depth.sum(1)[..., None] + 1e-9)
    return np.stack([left, right], axis=1)
