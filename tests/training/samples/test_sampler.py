import numpy as np
import pytest
from PIL import Image, ImageFilter

from threedimo.camera import describe
from threedimo.errors import InvalidRequest
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS, NUM_JOINTS, forward_kinematics
from threedimo_training.motion.smpl_labels import rotations_from_smpl
from threedimo_training.people.baked import is_held_out_person
from threedimo_training.people.looks import make_person
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.sample import FilmedClip
from threedimo_training.samples.sampler import draw_sample


def _pixels(clip: FilmedClip, points: np.ndarray) -> np.ndarray:
    seen = np.einsum("fji,fnj->fni", clip.path.rotations, points - clip.path.positions[:, None])
    homogeneous = np.einsum("fij,fnj->fni", clip.path.intrinsics, seen)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _clips(samples) -> list[FilmedClip]:
    return [clip for sample in samples for clip in (sample.driving, sample.target)]


def test_projected_joints_lie_inside_the_silhouette(samples):
    inside = []
    for clip in _clips(samples):
        pixels = np.floor(_pixels(clip, clip.joints_world[:, :NUM_BODY_JOINTS])).astype(int)
        height, width = clip.silhouette.shape[1:]
        seen = ((pixels >= 0) & (pixels < [width, height])).all(axis=-1)
        for frame in range(len(pixels)):
            mask = Image.fromarray(clip.silhouette[frame].astype(np.uint8) * 255)
            grown = np.asarray(mask.filter(ImageFilter.MaxFilter(7))) > 0
            x, y = pixels[frame, seen[frame]].T
            inside.extend(grown[y, x])
    assert len(inside) > 2000
    assert np.mean(inside) > 0.97


def test_the_text_is_the_description_of_the_path(samples):
    assert all(clip.text == describe(clip.path) for clip in _clips(samples))


def test_the_person_fills_the_frame(samples):
    tall = [np.ptp(np.nonzero(clip.silhouette.any(axis=0))[0]) for clip in _clips(samples)]
    assert np.median(tall) > 32


def test_one_camera_films_both_in_the_same_view_and_another_one_elsewhere(samples):
    for sample in samples:
        same = np.array_equal(sample.driving.path.world_from_camera, sample.target.path.world_from_camera)
        assert same == (sample.role == "same_view")


def test_only_the_moving_camera_moves(samples):
    for sample in samples:
        path = sample.target.path
        travelled = np.abs(path.positions - path.positions[0]).max()
        zoomed = np.ptp(path.intrinsics[:, 0, 0]) / path.intrinsics[0, 0, 0]
        # a camera held by hand trembles by millimetres
        assert (travelled > 0.1 or zoomed > 0.05) == (sample.role == "moving_camera"), sample.target.text


def test_driver_and_target_are_different_people_who_move_alike(samples):
    for sample in samples:
        assert sample.driving.person_id != sample.target.person_id
        shoulders = [16, 17]
        directions = []
        for clip in (sample.driving, sample.target):
            arms = clip.joints_world[:, [18, 19]] - clip.joints_world[:, shoulders]
            directions.append(arms / np.linalg.norm(arms, axis=-1, keepdims=True))
        # rest poses differ by a few degrees from body to body
        assert (directions[0] * directions[1]).sum(-1).min() > np.cos(np.deg2rad(15))


def test_two_views_of_one_person_share_their_joints_exactly(draw_test_sample):
    sample = draw_test_sample(1, "cross_view", same_person=True)
    assert sample.driving.person_id == sample.target.person_id
    np.testing.assert_array_equal(sample.driving.joints_world, sample.target.joints_world)
    assert not np.array_equal(sample.driving.frames, sample.target.frames)


def test_pose_labels_repeat_the_joints(samples):
    for sample in samples[:3]:
        person = make_person(int(sample.driving.person_id.rpartition("-")[2]))
        local = rotations_from_smpl(sample.driving.smpl_pose, sample.driving.mano_pose)
        root = sample.driving.joints_world[:, 0].astype(np.float64)
        posed = forward_kinematics(person.rest_joints, local, root)
        np.testing.assert_allclose(posed.positions, sample.driving.joints_world, atol=2e-4)
        assert posed.positions.shape[1] == NUM_JOINTS


def test_nothing_held_out_is_drawn_for_training_and_only_that_for_evaluation(samples, draw_test_sample):
    evaluation = [draw_test_sample(number, "same_view", held_out=True) for number in range(3)]
    for sample in [*samples, *evaluation]:
        held_out = sample in evaluation
        assert sample.held_out == held_out
        assert is_held_out("motion", sample.motion_id) == held_out
        for clip in (sample.driving, sample.target):
            assert is_held_out_person(int(clip.person_id.rpartition("-")[2])) == held_out


def test_a_seed_gives_the_same_sample(samples, draw_test_sample):
    again = draw_test_sample(5, samples[5].role)
    np.testing.assert_array_equal(again.target.frames, samples[5].target.frames)
    np.testing.assert_array_equal(again.hand_crops, samples[5].hand_crops)
    assert again.target.text == samples[5].target.text


def test_an_unknown_role_is_refused():
    with pytest.raises(InvalidRequest, match="same_view, cross_view, moving_camera"):
        draw_sample(
            np.random.default_rng(0), CpuRenderer(), sample_id="x", seed=0, size=32, num_frames=1, fps=8.0,
            role="top_view",
        )  # fmt: skip
