"""The model that is trained: one of this project, or a stock Wan model that gets untrained motion layers."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.model_files import is_stock
from threedimo.model_info import LONGEST_CLIP, model_folder, model_name, stock_info
from threedimo.pipeline import MotionTransferPipeline
from threedimo.stock import FULL_SIZE, MotionSizes, with_untrained_layers
from threedimo.wire.messages import ModelInfo
from threedimo_training.embedded.recipe import seeded


@dataclass(frozen=True)
class Clips:
    """Size and rate of the clips that are trained on."""

    width: int
    height: int
    num_frames: int
    fps: float


def load_base(
    model: str, dtype: torch.dtype, clips: Clips | None, seed: int, sizes: MotionSizes = FULL_SIZE
) -> MotionTransferPipeline:
    """Load a model on the CPU.

    Args:
        model: "embedded", a folder or a hub id, of this project or of a stock Wan model.
        dtype: Number format of transformer and text encoder; the video autoencoder stays float32.
        clips: What a stock model is to make, which only its user knows; a model of this project knows.
        seed: Of what a stock model gets.
        sizes: Of what a stock model gets.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: It cannot be trained: damaged, or of an architecture that takes no clean first frame.
        InvalidRequest: A stock model needs `clips`.
    """
    if not is_stock(model_folder(model)):
        return load_pipeline(model, device="cpu", dtype=dtype)
    if clips is None:
        raise InvalidRequest(
            "a stock model does not say what to make", given=model, remedy="give --size and --frames"
        )
    seeded(seed)
    return with_untrained_layers(model, _info(model, clips), dtype, sizes)


def _info(model: str, clips: Clips) -> ModelInfo:
    return msgspec.structs.replace(
        stock_info(model),
        id=f"threedimo-{model_name(model)}",
        trained=True,
        width=clips.width,
        height=clips.height,
        num_frames=clips.num_frames,
        max_frames=max(LONGEST_CLIP, clips.num_frames),
        fps=clips.fps,
        num_inference_steps=30,
        text_guidance_scale=3.0,
        motion_guidance_scale=2.0,
        notes="Trained from a stock Wan model.",
    )
