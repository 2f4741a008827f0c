"""Shot frames and model frames."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def make_model(installed):
    from threedimo.wire.messages import ModelInfo

    def make(num_frames=49, max_frames=121, fps=12.0, frame_step=4):
        return ModelInfo(
            id="test",
            trained=False,
            width=128,
            height=128,
            num_frames=num_frames,
            max_frames=max_frames,
            fps=fps,
            frame_step=frame_step,
            size_step=16,
            num_inference_steps=10,
            text_guidance_scale=1.0,
            motion_guidance_scale=1.0,
        )

    return make


def test_sentence_says_what_will_be_sent(addon, make_model):
    mapping = addon("timeline").plan(1, 96, 24.0, make_model())

    assert mapping.sentence() == "shot 96 frames at 24 fps -> model 49 frames at 12.25 fps; held 2"


@pytest.mark.parametrize(
    ("num_scene_frames", "scene_fps", "model_fps", "num_frames"),
    [
        (96, 24.0, 12.0, 49),
        (48, 24.0, 8.0, 17),
        (51, 24.0, 8.0, 17),
        (120, 30.0, 16.0, 65),
        (100, 24000 / 1001, 16.0, 65),
        (50, 10.0, 16.0, 49),  # never more than the scene shows
        (5, 24.0, 8.0, 5),
    ],
)
def test_length_is_one_that_the_model_makes_at_about_its_rate(
    addon, make_model, num_scene_frames, scene_fps, model_fps, num_frames
):
    mapping = addon("timeline").plan(10, 10 + num_scene_frames - 1, scene_fps, make_model(fps=model_fps))

    assert mapping.num_frames == num_frames
    assert mapping.num_frames / mapping.fps == pytest.approx(num_scene_frames / scene_fps)


@pytest.mark.parametrize(
    ("num_scene_frames", "num_frames"), [(96, 49), (48, 17), (49, 49), (7, 5), (250, 121)]
)
def test_every_result_frame_is_shown_in_order_and_at_its_time(addon, num_scene_frames, num_frames):
    mapping = addon("timeline").FrameMapping(1, num_scene_frames, 24.0, num_frames)
    shown = mapping.result_frames()

    assert len(shown) == num_scene_frames
    assert sorted(set(shown)) == list(range(num_frames))
    assert shown == sorted(shown)
    for j, frame in enumerate(shown):
        # On from its own time until the next one's.
        assert frame / mapping.fps <= j / 24.0 + 1e-9 < (frame + 1) / mapping.fps + 1e-9


def test_outside_of_the_shot_its_ends_stay(addon):
    mapping = addon("timeline").FrameMapping(10, 4, 24.0, 2)

    assert [mapping.result_frame_at(frame) for frame in (-5, 9, 10, 11, 12, 13, 14, 99)] == [
        0,
        0,
        0,
        0,
        1,
        1,
        1,
        1,
    ]


def test_shot_that_is_too_short_is_refused_with_the_frame_to_set(addon, make_model):
    from threedimo.errors import UnsupportedFrameCount

    with pytest.raises(
        UnsupportedFrameCount, match=r"given: 4 scene frames.*at least 5.*last frame to 14 or later"
    ):
        addon("timeline").plan(10, 13, 24.0, make_model())


def test_shot_that_is_too_long_is_refused_with_the_longest_that_fits(addon, make_model):
    from threedimo.errors import UnsupportedFrameCount

    model = make_model(max_frames=17, fps=8.0)

    with pytest.raises(UnsupportedFrameCount, match="at most 102 at 24 fps") as caught:
        addon("timeline").plan(1, 103, 24.0, model)
    assert "last frame to 102 or earlier" in str(caught.value)
    # What the message promises holds.
    assert addon("timeline").plan(1, 102, 24.0, model).num_frames == 17
