"""Motions from seeds: repeatable, one movement however sampled, inside limits, varied, with solid bodies."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidMotion
from threedimo_training.motion.angles import ARM, LEG, LIMITS_DEG, leg_angles, shoulder_angles
from threedimo_training.motion.apart import overlap_m
from threedimo_training.motion.curves import LONGEST_S
from threedimo_training.motion.hands import ANGLE_LIMITS_DEG, HAND_SHAPES, finger_rotations
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.rotations import rotation_vectors
from threedimo_training.motion.skeleton import HAND_JOINTS, JOINT, MIRROR, SIDES, forward_kinematics
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS, lowest_m

_ROUNDING_DEG = 1e-5


def _posed(motion: Motion):
    return forward_kinematics(REST_JOINTS, motion.joint_rotations, motion.root_path * HIP_HEIGHT_M)


def _angles(motion: Motion) -> dict[str, np.ndarray]:
    """Anatomical angles read back from the rotations, both sides stacked."""
    rotations = motion.joint_rotations
    found: dict[str, list[np.ndarray]] = {name: [] for name in ARM + LEG}
    for which, side in enumerate(SIDES):
        mirror = MIRROR if which else np.eye(3)
        legs = {name: rotations[:, JOINT[f"{side}_{name}"]] for name in ("hip", "knee", "ankle", "foot")}
        for name, angle in leg_angles(legs, which).items():
            found[name].append(angle)
        shoulder = shoulder_angles(rotations[:, JOINT[f"{side}_shoulder"]], which)
        for name, angle in zip(("arm_out", "arm_forward", "arm_twist"), shoulder, strict=True):
            found[name].append(angle)
        elbow = mirror @ rotations[:, JOINT[f"{side}_elbow"]] @ mirror
        found["elbow"].append(-np.degrees(rotation_vectors(elbow))[:, 2])
        collar = mirror @ rotations[:, JOINT[f"{side}_collar"]] @ mirror
        found["shrug"].append(-np.degrees(rotation_vectors(collar))[:, 1])
    return {name: np.concatenate(angles) for name, angles in found.items() if angles}


def _assert_within_limits(motion: Motion) -> None:
    for name, angle in _angles(motion).items():
        low, high = LIMITS_DEG[name]
        assert angle.min() > low - _ROUNDING_DEG, (motion.motion_id, name, angle.min())
        assert angle.max() < high + _ROUNDING_DEG, (motion.motion_id, name, angle.max())
    trunk = [JOINT[f"spine{number}"] for number in (1, 2, 3)]
    bend = np.degrees(rotation_vectors(motion.joint_rotations[:, trunk])).reshape(-1, 3) * 3
    for column, name in enumerate(("lean", "side", "twist")):
        assert LIMITS_DEG[name][0] - 1e-5 < bend[:, column].min()
        assert bend[:, column].max() < LIMITS_DEG[name][1] + 1e-5
    # one-axis finger joints: second and third of the long fingers bend to the palm only
    fingers = motion.joint_rotations[:, HAND_JOINTS[0]].reshape(-1, 5, 3, 3, 3)[:, :4, 1:]
    vectors = np.degrees(rotation_vectors(fingers))
    np.testing.assert_allclose(vectors[..., [0, 2]], 0, atol=1e-6)
    assert vectors[..., 1].min() > -_ROUNDING_DEG
    assert vectors[..., 1].max() < ANGLE_LIMITS_DEG[:, 1].max() + _ROUNDING_DEG


def _measure(seeds: range) -> np.ndarray:
    """Deepest self-overlap of every frame, metres, joint limits asserted on the way."""
    depths = []
    for seed in seeds:
        motion = procedural_motion(seed, 13, 8.0)
        _assert_within_limits(motion)
        depths.append(overlap_m(_posed(motion)))
    return np.concatenate(depths)


def _assert_apart(depths: np.ndarray) -> None:
    assert np.mean(depths > 0.02) < 0.01
    assert np.mean(depths > 0.04) < 0.003
    assert depths.max() < 0.08


def test_limits_hold_and_nobody_passes_through_himself():
    _assert_apart(_measure(range(150)))


@pytest.mark.slow
def test_limits_hold_and_nobody_passes_through_himself_in_a_thousand_motions():
    _assert_apart(_measure(range(1000)))


def test_a_seed_is_one_motion():
    one, again, other = (procedural_motion(seed, 17, 8.0) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.joint_rotations, again.joint_rotations)
    np.testing.assert_array_equal(one.root_path, again.root_path)
    np.testing.assert_array_equal(one.planted, again.planted)
    assert one.motion_id == "procedural-7"
    assert not np.allclose(one.joint_rotations, other.joint_rotations)


@pytest.mark.parametrize("seed", range(12))
def test_more_frames_and_finer_frames_sample_the_same_movement(seed):
    short, long, fine = (procedural_motion(seed, *given) for given in ((9, 8.0), (65, 8.0), (33, 32.0)))
    np.testing.assert_allclose(long.joint_rotations[:9], short.joint_rotations, atol=1e-9)
    np.testing.assert_allclose(long.root_path[:9], short.root_path, atol=1e-9)
    np.testing.assert_allclose(fine.joint_rotations[::4], short.joint_rotations, atol=1e-9)
    np.testing.assert_allclose(fine.root_path[::4], short.root_path, atol=1e-9)
    np.testing.assert_array_equal(fine.planted[::4], short.planted)


def test_rotations_are_rotations():
    for seed in range(20):
        rotations = procedural_motion(seed, 9, 8.0).joint_rotations
        identity = np.broadcast_to(np.eye(3), rotations.shape)
        np.testing.assert_allclose(rotations @ np.swapaxes(rotations, -1, -2), identity, atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-9)


def test_nothing_jumps():
    for seed in range(60):
        rotations = procedural_motion(seed, 61, 60.0).joint_rotations[:, : JOINT["left_hand"]]
        steps = np.linalg.norm(rotation_vectors(np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:]), axis=-1)
        # 2,100 degrees a second: a fast kick's shin; a pop would be faster by far
        assert np.degrees(steps.max()) < 35, seed


def test_standing_feet_stand_on_the_standard_body_and_nothing_sinks_into_the_floor():
    speeds = []
    for seed in range(40):
        motion = procedural_motion(seed, 33, 16.0)
        posed = _posed(motion)
        assert lowest_m(posed).min() > -1e-3
        balls = posed.positions[:, [JOINT["left_foot"], JOINT["right_foot"]], :2]
        stood = motion.planted[1:] & motion.planted[:-1]
        speed = np.linalg.norm(np.diff(balls, axis=0), axis=-1)[stood]
        speeds.append(speed)
    # metres a frame; joint limits hold first, so a deep seat may move a foot, which `place` puts right
    assert np.percentile(np.concatenate(speeds), 99) < 1e-4
    assert np.concatenate(speeds).max() < 0.005


def test_walks_travel_and_others_stay():
    reach = np.array(
        [np.ptp(procedural_motion(seed, 25, 8.0).root_path[:, :2], axis=0).max() for seed in range(80)]
    )
    assert np.mean(reach > 1.5) > 0.1
    assert np.mean(reach < 0.6) > 0.4


def test_motions_differ_and_point_all_around():
    starts = np.stack([procedural_motion(seed, 1, 8.0).joint_rotations[0] for seed in range(80)])
    spread = starts.std(axis=0).max(axis=(-1, -2))
    assert spread[JOINT["left_shoulder"]] > 0.3
    assert spread[JOINT["left_hip"]] > 0.1
    assert spread[JOINT["left_index1"]] > 0.15
    facing = -starts[:, 0, :2, 1]
    quadrants = (facing[:, 0] > 0) * 2 + (facing[:, 1] > 0)
    assert np.bincount(quadrants, minlength=4).min() > 8


def test_hand_shapes_are_shapes():
    assert len(HAND_SHAPES) >= 12
    palm = finger_rotations(np.zeros((1, 2, 20)))
    np.testing.assert_allclose(palm[0, 3], np.eye(3), atol=0.05)
    bent = np.zeros((1, 2, 20))
    bent[..., 0] = 60.0
    rotations = np.tile(np.eye(3), (1, 54, 1, 1))
    rotations[:, 24:] = finger_rotations(bent)
    posed = forward_kinematics(REST_JOINTS, rotations, REST_JOINTS[None, 0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        tip, knuckle = (posed.positions[0, JOINT[f"{side}_index{number}"]] for number in (3, 1))
        # the palm looks down, so a bent index finger points down and still a little outwards
        assert tip[2] < knuckle[2] - 0.03
        assert sign * (tip[0] - knuckle[0]) > 0.02


@pytest.mark.parametrize(
    ("frames", "fps"), [(0, 8.0), (int(LONGEST_S * 8) + 1, 8.0), (8, 0.0), (8, float("nan"))]
)
def test_impossible_stretches_are_refused(frames, fps):
    with pytest.raises(InvalidMotion, match="no such stretch"):
        procedural_motion(0, frames, fps)
