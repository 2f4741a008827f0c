"""People: the same for the same seed, rigid when they move, standing on the floor without sliding."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.angles import curve_names, joint_rotations
from threedimo_training.bodies import Body, is_held_out, make_body, pose_body
from threedimo_training.motions import make_motion
from threedimo_training.skeleton import JOINT, NUM_BONES, NUM_JOINTS, PARENTS, axis_angle_matrices


def _stand(frames: int = 1, **angles: np.ndarray | float) -> np.ndarray:
    curves = {name: np.zeros(frames) for name in curve_names()}
    for name, value in angles.items():
        curves[name.replace("__", ".")] = np.broadcast_to(value, (frames,)).astype(float)
    return joint_rotations(curves, np.zeros(frames))


def _contact_heights(body: Body, rotations: np.ndarray, positions: np.ndarray) -> np.ndarray:
    bones = body.contacts[:, 0].astype(int)
    points = positions[:, bones] + np.einsum("fcij,cj->fci", rotations[:, bones], body.contacts[:, 1:4])
    return points[..., 2] - body.contacts[:, 4]


def test_axis_angle_matrices_turn_by_the_angle_about_the_axis():
    quarter = axis_angle_matrices(np.array([[0, 0, np.pi / 2], [0, 0, 0], [np.pi, 0, 0]]))
    np.testing.assert_allclose(quarter[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(quarter[1], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(quarter[2] @ [0, 1, 0], [0, -1, 0], atol=1e-12)


def test_a_seed_is_one_person_and_another_seed_another():
    first, again, other = make_body(3), make_body(3), make_body(4)
    for name in ("offsets", "frames", "shapes", "colours", "patterns"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.offsets, other.offsets)


def test_people_differ_in_height_and_colour():
    bodies = [make_body(seed) for seed in range(40)]
    heights = [body.offsets[JOINT["left_knee"], 2] for body in bodies]
    assert np.ptp(heights) > 0.08
    shirts = {tuple(np.round(body.colours[0, 0], 1)) for body in bodies}
    assert len(shirts) > 25


def test_front_and_back_of_shirts_differ_for_most_people():
    differs = [not np.allclose(body.colours[0, 0], body.colours[0, 2]) for body in map(make_body, range(60))]
    assert 0.4 < np.mean(differs) < 0.8


@pytest.mark.parametrize("seed", [0, 5])
def test_bones_keep_their_lengths(seed):
    body, motion = make_body(seed), make_motion(seed, 9, 8.0)
    posed = pose_body(body, motion.joint_rotations, motion.hand_curls, motion.lift_m)
    for joint in range(1, NUM_JOINTS):
        bone = posed.joints_world[:, joint] - posed.joints_world[:, PARENTS[joint]]
        np.testing.assert_allclose(
            np.linalg.norm(bone, axis=-1), np.linalg.norm(body.offsets[joint]), atol=1e-9
        )


def test_the_lowest_point_is_on_the_floor_or_lifted_by_a_jump():
    body, motion = make_body(1), make_motion(1, 17, 8.0)
    lift = np.linspace(0, 0.3, 17)
    posed = pose_body(body, motion.joint_rotations, motion.hand_curls, lift)
    heights = _contact_heights(body, posed.rotations, posed.positions)
    np.testing.assert_allclose(heights.min(axis=1), lift, atol=1e-9)


def test_axes_of_a_standing_person():
    posed = pose_body(make_body(2), _stand(arm_out__left=90.0), np.zeros((1, 2, 4)), np.zeros(1))
    joints = posed.joints_world[0]
    assert joints[JOINT["head"], 2] > joints[JOINT["pelvis"], 2] + 0.4
    assert joints[JOINT["left_hip"], 0] > 0 > joints[JOINT["right_hip"], 0]
    assert joints[JOINT["left_foot"], 1] < joints[JOINT["left_ankle"], 1]
    left, right = joints[JOINT["left_wrist"]], joints[JOINT["right_wrist"]]
    assert left[2] == pytest.approx(joints[JOINT["left_shoulder"], 2], abs=0.05)
    assert left[0] > 0.4
    assert right[2] < joints[JOINT["right_shoulder"], 2] - 0.4


def test_the_two_sides_mirror_each_other():
    angles = {"arm_forward": 60.0, "arm_twist": 30.0, "elbow": 70.0, "leg_out": 20.0, "knee": 40.0}
    left = _stand(**{f"{name}__left": value for name, value in angles.items()})
    right = _stand(**{f"{name}__right": value for name, value in angles.items()})
    body, curls = make_body(2), np.zeros((1, 2, 4))
    one = pose_body(body, left, curls, np.zeros(1)).pelvis_joints()[0]
    other = pose_body(body, right, curls, np.zeros(1)).pelvis_joints()[0]
    for name in ("elbow", "wrist", "hand", "knee", "ankle"):
        mirrored = one[JOINT[f"left_{name}"]] * [-1, 1, 1]
        np.testing.assert_allclose(mirrored, other[JOINT[f"right_{name}"]], atol=1e-9)


def test_a_standing_foot_does_not_slide_while_the_body_sways_over_it():
    sway = np.linspace(-15, 15, 9)
    rotations = _stand(9, leg_forward__left=sway, ankle__left=sway, knee__right=60.0)
    posed = pose_body(make_body(6), rotations, np.zeros((9, 2, 4)), np.zeros(9))
    foot, pelvis = posed.joints_world[:, JOINT["left_foot"], :2], posed.joints_world[:, 0, :2]
    assert np.ptp(foot, axis=0).max() < 0.01
    assert np.ptp(pelvis, axis=0).max() > 0.2


def test_travel_zero_stays_in_place():
    motion = make_motion(2, 9, 8.0)
    posed = pose_body(make_body(6), motion.joint_rotations, motion.hand_curls, motion.lift_m, travel=0.0)
    np.testing.assert_allclose(posed.positions[:, 0, :2], 0.0, atol=1e-12)


def test_pelvis_joints_do_not_know_the_heading():
    motion = make_motion(3, 5, 8.0)
    turned = motion.joint_rotations.copy()
    turned[:, 0] = axis_angle_matrices(np.array([0, 0, 1.3])) @ turned[:, 0]
    body = make_body(0)
    one = pose_body(body, motion.joint_rotations, motion.hand_curls, motion.lift_m).pelvis_joints()
    other = pose_body(body, turned, motion.hand_curls, motion.lift_m).pelvis_joints()
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_curled_fingers_come_closer_to_the_wrist():
    stretched = pose_body(make_body(0), _stand(), np.zeros((1, 2, 4)), np.zeros(1))
    fist = pose_body(make_body(0), _stand(), np.ones((1, 2, 4)), np.zeros(1))
    tips, wrists = np.arange(NUM_JOINTS + 1, NUM_BONES, 2), [JOINT["left_wrist"], JOINT["right_wrist"]]
    for side, wrist in enumerate(wrists):
        mine = tips[4 * side + 1 : 4 * side + 4]
        far = np.linalg.norm(stretched.positions[0, mine] - stretched.positions[0, wrist], axis=-1)
        near = np.linalg.norm(fist.positions[0, mine] - fist.positions[0, wrist], axis=-1)
        assert (near < far - 0.01).all()


def test_one_seed_in_ten_is_held_out_and_kinds_are_independent():
    people = np.array([is_held_out("identity", seed) for seed in range(3000)])
    motions = np.array([is_held_out("motion", seed) for seed in range(3000)])
    assert 0.085 < people.mean() < 0.118
    assert 0.085 < motions.mean() < 0.118
    assert (people & motions).mean() < 0.02
