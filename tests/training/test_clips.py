"""View-rich samples: repeatable, rightly labelled, with the person in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.camera import NUM_HINTS, camera_hints, describe
from threedimo.errors import InvalidRequest
from threedimo_training.bodies import is_held_out, make_body
from threedimo_training.clips import HAND_CROP_SIZE, ROLES, Clip, sample_clip, sample_frames
from threedimo_training.skeleton import JOINT


def _clip(seed: int, role: str, **options) -> Clip:
    rng = np.random.default_rng(seed)
    return sample_clip(rng, size=48, num_frames=5, fps=8.0, role=role, driving_size=32, **options)


@pytest.mark.parametrize("role", ROLES)
def test_shapes_and_labels(role):
    clip = _clip(0, role)
    assert clip.role == role
    assert clip.driving_frames.shape == (5, 32, 32, 3)
    assert clip.target_frames.shape == (5, 48, 48, 3)
    assert clip.driving_frames.dtype == clip.target_frames.dtype == np.uint8
    assert clip.driving_silhouette.shape == (5, 32, 32)
    assert clip.target_silhouette.shape == (5, 48, 48)
    assert clip.rotations.shape == (5, 24, 3, 3)
    assert clip.body_joints.shape == clip.driving_camera_joints.shape == (5, 24, 3)
    assert clip.hand_curls.shape == (5, 2, 4)
    assert clip.hand_crops.shape == (5, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3)
    assert clip.hand_visible.shape == (5, 2)
    assert clip.hints.shape == (5, NUM_HINTS)
    np.testing.assert_array_equal(clip.hints, camera_hints(clip.path))
    assert clip.text == describe(clip.path)
    assert (clip.path.width, clip.driving_path.width) == (48, 32)


@pytest.mark.parametrize("role", ROLES)
def test_a_random_state_is_one_sample(role):
    one, again, other = _clip(3, role), _clip(3, role), _clip(4, role)
    np.testing.assert_array_equal(one.driving_frames, again.driving_frames)
    np.testing.assert_array_equal(one.target_frames, again.target_frames)
    np.testing.assert_array_equal(one.hand_crops, again.hand_crops)
    assert one.text == again.text
    assert not np.array_equal(one.target_frames, other.target_frames)


def test_roles_say_how_the_cameras_relate():
    for seed in range(4):
        same, cross = _clip(seed, "same_view"), _clip(seed, "cross_view")
        np.testing.assert_array_equal(same.path.world_from_camera, same.driving_path.world_from_camera)
        apart = cross.path.world_from_camera[0] - cross.driving_path.world_from_camera[0]
        assert np.abs(apart).max() > 0.05
    moved = [np.ptp(_clip(seed, "moving_camera").path.positions, axis=0).max() for seed in range(8)]
    assert np.mean(np.array(moved) > 0.1) >= 0.25


def test_two_different_people_do_the_same_motion():
    clip = _clip(1, "cross_view")
    assert clip.identity_seeds[0] != clip.identity_seeds[1]
    driving, target = (make_body(seed) for seed in clip.identity_seeds)
    shin = [JOINT["left_knee"], JOINT["left_ankle"]]
    for joints, body in ((clip.driving_joints_world, driving), (clip.target_joints_world, target)):
        length = np.linalg.norm(joints[:, shin[1]] - joints[:, shin[0]], axis=-1)
        np.testing.assert_allclose(length, np.linalg.norm(body.offsets[shin[1]]), atol=1e-9)


def test_both_joint_frames_are_turns_of_the_same_skeleton():
    clip = _clip(2, "moving_camera")
    np.testing.assert_allclose(clip.body_joints[:, 0], 0.0, atol=1e-12)
    world = np.einsum("fij,fkj->fki", clip.rotations[:, 0], clip.body_joints)
    expected = clip.driving_joints_world - clip.driving_joints_world[:, :1]
    np.testing.assert_allclose(world, expected, atol=1e-9)
    seen = np.einsum("fij,fkj->fki", clip.driving_path.rotations, clip.driving_camera_joints)
    np.testing.assert_allclose(seen, expected, atol=1e-9)


def test_people_fill_the_picture():
    heights, covers = [], []
    for seed in range(16):
        clip = _clip(seed, "cross_view")
        rows = np.nonzero((clip.target_silhouette > 127).any(axis=(0, 2)))[0]
        heights.append((rows[-1] - rows[0] + 1) / 48)
        covers.append((clip.target_silhouette > 127).mean())
    assert np.mean(heights) > 0.75
    assert min(heights) > 0.45
    assert 0.06 < np.mean(covers) < 0.4


def test_cameras_stay_above_the_floor():
    for seed in range(24):
        assert _clip(seed, "moving_camera").path.positions[:, 2].min() > 0.1


def test_viewpoints_are_all_around():
    azimuths = []
    for seed in range(40):
        path = _clip(seed, "same_view").path
        assert path.subject_forward is not None
        assert path.subject_position is not None
        line = path.positions[0] - path.subject_position
        facing = np.arctan2(path.subject_forward[1], path.subject_forward[0])
        azimuths.append((np.arctan2(line[1], line[0]) - facing) % (2 * np.pi))
    assert np.bincount((np.array(azimuths) // (np.pi / 2)).astype(int), minlength=4).min() >= 3


def test_visible_hands_have_pictures_and_boxes_around_the_hand():
    shown = 0
    for seed in range(6):
        clip = _clip(seed, "cross_view")
        points = clip.driving_joints_world[:, [JOINT["left_hand"], JOINT["right_hand"]]]
        path = clip.driving_path
        points = np.einsum("fji,fhkj->fhki", path.rotations, (points - path.positions[:, None])[:, :, None])
        points = points[:, :, 0]
        pixels = points[..., :2] / points[..., 2:] * path.intrinsics[:, None, [0, 1], [0, 1]] + 16
        for frame, hand in np.argwhere(clip.hand_visible):
            box = clip.hand_boxes[frame, hand]
            assert (box[:2] < pixels[frame, hand]).all()
            assert (pixels[frame, hand] < box[2:]).all()
            assert box[2] - box[0] == pytest.approx(box[3] - box[1], abs=1e-3)
            assert clip.hand_crops[frame, hand].std() > 5
            shown += 1
        assert (clip.hand_crops[~clip.hand_visible] == 0).all()
    assert shown > 20


@pytest.mark.parametrize("held_out", [False, True])
def test_evaluation_never_meets_training(held_out):
    for seed in range(4):
        clip = _clip(seed, "cross_view", held_out=held_out)
        assert is_held_out("motion", clip.motion_seed) == held_out
        assert all(is_held_out("identity", person) == held_out for person in clip.identity_seeds)


def test_an_unknown_role_is_refused():
    with pytest.raises(InvalidRequest, match="role"):
        _clip(0, "sideways")


def test_single_frames():
    frames = sample_frames(np.random.default_rng(5), 6, 40)
    again = sample_frames(np.random.default_rng(5), 6, 40)
    assert frames.frames.shape == (6, 40, 40, 3)
    assert frames.rotations.shape == (6, 24, 3, 3)
    assert frames.body_joints.shape == frames.camera_joints.shape == (6, 24, 3)
    assert frames.hand_crops.shape == (6, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3)
    assert frames.hand_visible.shape == (6, 2)
    np.testing.assert_array_equal(frames.frames, again.frames)
    lengths = np.linalg.norm(frames.body_joints, axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(frames.camera_joints, axis=-1), atol=1e-9)
