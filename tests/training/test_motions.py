"""Motions: repeatable, independent of the sampling, smooth, inside joint limits, and varied."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest
from threedimo_training.motions import LONGEST_S, make_motion
from threedimo_training.skeleton import JOINT


def _angles_deg(rotations: np.ndarray) -> np.ndarray:
    trace = np.trace(rotations, axis1=-2, axis2=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_a_seed_is_one_motion():
    one, again, other = make_motion(7, 17, 8.0), make_motion(7, 17, 8.0), make_motion(8, 17, 8.0)
    np.testing.assert_array_equal(one.joint_rotations, again.joint_rotations)
    np.testing.assert_array_equal(one.hand_curls, again.hand_curls)
    assert not np.allclose(one.joint_rotations, other.joint_rotations)


@pytest.mark.parametrize("seed", range(6))
def test_more_frames_and_finer_frames_sample_the_same_movement(seed):
    short, long, fine = make_motion(seed, 9, 8.0), make_motion(seed, 33, 8.0), make_motion(seed, 17, 16.0)
    np.testing.assert_allclose(long.joint_rotations[:9], short.joint_rotations, atol=1e-9)
    np.testing.assert_allclose(fine.joint_rotations[::2], short.joint_rotations, atol=1e-9)
    np.testing.assert_allclose(fine.hand_curls[::2], short.hand_curls, atol=1e-9)
    np.testing.assert_allclose(fine.lift_m[::2], short.lift_m, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_rotations_are_rotations_and_curls_are_shares(seed):
    motion = make_motion(seed, 33, 16.0)
    rotations = motion.joint_rotations
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, -1, -2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-9)
    assert motion.hand_curls.min() >= 0
    assert motion.hand_curls.max() <= 1
    assert motion.lift_m.min() >= 0
    assert 0 <= motion.travel <= 1


def test_knees_and_elbows_bend_their_own_way_only():
    for seed in range(40):
        rotations = make_motion(seed, 17, 8.0).joint_rotations
        for side in ("left", "right"):
            # a bending knee takes the shin, which hangs along -z, to the back (+y)
            shin = -rotations[:, JOINT[f"{side}_knee"], :, 2]
            assert shin[:, 1].min() > -1e-6
            elbow = _angles_deg(rotations[:, JOINT[f"{side}_elbow"]])
            assert elbow.max() < 145.1


@pytest.mark.parametrize("seed", range(12))
def test_nothing_jumps(seed):
    rotations = make_motion(seed, 97, 48.0).joint_rotations
    steps = _angles_deg(np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:])
    assert steps.max() < 30  # degrees in a 48th of a second: below a fast strike's 1,500 degrees a second


def test_everyone_moves_and_motions_differ():
    moved = [np.ptp(make_motion(seed, 17, 8.0).joint_rotations, axis=0).max() for seed in range(30)]
    assert min(moved) > 0.1
    starts = np.stack([make_motion(seed, 1, 8.0).joint_rotations[0, 1:] for seed in range(30)])
    spread = starts.std(axis=0).max(axis=(-1, -2))
    assert spread[JOINT["left_shoulder"] - 1] > 0.3
    assert spread[JOINT["left_hip"] - 1] > 0.1


def test_headings_point_all_around():
    facing = np.stack([-make_motion(seed, 1, 8.0).joint_rotations[0, 0, :2, 1] for seed in range(80)])
    quadrants = (facing[:, 0] > 0) * 2 + (facing[:, 1] > 0)
    assert np.bincount(quadrants, minlength=4).min() > 8


def test_a_motion_longer_than_its_curves_is_refused():
    make_motion(0, int(LONGEST_S * 2), 2.0)
    with pytest.raises(InvalidRequest, match="too long"):
        make_motion(0, int(LONGEST_S * 2) + 1, 2.0)
