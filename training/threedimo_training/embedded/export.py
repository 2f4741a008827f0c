"""The embedded model as a pipeline folder, from whatever its training has reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from threedimo.model_info import LONGEST_CLIP
from threedimo.pipeline import MotionTransferPipeline
from threedimo.version import VERSION
from threedimo.wire.messages import ModelInfo
from threedimo_training.embedded.autoencoder_stage import AutoencoderStage, set_statistics
from threedimo_training.embedded.cached_clips import CachedClips
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.latent_files import LatentFolder
from threedimo_training.embedded.recipe import (
    INFERENCE_STEPS,
    MAX_TEXT_TOKENS,
    MOTION_SCALE,
    PIXELS_PER_TOKEN,
    TEXT_SCALE,
    EmbeddedRecipe,
    make_scheduler,
)
from threedimo_training.embedded.warm_up_stage import WarmUpStage
from threedimo_training.trainer.loop import state_file
from threedimo_training.trainer.state import load_state

MAX_FILE = "15MB"
NOTES = (
    "Interim small model, trained on two processor cores, on procedural people in single colours in bare "
    "places only. It makes soft {size}x{size} pictures in which the reference person, in their colours and "
    "place, follows the driver's larger movements, best where both are seen from the same side; it hears the "
    "camera, and hands and faces are lost. Photographs of real people come out as smears. It shows that the "
    "whole way works; for real shots a full-size model is needed."
)


def export(recipe: EmbeddedRecipe, work: Path, output: Path, report: Callable[[str], None]) -> None:
    """Write what has been trained so far as a pipeline folder in 16-bit safetensors.

    Raises:
        EmptyMedia: There are no clips to measure the latents on.
        FileNotFoundError: A stage has not begun.
    """
    clips = CachedClips(work / "clips")
    autoencoder = AutoencoderStage(recipe, clips)
    load_state(state_file(work, "autoencoder"), autoencoder.modules)
    set_statistics(autoencoder.autoencoder.eval(), recipe, clips)
    generator = GeneratorStage(
        recipe, clips, LatentFolder(work / "latents"), WarmUpStage(recipe, clips).encoder
    )
    step, _ = load_state(state_file(work, "generator"), generator.modules)
    averaged: dict[str, Any] = {
        name.removeprefix("ema_"): module
        for name, module in generator.modules.items()
        if name.startswith("ema_")
    }
    pipeline = MotionTransferPipeline(
        tokenizer=generator.tokenizer,
        vae=autoencoder.autoencoder,
        scheduler=make_scheduler(),
        num_lead_latents=1,
        max_text_tokens=MAX_TEXT_TOKENS,
        info=_info(recipe),
        **averaged,
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(output, safe_serialization=True, max_shard_size=MAX_FILE)
    report(f"exported step {step} of {recipe.generator_steps} to {output}")


def _info(recipe: EmbeddedRecipe) -> ModelInfo:
    return ModelInfo(
        id=f"threedimo-embedded-{VERSION}",
        trained=True,
        width=recipe.size,
        height=recipe.size,
        num_frames=recipe.num_frames,
        max_frames=LONGEST_CLIP,
        fps=recipe.fps,
        frame_step=4,
        size_step=PIXELS_PER_TOKEN,
        num_inference_steps=INFERENCE_STEPS,
        text_guidance_scale=TEXT_SCALE,
        motion_guidance_scale=MOTION_SCALE,
        notes=NOTES.format(size=recipe.size),
    )
