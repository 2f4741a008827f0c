from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.camera import MOVES, CameraPath
from threedimo.camera.rotations import matrices_from_quaternions, quaternions_from_matrices, slerp
from threedimo.errors import InvalidCameraPath


@pytest.fixture
def path(view):
    return MOVES["arc_left"](view(20, 10), 9, 8, 90, easing="linear")


def changed(path, name, index, value):
    array = getattr(path, name).copy()
    array[index] = value
    return {name: array}


def test_arrays_are_private_copies(path):
    poses = path.world_from_camera.copy()
    copy = replace(path, world_from_camera=poses)
    poses[0, 0, 3] += 1
    assert copy.world_from_camera[0, 0, 3] == path.world_from_camera[0, 0, 3]
    with pytest.raises(ValueError, match="read-only"):
        copy.world_from_camera[0, 0, 3] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: changed(p, "world_from_camera", (2, 0, 3), np.nan), "not finite"),
        (lambda p: changed(p, "world_from_camera", (2, 0, 3), 1e9), "too far"),
        (lambda p: changed(p, "world_from_camera", (2, 0, 0), 3.0), "not orthonormal in frame 2"),
        (lambda p: changed(p, "world_from_camera", (3, 3, 0), 0.5), "last row .* frame 3"),
        (
            lambda p: {"world_from_camera": p.world_from_camera * np.array([-1, 1, 1, 1.0])},
            "mirrored in frame 0",
        ),
        (lambda p: {"world_from_camera": p.world_from_camera[:, :3]}, "wrong shape"),
        (
            lambda p: {"world_from_camera": p.world_from_camera[:0], "intrinsics": p.intrinsics[:0]},
            "wrong shape",
        ),
        (lambda _: {"world_from_camera": "nonsense"}, "not an array"),
        (lambda p: {"world_from_camera": p.world_from_camera[:4]}, "differ in length"),
        (lambda p: changed(p, "intrinsics", (1, 0, 0), -500.0), "focal length .* frame 1"),
        (lambda p: changed(p, "intrinsics", (1, 0, 1), 3.0), "pinhole"),
        (lambda p: changed(p, "intrinsics", (1, 2, 2), 2.0), "pinhole"),
        (lambda p: changed(p, "intrinsics", (1, 0, 2), 1e9), "principal point"),
        (lambda _: {"width": 0}, "width"),
        (lambda _: {"height": 480.0}, "height"),
        (lambda _: {"width": True}, "width"),
        (lambda _: {"fps": 0}, "fps"),
        (lambda _: {"fps": float("nan")}, "fps"),
        (lambda _: {"fps": 10**400}, "fps"),
        (lambda _: {"subject_position": None}, "without subject_position"),
        (lambda _: {"subject_forward": (0, 0, 1)}, "horizontal"),
        (lambda _: {"subject_forward": (0, 2, 0)}, "length 1"),
        (lambda _: {"subject_position": (0, 0, np.inf)}, "not finite"),
    ],
)
def test_wrong_numbers_are_refused(path, change, message):
    with pytest.raises(InvalidCameraPath, match=message):
        replace(path, **change(path))


def test_resampling_to_the_same_times_changes_nothing(path):
    same = path.resampled(path.num_frames, path.fps)
    np.testing.assert_allclose(same.world_from_camera, path.world_from_camera, atol=1e-12)
    np.testing.assert_allclose(same.intrinsics, path.intrinsics)


def test_resampling_reads_by_time(path):
    halves = path.resampled(17, 16)
    assert halves.fps == 16
    assert halves.num_frames == 17
    np.testing.assert_allclose(halves.world_from_camera[::2], path.world_from_camera, atol=1e-12)
    # An even arc: between two frames the camera has turned by half of the step.
    half_turn = path.rotations[0].T @ halves.rotations[1]
    np.testing.assert_allclose(half_turn @ half_turn, path.rotations[0].T @ path.rotations[1], atol=1e-12)
    np.testing.assert_allclose(halves.positions[1], path.positions[:2].mean(axis=0))


def test_resampled_lens_is_linear(view):
    zoom = MOVES["zoom_in"](view(), 3, 2, 2.0, easing="linear").resampled(5, 4)
    assert zoom.intrinsics[1, 0, 0] == pytest.approx(zoom.intrinsics[[0, 2], 0, 0].mean())


def test_last_frame_is_held_for_half_a_frame_only(path):
    # The path ends at 1 s; half of its frame is 1/16 s.
    held = path.resampled(18, 16)
    np.testing.assert_allclose(held.world_from_camera[17], path.world_from_camera[8], atol=1e-12)
    with pytest.raises(InvalidCameraPath, match=r"at most 18 frames at 16 fps \(17 where"):
        path.resampled(19, 16)


@given(frames=st.integers(2, 60), fps=st.floats(1, 120), wanted=st.floats(1, 120))
@settings(deadline=None, max_examples=40)
def test_the_error_names_the_largest_count_that_fits(view, frames, fps, wanted):
    path = MOVES["static"](view(), frames, fps)
    with pytest.raises(InvalidCameraPath) as caught:
        path.resampled(50_000, wanted)
    fits = int(caught.value.allowed.split()[2])
    assert path.resampled(fits, wanted).num_frames == fits
    with pytest.raises(InvalidCameraPath):
        path.resampled(fits + 1, wanted)


def test_one_frame_is_a_static_camera(view):
    path = MOVES["static"](view(), 1, 24).resampled(33, 16)
    assert path.duration_s == 2
    assert np.ptp(path.world_from_camera, axis=0).max() < 1e-12


@pytest.mark.parametrize(("frames", "fps"), [(0, 8), (-1, 8), (5, 0), (5, float("inf")), (2.5, 8)])
def test_resampling_refuses_impossible_times(path, frames, fps):
    with pytest.raises(InvalidCameraPath):
        path.resampled(frames, fps)


def project(path, points):
    camera = (points - path.positions[0]) @ path.rotations[0]
    pixels = camera @ path.intrinsics[0].T
    return pixels[:, :2] / pixels[:, 2:]


@given(width=st.integers(16, 2000), height=st.integers(16, 2000))
@settings(deadline=None, max_examples=40)
def test_another_size_shows_the_middle_of_the_picture(view, width, height):
    path = MOVES["static"](view(15, 5), 1, 8)
    intrinsics = path.intrinsics.copy()
    intrinsics[:, :2, 2] += [30, -20]
    path = replace(path, intrinsics=intrinsics)
    points = path.subject_position + np.random.default_rng(0).normal(0, 0.5, (20, 3))
    scale = max(width / path.width, height / path.height)
    crop = (np.array([path.width, path.height]) - np.array([width, height]) / scale) / 2
    assert min(crop) >= -1e-9
    expected = (project(path, points) - crop) * scale
    np.testing.assert_allclose(project(path.for_size(width, height), points), expected, atol=1e-6)


def test_for_size_refuses_impossible_sizes(path):
    with pytest.raises(InvalidCameraPath, match="width"):
        path.for_size(0, 10)


def test_first_from_camera_starts_at_identity_and_composes(path):
    relative = path.first_from_camera
    np.testing.assert_allclose(relative[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(path.world_from_camera[0] @ relative, path.world_from_camera, atol=1e-12)


def test_quaternions_round_trip_everywhere():
    quaternions = np.random.default_rng(0).normal(size=(500, 4))
    quaternions[:4] = np.eye(4)
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    rotations = matrices_from_quaternions(quaternions)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    back = quaternions_from_matrices(rotations)
    np.testing.assert_allclose(np.abs(np.sum(back * quaternions, axis=-1)), 1)
    np.testing.assert_allclose(matrices_from_quaternions(back), rotations, atol=1e-12)


def test_slerp_takes_the_short_way_at_constant_speed():
    start = np.eye(3)[None].repeat(5, axis=0)
    angle = np.radians(170)
    end = matrices_from_quaternions(np.array([[-np.cos(angle / 2), 0, 0, -np.sin(angle / 2)]])).repeat(
        5, axis=0
    )
    turned = slerp(start, end, np.linspace(0, 1, 5))
    angles = np.arctan2(turned[:, 1, 0], turned[:, 0, 0])
    np.testing.assert_allclose(angles, np.linspace(0, angle, 5), atol=1e-12)


def test_paths_compare_by_identity(path):
    assert path != CameraPath(path.world_from_camera, path.intrinsics, path.width, path.height, path.fps)
