"""Clips longer than the model's own 9 frames (3 latent frames), made window by window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from threedimo.camera import camera_hints
from threedimo.checkpoints import load_pipeline
from threedimo.media import fit_frames, normalise

PLAIN = {"text_guidance_scale": 1.0, "motion_guidance_scale": 1.0}


@pytest.fixture
def heard(pipeline):
    """Everything that goes into the networks during a test, by component."""
    calls: dict[str, list] = {"motion_encoder": [], "camera_encoder": [], "transformer": []}
    handles = [
        getattr(pipeline, name).register_forward_hook(
            lambda _module, inputs, keywords, output, name=name: calls[name].append(
                (inputs, keywords, output)
            ),
            with_kwargs=True,
        )
        for name in calls
    ]
    yield calls
    for handle in handles:
        handle.remove()


def test_a_long_clip_begins_exactly_as_the_short_one(make):
    assert np.array_equal(make(21, seed=5).frames[:9], make(9, seed=5).frames)


def test_each_window_hears_its_own_stretch_of_motion_and_camera_once(
    make, heard, driving_frames, camera_path
):
    make(21, camera_path=camera_path, **PLAIN)
    fitted = fit_frames(driving_frames[:21], 32, 32)
    motion = [inputs[0] for inputs, _, _ in heard["motion_encoder"]]
    # Latent frames 0-2, 2-4, 4-5: video frames 0-8, 8-16, 16-20.
    stretches = [slice(0, 9), slice(8, 17), slice(16, 21)]
    assert len(motion) == len(stretches)
    for frames, stretch in zip(motion, stretches, strict=True):
        assert np.array_equal(frames[0].numpy(), normalise(fitted[stretch]))

    path = camera_path.resampled(21, 8.0).for_size(32, 32)
    hints = [inputs[0][0].numpy() for inputs, _, _ in heard["camera_encoder"]]
    assert len(hints) == len(stretches)
    for given, stretch in zip(hints, stretches, strict=True):
        own = dataclasses.replace(
            path, world_from_camera=path.world_from_camera[stretch], intrinsics=path.intrinsics[stretch]
        )
        assert np.array_equal(given, camera_hints(own))
        assert not given[0, :3].any()  # a window's camera starts from the window's own first frame

    tokens = [keywords["motion_tokens"] for _, keywords, _ in heard["transformer"]]
    encoded = [output for _, _, output in heard["motion_encoder"]]
    for index, given in enumerate(tokens):
        assert torch.equal(given, encoded[index // 2])  # two steps a window


@pytest.mark.parametrize("num_lead_latents", [1, 2])
def test_a_window_starts_with_exactly_the_last_latents_of_the_one_before(
    tiny_pipeline_folder, reference_image, driving_frames, num_lead_latents
):
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    pipeline.register_to_config(num_lead_latents=num_lead_latents)
    inputs, decoded = [], []
    pipeline.transformer.register_forward_hook(lambda _m, args, _o: inputs.append((args[0], args[1])))
    pipeline.vae.post_quant_conv.register_forward_hook(lambda _m, args, _o: decoded.append(args[0]))
    pipeline(reference_image, driving_frames[:17], **PLAIN)

    mean, std = (
        torch.tensor(pipeline.vae.config[n]).view(1, 4, 1, 1, 1) for n in ("latents_mean", "latents_std")
    )
    clip = (torch.cat(decoded, dim=2) - mean) / std
    assert clip.shape[2] == 5
    starts = {1: [0, 0, 2, 2], 2: [0, 0, 1, 1, 2, 2]}[num_lead_latents]
    assert len(inputs) == len(starts)
    for (latents, timesteps), start in zip(inputs, starts, strict=True):
        lead = 1 if start == 0 else num_lead_latents
        torch.testing.assert_close(latents[:, :, :lead], clip[:, :, start : start + lead])
        assert not timesteps[:, :lead].any()
        assert timesteps[:, lead:].all()


def test_steps_count_over_all_windows_and_previews_show_where_they_are(make):
    steps = []
    make(21, on_step=steps.append)
    denoising = [step for step in steps if step.phase == "denoising"]
    assert [(step.step, step.num_steps) for step in denoising] == [(n, 6) for n in range(7)]
    assert [step.preview_frame for step in denoising[1:]] == [4, 4, 12, 12, 20, 20]
    assert [step.num_steps for step in steps if step.phase == "rendering"] == [6] * 7


def test_the_longest_clip_can_be_made(make, pipeline):
    assert make(pipeline.info.max_frames, num_inference_steps=1).frames.shape == (33, 32, 32, 3)


def test_no_network_sees_more_of_a_long_clip_than_of_a_short_one(pipeline, make):
    """Memory of the device does not grow with the clip, but for its latents."""
    largest: dict[str, int] = {}

    def note(name, tensors):
        sizes = [tensor.numel() for tensor in tensors if isinstance(tensor, torch.Tensor)]
        largest[name] = max([largest.get(name, 0), *sizes])

    parts = {
        "transformer": pipeline.transformer,
        "motion_encoder": pipeline.motion_encoder,
        "decoder": pipeline.vae.decoder,
    }
    handles = [
        part.register_forward_pre_hook(
            lambda _, inputs, keywords, name=name: note(name, (*inputs, *keywords.values())), with_kwargs=True
        )
        for name, part in parts.items()
    ]
    make(9, num_inference_steps=1)
    short = dict(largest)
    make(33, num_inference_steps=1)
    for handle in handles:
        handle.remove()
    assert set(short) == set(parts)
    assert largest == short


def test_a_compiled_generator_is_compiled_once_for_all_steps_and_windows(
    tiny_pipeline_folder, reference_image, driving_frames
):
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    inputs = reference_image, driving_frames[:17]  # two windows of equal length
    plain = pipeline(*inputs, num_inference_steps=3).frames
    torch._dynamo.reset()
    pipeline.transformer.compile_repeated_blocks(fullgraph=True, backend="eager", dynamic=False)
    pipeline(*inputs, num_inference_steps=1)
    with torch._dynamo.config.patch(error_on_recompile=True):
        compiled = pipeline(*inputs, num_inference_steps=3).frames
    assert np.abs(compiled.astype(int) - plain).max() <= 1
