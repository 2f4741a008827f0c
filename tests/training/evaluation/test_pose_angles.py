from __future__ import annotations

import numpy as np
import pytest

from threedimo.camera import MOVES, View
from threedimo_training.evaluation.body_parts import PARTS, body_parts
from threedimo_training.evaluation.pose_angles import (
    angles_deg,
    arc_deg,
    camera_directions,
    limbs_in_picture,
    move_error_deg,
    picture_places,
    pose_error_deg,
    seen_camera_directions,
    view_joints,
)
from threedimo_training.motion.skeleton import JOINT, axis_angle_matrices


@pytest.fixture(scope="module")
def clip(draw):
    return draw(np.random.default_rng(3), "moving_camera").target


def test_view_axes_keep_the_pose_and_tell_the_camera(clip):
    seen = view_joints(clip.path, clip.joints_world)
    directions = camera_directions(clip.path, clip.joints_world)
    assert pose_error_deg(seen, clip.joints_world) == pytest.approx(0, abs=1e-3)
    assert angles_deg(seen_camera_directions(seen, clip.joints_world), directions) == pytest.approx(
        0, abs=1e-3
    )


def test_a_bent_elbow_is_one_limb_of_eight(clip):
    joints = clip.joints_world.astype(np.float64)
    elbow, wrist = JOINT["left_elbow"], JOINT["left_wrist"]
    bone = joints[:, wrist] - joints[:, elbow]
    axis = np.cross(bone, [0.3, 0.2, 0.9])
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    bent = joints.copy()
    turns = axis_angle_matrices(np.deg2rad(40) * axis)
    bent[:, wrist] = joints[:, elbow] + np.einsum("fij,fj->fi", turns, bone)
    assert pose_error_deg(bent, joints) == pytest.approx(40 / 8, abs=1e-6)


def test_limbs_outside_of_the_picture_do_not_count(clip):
    places = np.full((len(clip.frames), 24, 2), 0.5)
    places[:, JOINT["left_wrist"]] = [0.5, 1.2]
    counted = limbs_in_picture(places)
    assert counted.sum(axis=1).tolist() == [7] * len(clip.frames)
    joints = clip.joints_world.astype(np.float64)
    bent = joints.copy()
    bent[:, JOINT["left_wrist"]] += [0.3, 0.2, -0.1]
    assert pose_error_deg(bent, joints).min() > 0.5
    assert pose_error_deg(bent, joints, counted) == pytest.approx(0, abs=1e-6)
    assert np.isnan(pose_error_deg(bent, joints, np.zeros_like(counted))).all()


def test_places_are_shares_of_the_picture(clip):
    places = picture_places(clip.path, clip.joints_world)
    larger = picture_places(clip.path.for_size(96, 96), clip.joints_world)
    assert places == pytest.approx(larger)
    # the camera looks at the middle of the body
    assert places[:, 0] == pytest.approx(0.5, abs=0.05)


def test_size_and_place_of_a_body_do_not_matter(clip):
    assert pose_error_deg(0.7 * clip.joints_world + 2.0, clip.joints_world) == pytest.approx(0, abs=1e-3)


def test_a_mirrored_person_is_no_rotation_of_the_person(clip):
    mirrored = clip.joints_world * np.array([-1.0, 1.0, 1.0])
    assert pose_error_deg(mirrored, clip.joints_world).min() > 5


def test_a_camera_that_stays_errs_by_the_arc_that_was_asked_for():
    view = View.around((0.0, 0.0, 0.9), width=32, height=32)
    joints = np.full((9, 24, 3), [0, 0, 0.9])
    asked = camera_directions(MOVES["arc_left"](view, 9, 8.0, 45.0), joints)
    stays = camera_directions(MOVES["static"](view, 9, 8.0), joints)
    errors = move_error_deg(stays, asked)
    assert errors[0] == pytest.approx(0, abs=1e-6)
    assert errors[-1] == pytest.approx(45, abs=1e-6)
    assert arc_deg(asked) == pytest.approx(45, abs=1e-6)
    assert arc_deg(stays) == pytest.approx(0, abs=1e-6)


def test_a_constant_error_of_the_view_is_no_error_of_the_move():
    view = View.around((0.0, 0.0, 0.9), width=32, height=32)
    joints = np.full((9, 24, 3), [0, 0, 0.9])
    asked = camera_directions(MOVES["arc_right"](view, 9, 8.0, 60.0), joints)
    turned = asked @ axis_angle_matrices(np.array([0.0, 0.0, np.deg2rad(20)])).T
    assert move_error_deg(turned, asked) == pytest.approx(0, abs=1e-6)
    assert angles_deg(turned, asked) == pytest.approx(20, abs=1e-6)


def test_angles_are_exact_where_cosines_are_flat():
    small = np.array([[1.0, 1e-7, 0.0]])
    assert angles_deg(small, np.array([[1.0, 0, 0]])) == pytest.approx(np.degrees(1e-7))
    assert angles_deg(-small, small) == pytest.approx(180)


def test_parts_lie_where_the_joints_are(clip):
    parts = body_parts(clip.path, clip.joints_world, clip.silhouette)
    assert ((parts > 0) == clip.silhouette).all()
    size = clip.path.width
    for name, joint in (("head", "head"), ("legs", "left_knee"), ("legs", "right_ankle")):
        for frame in range(len(parts)):
            point = clip.joints_world[frame, JOINT[joint]] - clip.path.positions[frame]
            x, y, depth = point @ clip.path.rotations[frame]
            focal = clip.path.intrinsics[frame, 0, 0]
            column, row = int(focal * x / depth + size / 2), int(focal * y / depth + size / 2)
            assert parts[frame, row, column] == PARTS.index(name) + 1


def test_parts_follow_the_colours_that_were_drawn(clip):
    """Discs of a part have one colour: nearly all pixels of a label must have it."""
    parts = body_parts(clip.path, clip.joints_world, clip.silhouette)
    for number in (1, 2, 4):
        pixels = clip.frames[parts == number].astype(float)
        off = np.abs(pixels - np.median(pixels, axis=0)).max(axis=1) > 25
        assert off.mean() < 0.25
