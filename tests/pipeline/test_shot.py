from __future__ import annotations

import math

import pytest

from threedimo.errors import InvalidRequest, UnsupportedFrameCount
from threedimo.shot import Shot
from threedimo.wire.messages import ModelInfo

INFO = ModelInfo(
    id="x",
    trained=False,
    width=832,
    height=480,
    num_frames=121,
    max_frames=483,
    fps=24.0,
    frame_step=4,
    size_step=32,
    num_inference_steps=30,
    text_guidance_scale=5.0,
    motion_guidance_scale=2.0,
)


def test_the_models_defaults_fill_in_what_is_not_said():
    shot = Shot.checked(INFO, seed=7)
    assert (shot.num_frames, shot.fps, shot.width, shot.height) == (121, 24.0, 832, 480)
    assert (shot.num_inference_steps, shot.text_guidance_scale, shot.motion_guidance_scale) == (30, 5.0, 2.0)
    assert shot.seed == 7


def test_zero_is_a_value_and_not_a_missing_one():
    assert Shot.checked(INFO, text_guidance_scale=0.0).text_guidance_scale == 0.0


@pytest.mark.parametrize("num_frames", [5, 9, 121, 481])
def test_frame_counts_of_4k_plus_1_are_made(num_frames):
    assert Shot.checked(INFO, num_frames=num_frames).num_frames == num_frames


@pytest.mark.parametrize(
    ("num_frames", "nearest"),
    [(50, "49 or 53"), (6, "5 or 9"), (1, "5"), (0, "5"), (-3, "5"), (482, "481"), (10_001, "481")],
)
def test_other_frame_counts_are_refused_with_the_nearest(num_frames, nearest):
    with pytest.raises(
        UnsupportedFrameCount, match=rf"given: {num_frames}\).*from 5 to 481.*choose {nearest}\.$"
    ):
        Shot.checked(INFO, num_frames=num_frames)


@pytest.mark.parametrize(
    "setting",
    [
        {"fps": 0.0},
        {"fps": 241.0},
        {"fps": math.nan},
        {"num_inference_steps": 0},
        {"num_inference_steps": 201},
        {"text_guidance_scale": -0.1},
        {"motion_guidance_scale": math.inf},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(setting):
    (name,) = setting
    with pytest.raises(InvalidRequest, match=f"{name} is out of range"):
        Shot.checked(INFO, **setting)
