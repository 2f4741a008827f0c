"""Motions from a seed: an idea of movement, a standard body that carries it out, and what bodies forbid."""

from __future__ import annotations

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.angles import (
    LEG,
    LIMIT_EASE_DEG,
    LIMITS_DEG,
    Angles,
    leg_angles,
    leg_rotations,
    upper_body_rotations,
    within_limits,
)
from threedimo_training.motion.apart import keep_arms_apart
from threedimo_training.motion.arms import upper_body_angles
from threedimo_training.motion.curves import LONGEST_S
from threedimo_training.motion.feet import Feet
from threedimo_training.motion.gaits import walk_about
from threedimo_training.motion.hands import finger_rotations, hand_angles
from threedimo_training.motion.legs import longest_reach, reach_ankle, too_high_m
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.performance import Performance
from threedimo_training.motion.phrases import phrase
from threedimo_training.motion.rotations import shortest_turns, turn_deg
from threedimo_training.motion.skeleton import (
    JOINT,
    NUM_BODY_JOINTS,
    SIDES,
    forward_kinematics,
)
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS, lowest_m

_GAIT_SHARE = 0.38
# Legs stretch this far, so that knees never snap straight.
_REACH = 0.996
_HEEL_ROUNDS = 2


def procedural_motion(seed: int, num_frames: int, fps: float) -> Motion:
    """The motion of a seed: walking about, or phrases of everyday life, sport and dance, with busy hands.

    The curves depend on the seed alone; more frames or another rate sample the same movement further or
    finer. Joint angles stay inside `angles.LIMITS_DEG` and `hands.ANGLE_LIMITS_DEG`.

    Args:
        seed: Any integer from 0.
        num_frames: How many frames, at least 1.
        fps: Frames per second.

    Raises:
        InvalidMotion: The motion would be empty or last longer than the curves of a seed do.
    """
    if num_frames < 1 or not fps > 0 or num_frames / fps > LONGEST_S:
        raise InvalidMotion(
            "no such stretch of a procedural motion",
            given=f"{num_frames} frames at {fps:g} fps",
            allowed=f"1 frame to {LONGEST_S:g} s",
        )
    rng = np.random.default_rng([17, seed])
    times = np.arange(num_frames) / fps
    idea = walk_about if rng.random() < _GAIT_SHARE else phrase
    performance = idea(times, np.random.default_rng(rng.integers(2**63)))
    upper_rng, hands_rng = (np.random.default_rng(rng.integers(2**63)) for _ in range(2))
    angles = upper_body_angles(times, upper_rng, performance)
    angles = {name: within_limits(name, curve) for name, curve in angles.items()}
    rotations = upper_body_rotations(angles)
    rotations[:, NUM_BODY_JOINTS:] = finger_rotations(hand_angles(times, hands_rng))
    rotations[:, 0] = _pelvis_rotations(performance)
    root = _add_legs(rotations, performance)
    posed = forward_kinematics(REST_JOINTS, rotations, root)
    rotations = keep_arms_apart(rotations, posed)
    posed = forward_kinematics(REST_JOINTS, rotations, root)
    root[:, 2] -= np.minimum(lowest_m(posed), 0.0)
    return Motion(f"procedural-{seed}", float(fps), rotations, root / HIP_HEIGHT_M, performance.feet.planted)


def _pelvis_rotations(performance: Performance) -> np.ndarray:
    names = ("pelvis_lean", "pelvis_side", "pelvis_twist")
    tilt = [within_limits(name, performance.pelvis_tilt[:, index]) for index, name in enumerate(names)]
    return turn_deg(z=performance.heading + tilt[2]) @ turn_deg(tilt[0], tilt[1])


def _add_legs(rotations: np.ndarray, performance: Performance) -> np.ndarray:
    """Lets the legs reach for the feet, inside their limits. Returns the pelvis's path (F, 3) in metres."""
    feet, pelvis = performance.feet, rotations[:, 0]
    most_bent = LIMITS_DEG["ankle"][0] + LIMIT_EASE_DEG
    for _ in range(_HEEL_ROUNDS):
        # where an ankle would have to bend too far, the heel rises from the floor
        _, legs = _reach(pelvis, performance, feet)
        missing = np.stack([most_bent - angles["ankle"] for angles in legs], axis=1)
        feet = feet.with_heels_raised(np.maximum(missing, 0.0))
    root, legs = _reach(pelvis, performance, feet)
    for which, side in enumerate(SIDES):
        angles = {name: within_limits(name, legs[which][name]) for name in LEG}
        for name, matrices in leg_rotations(angles, which).items():
            rotations[:, JOINT[f"{side}_{name}"]] = matrices
    return root


def _reach(pelvis: np.ndarray, performance: Performance, feet: Feet) -> tuple[np.ndarray, list[Angles]]:
    """The pelvis's path (F, 3) in metres, low enough for both legs, and the legs' angles without limits."""
    root, ankles, orientations = performance.pelvis * HIP_HEIGHT_M, feet.ankles(), feet.orientations()
    bones = [_leg_bones(side) for side in SIDES]
    for which, (hip, thigh, shin) in enumerate(bones):
        root[:, 2] -= too_high_m(root + pelvis @ hip, ankles[:, which], _REACH * longest_reach(thigh, shin))
    legs = []
    for which, (hip, thigh, shin) in enumerate(bones):
        wanted = ankles[:, which] - root - pelvis @ hip
        foot_yaw = feet.yaw[:, which] - performance.heading
        guess = _knee_forward(pelvis, wanted, foot_yaw, feet.knee_out[:, which], which)
        straight = np.tile(np.eye(3), (len(root), 1, 1))
        thigh_world, knee = reach_ankle(thigh, shin, guess, straight, wanted)
        local = {
            "hip": np.swapaxes(pelvis, 1, 2) @ thigh_world,
            "knee": knee,
            "ankle": np.swapaxes(thigh_world @ knee, 1, 2) @ orientations[:, which],
            "foot": turn_deg(-feet.toes[:, which]),
        }
        legs.append(leg_angles(local, which))
    return root, legs


def _leg_bones(side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pelvis to hip, hip to knee, knee to ankle of the standard body."""
    joints = [REST_JOINTS[JOINT[name]] for name in ("pelvis", f"{side}_hip", f"{side}_knee", f"{side}_ankle")]
    return joints[1] - joints[0], joints[2] - joints[1], joints[3] - joints[2]


def _knee_forward(
    pelvis: np.ndarray, wanted: np.ndarray, foot_yaw: np.ndarray, knee_out: np.ndarray, which: int
) -> np.ndarray:
    """Thigh orientations (F, 3, 3) of a straight leg to the ankle whose knee looks over the foot."""
    sign = -1.0 if which else 1.0
    direction = np.einsum("fji,fj->fi", pelvis, wanted)
    swing = shortest_turns(np.array([0.0, 0.0, -1.0]), direction)
    out = np.clip(0.8 * foot_yaw * sign, -30, 35) + knee_out
    return pelvis @ swing @ turn_deg(z=sign * out)
