from __future__ import annotations

import numpy as np
import pytest
import torch

from threedimo.camera import View, moves
from threedimo.checkpoints import load_pipeline
from threedimo.errors import (
    CameraError,
    InvalidModel,
    InvalidRequest,
    JobCancelled,
    OutOfMemory,
    UnsupportedFrameCount,
    UnsupportedSize,
)
from threedimo.latents import encode_video
from threedimo.media import denormalise, fit_frames, normalise
from threedimo.models import CameraEncoder
from threedimo.pipeline import MotionTransferPipeline

PLAIN = {"text_guidance_scale": 1.0, "motion_guidance_scale": 1.0}


def count_calls(module: torch.nn.Module):
    """A list that grows with every forward of the module, and the handle to take the hook off."""
    calls: list[torch.Size] = []
    handle = module.register_forward_hook(lambda _module, inputs, _output: calls.append(inputs[0].shape))
    return calls, handle


def test_a_shot_has_the_frames_that_were_asked_for(make):
    output = make()
    assert output.frames.shape == (9, 32, 32, 3)
    assert output.frames.dtype == np.uint8
    assert output.frames.std() > 0
    assert make(5, width=64, height=16).frames.shape == (5, 16, 64, 3)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(make):
    first = make(seed=3).frames
    torch.manual_seed(1234)  # the global generator plays no part
    assert np.array_equal(make(seed=3).frames, first)
    assert not np.array_equal(make(seed=4).frames, first)


def test_the_first_frame_is_the_reference_image_as_the_autoencoder_keeps_it(make, pipeline, reference_image):
    fitted = fit_frames(reference_image[None], 32, 32)
    with torch.no_grad():
        latents = encode_video(pipeline.vae, torch.from_numpy(normalise(fitted))[None])
        mean, std = (
            torch.tensor(pipeline.vae.config[n]).view(1, 4, 1, 1, 1) for n in ("latents_mean", "latents_std")
        )
        kept = pipeline.vae.decode(latents * std + mean).sample[0].numpy()
    assert np.array_equal(make().frames[:1], denormalise(kept))


def test_motion_text_and_camera_each_change_the_frames(
    make, pipeline, reference_image, driving_frames, camera_path
):
    plain = make().frames
    assert not np.array_equal(make(prompt="Front view.").frames, plain)
    assert not np.array_equal(make(camera_path=camera_path).frames, plain)
    other_motion = pipeline(reference_image, driving_frames[9:18]).frames
    assert not np.array_equal(other_motion, plain)


def test_the_empty_text_without_camera_ignores_the_text_scale(make):
    frames = [make(text_guidance_scale=scale).frames for scale in (1.0, 7.0)]
    assert np.array_equal(*frames)


def test_a_camera_is_read_at_the_results_times_and_size(make, camera_path):
    settings = {"camera_path": camera_path, **PLAIN}
    expected = make(**settings).frames
    fitted = camera_path.resampled(9, 8.0).for_size(32, 32)
    assert np.array_equal(make(**settings | {"camera_path": fitted}).frames, expected)
    assert not np.array_equal(make(**settings, fps=16.0).frames, expected)


def test_conditions_are_encoded_once_and_the_generator_runs_once_a_step_without_guidance(
    make, pipeline, camera_path
):
    counted = [pipeline.text_encoder, pipeline.motion_encoder, pipeline.camera_encoder, pipeline.transformer]
    hooks = [count_calls(module) for module in counted]
    try:
        make(prompt="Front view.", camera_path=camera_path, num_inference_steps=4, **PLAIN)
    finally:
        for _, handle in hooks:
            handle.remove()
    texts, motion, camera, generator = (calls for calls, _ in hooks)
    assert len(texts) == 2  # the text and the empty text
    assert motion == [(1, 3, 9, 32, 32)]
    assert camera == [(1, 9, pipeline.camera_encoder.config.num_hints)]
    assert generator == [(1, 4, 3, 4, 4)] * 4


def test_steps_are_reported_phase_by_phase_with_previews_on_demand(make, pipeline):
    decoded, handle = count_calls(pipeline.vae.decoder)
    steps, previews = [], []

    def on_step(step):
        steps.append(step)
        if step.preview is not None:
            before = len(decoded)
            previews.append(step.preview())
            assert len(decoded) == before + 1

    try:
        output = make(on_step=on_step)
        calls_with_previews = len(decoded)
        make(on_step=lambda _: None)
    finally:
        handle.remove()
    assert [(step.phase, step.step, step.num_steps) for step in steps] == [
        ("encoding", 0, 1),
        ("encoding", 1, 1),
        ("denoising", 0, 2),
        ("denoising", 1, 2),
        ("denoising", 2, 2),
        ("rendering", 0, 3),
        ("rendering", 1, 3),
        ("rendering", 2, 3),
        ("rendering", 3, 3),
    ]
    assert [preview.shape for preview in previews] == [(32, 32, 3)] * 2
    assert {step.preview_frame for step in steps if step.preview} == {4}
    assert len(decoded) - calls_with_previews == 3  # a preview nobody asked for was not made
    assert np.array_equal(make().frames, output.frames)
    assert output.seconds.keys() == {"encoding", "denoising", "rendering"}
    assert all(seconds > 0 for seconds in output.seconds.values())


@pytest.mark.parametrize("stop_at", [("encoding", 1), ("denoising", 1), ("rendering", 0), ("rendering", 2)])
def test_a_shot_stops_at_the_step_at_which_it_is_asked_to(make, stop_at):
    seen = []

    def should_stop() -> bool:
        return seen[-1] == stop_at

    with pytest.raises(JobCancelled, match=f"while {stop_at[0]}, at step {stop_at[1]}"):
        make(on_step=lambda step: seen.append((step.phase, step.step)), should_stop=should_stop)
    assert seen[-1] == stop_at


def test_a_cancelled_shot_leaves_nothing_behind(make):
    expected = make().frames
    with pytest.raises(JobCancelled):
        make(17, should_stop=iter([False, False, False, True]).__next__)
    assert np.array_equal(make().frames, expected)


def test_bfloat16_makes_nearly_the_same_frames(tiny_pipeline_folder, make, reference_image, driving_frames):
    half = load_pipeline(str(tiny_pipeline_folder), device="cpu", dtype=torch.bfloat16)
    assert half.transformer.dtype == half.motion_encoder.dtype == half.text_encoder.dtype == torch.bfloat16
    assert half.vae.dtype == torch.float32
    frames = half(reference_image, driving_frames[:9], **PLAIN).frames
    difference = frames.astype(float) - make(**PLAIN).frames
    assert 0 < np.abs(difference).mean() < 2


def test_footage_may_be_read_at_the_size_that_the_encoder_sees(pipeline, reference_image, driving_frames):
    large = np.repeat(np.repeat(driving_frames[:5], 3, axis=1), 4, axis=2)
    fitted = fit_frames(large, *pipeline.driving_size)
    assert fitted.shape[1:3] == pipeline.driving_size[::-1]
    of_fitted, of_large = (pipeline(reference_image, frames).frames for frames in (fitted, large))
    np.testing.assert_array_equal(of_fitted, of_large)


def test_other_frame_counts_and_sizes_are_refused(make):
    with pytest.raises(UnsupportedFrameCount, match="choose 5 or 9"):
        make(7)
    with pytest.raises(UnsupportedSize, match="choose 32x48"):
        make(width=33, height=50)


def test_driving_frames_must_be_as_many_as_the_results(pipeline, reference_image, driving_frames):
    with pytest.raises(InvalidRequest, match="given: 9 driving frames for 13 frames"):
        pipeline(reference_image, driving_frames[:9], num_frames=13)


@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)]
)
def test_pictures_that_are_not_uint8_rgb_are_refused_by_name(
    pipeline, reference_image, driving_frames, wrong
):
    with pytest.raises(InvalidRequest, match="reference_image is"):
        pipeline(wrong, driving_frames[:9])
    with pytest.raises(InvalidRequest, match="driving_frames is"):
        pipeline(reference_image, np.repeat(wrong[None], 9, axis=0))


def test_a_camera_that_ends_before_the_shot_is_refused(make):
    path = moves.arc_left(View.around((0.0, 0.0, 0.9)), num_frames=5, fps=8.0)
    with pytest.raises(CameraError, match="at most 5 frames"):
        make(camera_path=path)


def test_too_little_memory_is_named_with_the_shot(make, pipeline):
    def exhausted(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = pipeline.transformer.register_forward_pre_hook(exhausted)
    try:
        with pytest.raises(OutOfMemory, match="9 frames of 32x32 on cpu"):
            make()
    finally:
        handle.remove()


def test_parts_of_different_models_are_refused_with_both_numbers(pipeline):
    parts = dict(pipeline.components) | {"camera_encoder": CameraEncoder(hidden_dim=8, motion_dim=12)}
    with pytest.raises(InvalidModel, match=r"width of camera tokens \(given: 12\). Allowed: 16"):
        MotionTransferPipeline(**parts, info=pipeline.info)
    with pytest.raises(InvalidModel, match="description of its model"):
        MotionTransferPipeline(**pipeline.components)
