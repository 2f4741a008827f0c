"""SMPL and MANO labels, rotations, the held-out rule, and what a motion refuses."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidMotion
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.rotations import (
    interpolate,
    quaternions,
    rotation_vectors,
    shortest_turns,
    turn_deg,
)
from threedimo_training.motion.skeleton import JOINT, PARENTS, axis_angle_matrices, forward_kinematics
from threedimo_training.motion.smpl_labels import SMPL_AXES, local_rotations, rotations_from_smpl, smpl_pose
from threedimo_training.motion.standard_body import REST_JOINTS


def test_labels_round_trip():
    for seed in range(10):
        motion = procedural_motion(seed, 9, 8.0)
        body, hands = smpl_pose(motion)
        assert body.shape == (9, 24, 3)
        assert hands.shape == (9, 2, 15, 3)
        assert body.dtype == hands.dtype == np.float32
        np.testing.assert_allclose(rotations_from_smpl(body, hands), motion.joint_rotations, atol=2e-6)
        np.testing.assert_array_equal(body[:, 22:24], 0)


def test_forward_kinematics_in_smpl_axes_gives_the_same_joints():
    motion = procedural_motion(3, 5, 4.0)
    root = motion.root_path * 0.9
    ours = forward_kinematics(REST_JOINTS, motion.joint_rotations, root).positions
    body, hands = (array.astype(float) for array in smpl_pose(motion))
    # as SMPL does it: rest joints with y up, rotations from axis-angle vectors as they are
    rest = REST_JOINTS @ SMPL_AXES
    local = axis_angle_matrices(np.concatenate([body, hands.reshape(5, 30, 3)], axis=1))
    turned, places = local.copy(), np.zeros((5, 54, 3))
    places[:, 0] = root
    for joint, parent in enumerate(PARENTS[1:], start=1):
        turned[:, joint] = turned[:, parent] @ local[:, joint]
        places[:, joint] = places[:, parent] + turned[:, parent] @ (rest[joint] - rest[parent])
    np.testing.assert_allclose(places, ours, atol=1e-5)


def test_smpl_axes_are_left_up_front():
    np.testing.assert_array_equal(SMPL_AXES @ [0, 1, 0], [0, 0, 1])  # up
    np.testing.assert_array_equal(SMPL_AXES @ [0, 0, 1], [0, -1, 0])  # front
    rotations = np.tile(np.eye(3), (1, 54, 1, 1))
    rotations[0, JOINT["left_knee"]] = turn_deg(90)  # ours: the shin to the back
    body, _ = smpl_pose(rotations)
    np.testing.assert_allclose(body[0, JOINT["left_knee"]], [np.pi / 2, 0, 0], atol=1e-6)
    # a person standing upright in a world with z up is turned a quarter about x, as in AMASS
    np.testing.assert_allclose(body[0, 0], [np.pi / 2, 0, 0], atol=1e-6)


def test_labels_of_a_posed_body_are_those_of_its_local_rotations():
    motion = procedural_motion(5, 4, 4.0)
    posed = forward_kinematics(REST_JOINTS, motion.joint_rotations, motion.root_path)
    np.testing.assert_allclose(local_rotations(posed), motion.joint_rotations, atol=1e-12)
    for one, other in zip(smpl_pose(posed), smpl_pose(motion), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_rotation_vectors_invert_up_to_half_turns():
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(400, 3))
    vectors = axes / np.linalg.norm(axes, axis=1, keepdims=True) * np.linspace(0, np.pi, 400)[:, None]
    np.testing.assert_allclose(rotation_vectors(axis_angle_matrices(vectors[:-1])), vectors[:-1], atol=1e-7)
    half = axis_angle_matrices(vectors[-1:])
    np.testing.assert_allclose(axis_angle_matrices(rotation_vectors(half)), half, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(quaternions(axis_angle_matrices(vectors)), axis=1), 1.0)


def test_shortest_turns_and_interpolation():
    rng = np.random.default_rng(1)
    start, end = rng.normal(size=(2, 50, 3))
    turned = np.einsum("fij,fj->fi", shortest_turns(start, end), start)
    np.testing.assert_allclose(
        turned / np.linalg.norm(turned, axis=1, keepdims=True),
        end / np.linalg.norm(end, axis=1, keepdims=True),
        atol=1e-9,
    )
    flip = shortest_turns(np.array([0.0, 0, 1]), np.array([0.0, 0, -1]))
    np.testing.assert_allclose(flip @ [0, 0, 1], [0, 0, -1], atol=1e-9)
    quarter = interpolate(np.eye(3)[None], turn_deg(z=np.array([80.0])), np.array([0.25]))
    np.testing.assert_allclose(quarter, turn_deg(z=np.array([20.0])), atol=1e-12)


def test_held_out_rule_is_the_documented_one():
    # first byte of BLAKE2b-256 of "motion:procedural-<n>" below 26
    held = [number for number in range(60) if is_held_out("motion", f"procedural-{number}")]
    assert held == [6, 31, 35, 42, 46, 57, 58]
    share = np.mean([is_held_out("identity", str(number)) for number in range(4000)])
    assert 0.085 < share < 0.12


def test_motion_refuses_what_does_not_fit_together():
    motion = procedural_motion(0, 6, 8.0)
    assert motion.stretch(2, 5).num_frames == 3
    np.testing.assert_array_equal(motion.stretch(2, 5).root_path, motion.root_path[2:5])
    for start, stop in ((0, 0), (-1, 3), (2, 7)):
        with pytest.raises(InvalidMotion, match="no such stretch"):
            motion.stretch(start, stop)
    with pytest.raises(InvalidMotion, match="do not fit"):
        Motion("m", 8.0, motion.joint_rotations, motion.root_path[:5], motion.planted)
    with pytest.raises(InvalidMotion, match="no numbers"):
        Motion("m", 8.0, motion.joint_rotations, motion.root_path * np.nan, motion.planted)
    with pytest.raises(InvalidMotion, match="frame rate"):
        Motion("m", 0.0, motion.joint_rotations, motion.root_path, motion.planted)
