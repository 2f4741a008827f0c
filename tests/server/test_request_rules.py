"""What is refused at submit, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath, InvalidRequest, UnsupportedFrameCount, UnsupportedSize
from threedimo.wire.messages import CameraTrack, Footage, ModelInfo
from threedimo_server.request_rules import resolve_request


def camera(num_frames: int, fps: float = 8.0) -> tuple[CameraTrack, bytes]:
    poses = np.tile(np.eye(4), (num_frames, 1, 1))
    lens = np.tile([[40.0, 0.0, 16.0], [0.0, 40.0, 16.0], [0.0, 0.0, 1.0]], (num_frames, 1, 1))
    path = CameraPath(poses, lens, 32, 32, fps)
    return CameraTrack(num_frames=num_frames, fps=fps, width=32, height=32), path.to_bytes()


def test_defaults_of_the_model_take_the_place_of_none(inputs: Any, tiny_info: ModelInfo) -> None:
    resolved = resolve_request(inputs.request("walks", seed=3), None, [tiny_info])
    assert (resolved.num_frames, resolved.fps, resolved.width, resolved.height) == (9, 8.0, 32, 32)
    assert (resolved.num_inference_steps, resolved.seed, resolved.text) == (4, 3, "walks")


def test_a_preset_is_resolved_to_its_numbers(inputs: Any, tiny_info: ModelInfo) -> None:
    resolved = resolve_request(inputs.request(preset="draft", num_inference_steps=5), None, [tiny_info])
    assert (resolved.preset, resolved.num_inference_steps, resolved.step_cache) == ("draft", 5, "taylor:2")
    assert resolve_request(resolved, None, [tiny_info]) == resolved, "a worker reads it likewise"
    plain = resolve_request(inputs.request(), None, [tiny_info])
    assert (plain.preset, plain.step_cache) == ("", "none")


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"preset": "best"}, "draft, standard, final"), ({"step_cache": "mag:0.1"}, "calibrate")],
)
def test_a_preset_or_cache_that_the_model_has_not_is_refused(
    fields: dict[str, str], says: str, inputs: Any, tiny_info: ModelInfo
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        resolve_request(inputs.request(**fields), None, [tiny_info])


@pytest.mark.parametrize(
    ("num_frames", "choices"), [(10, "choose 9 or 13"), (35, "choose 33"), (34, "choose 33"), (2, "choose 5")]
)
def test_a_wrong_frame_count_is_told_the_nearest(
    num_frames: int, choices: str, inputs: Any, tiny_info: ModelInfo
) -> None:
    with pytest.raises(UnsupportedFrameCount, match=choices):
        resolve_request(inputs.request(num_frames=num_frames), None, [tiny_info])


def test_a_wrong_size_is_told_the_nearest(inputs: Any, tiny_info: ModelInfo) -> None:
    with pytest.raises(UnsupportedSize, match="choose 48x32"):
        resolve_request(inputs.request(width=50), None, [tiny_info])


def test_frames_far_from_the_trained_area_are_refused(inputs: Any, tiny_info: ModelInfo) -> None:
    assert resolve_request(inputs.request(width=64, height=32), None, [tiny_info]).width == 64
    with pytest.raises(UnsupportedSize, match=r"too large.*choose 32x32"):
        resolve_request(inputs.request(width=64, height=64), None, [tiny_info])


def test_pictures_need_a_frame_rate(inputs: Any, tiny_info: ModelInfo) -> None:
    with pytest.raises(InvalidRequest, match="frame rate"):
        resolve_request(inputs.request(driving_footage=Footage(files=inputs.driving)), None, [tiny_info])


def test_a_sequence_that_ends_early_is_told_what_fits(inputs: Any, tiny_info: ModelInfo) -> None:
    assert resolve_request(inputs.request(num_frames=9), None, [tiny_info]).num_frames == 9
    with pytest.raises(InvalidRequest, match="at most 9 frames"):
        resolve_request(inputs.request(num_frames=13), None, [tiny_info])
    late = Footage(files=inputs.driving, fps=8.0, start_s=0.5)
    with pytest.raises(InvalidRequest, match="at most 5 frames"):
        resolve_request(inputs.request(driving_footage=late), None, [tiny_info])


def test_one_video_is_left_to_its_decoder(inputs: Any, tiny_info: ModelInfo) -> None:
    video = Footage(files=inputs.driving[:1])
    assert resolve_request(inputs.request(driving_footage=video), None, [tiny_info]).num_frames == 9


def test_a_camera_must_last(inputs: Any, tiny_info: ModelInfo) -> None:
    for num_frames in (1, 9):
        track, body = camera(num_frames)
        resolve_request(inputs.request(camera=track), body, [tiny_info])
    track, body = camera(6)
    with pytest.raises(InvalidCameraPath, match="ends before"):
        resolve_request(inputs.request(camera=track), body, [tiny_info])


def test_numbers_that_are_no_camera_are_refused(inputs: Any, tiny_info: ModelInfo) -> None:
    track, body = camera(1)
    with pytest.raises(InvalidCameraPath):
        resolve_request(inputs.request(camera=track), bytes(len(body)), [tiny_info])
