"""A stock model through our pipeline, and through the pipeline of diffusers that was published with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
from PIL import Image

from threedimo.checkpoints import load_pipeline
from threedimo.denoising import even_noise_levels

SIZE, NUM_FRAMES, NUM_STEPS, SEED = 32, 9, 3, 5
TEXT = "Front view. The camera arcs left."


class EvenFlow(FlowMatchEulerDiscreteScheduler):
    """Our noise levels, for a pipeline that asks for a number of steps only."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(sigmas=even_noise_levels(num_inference_steps), device=device)


@pytest.fixture(scope="module")
def stock(tiny_stock_folder: Path) -> WanImageToVideoPipeline:
    pipeline = WanImageToVideoPipeline.from_pretrained(
        tiny_stock_folder, image_encoder=None, image_processor=None, scheduler=EvenFlow(shift=3.0)
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_frames_are_those_of_the_stock_pipeline(
    stock, tiny_stock_folder, reference_image, driving_frames, scale
):
    ours = load_pipeline(str(tiny_stock_folder), untrained=True, device="cpu")
    ours.info = msgspec.structs.replace(ours.info, width=SIZE, height=SIZE)
    reference = reference_image[:SIZE, :SIZE]
    made = ours(
        reference,
        driving_frames[:NUM_FRAMES],
        TEXT,
        fps=8.0,
        num_inference_steps=NUM_STEPS,
        text_guidance_scale=scale,
        motion_guidance_scale=1.0,
        seed=SEED,
    ).frames
    noise = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(SEED))
    known = stock(
        Image.fromarray(reference),
        TEXT,
        "",
        SIZE,
        SIZE,
        NUM_FRAMES,
        NUM_STEPS,
        scale,
        latents=torch.cat([torch.zeros(1, 4, 1, 4, 4), noise], dim=2),
        output_type="np",
    ).frames[0]
    known = np.rint(known * 255).astype(np.uint8)
    assert known.std() > 0
    if scale == 1.0:
        np.testing.assert_array_equal(made, known)
    else:  # the sum of the two forwards is rounded otherwise
        assert np.abs(made.astype(int) - known).max() <= 1
