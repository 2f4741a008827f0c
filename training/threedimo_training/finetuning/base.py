"""The model that is trained: one of this project, or a stock Wan model that gets untrained motion layers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import nn
from transformers import AutoTokenizer, UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel, InvalidRequest
from threedimo.model_info import INDEX_NAME, model_folder
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.models.transformer_wan import MOTION_LAYER
from threedimo.pipeline import MotionTransferPipeline
from threedimo.wire.messages import ModelInfo
from threedimo_training.embedded.recipe import seeded
from threedimo_training.samples.hands import HAND_CROP_SIZE

_STOCK_CLASSES = ("WanPipeline", "WanImageToVideoPipeline")
_FINGERPRINT_VALUES = 64


@dataclass(frozen=True)
class Clips:
    """Size and rate of the clips that are trained on."""

    width: int
    height: int
    num_frames: int
    fps: float


@dataclass(frozen=True)
class MotionSizes:
    """Sizes of what a stock model gets; the defaults suit the 1.3B, 5B and 14B generators.

    Attributes:
        encoder: Arguments of `MotionEncoder`.
        inner_dim: Inner width of the motion attention.
        num_heads: Its heads.
        camera_hidden_dim: Width inside the camera encoder.
    """

    encoder: dict[str, int]
    inner_dim: int = 512
    num_heads: int = 8
    camera_hidden_dim: int = 512


FULL_SIZE = MotionSizes({"frame_size": 224, "motion_dim": 768})


def is_stock(model: str) -> bool:
    """Whether this is a Wan model without motion layers.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: It is neither a Wan model nor one of this project.
    """
    folder = model_folder(model)
    try:
        index: Any = json.loads((folder / INDEX_NAME).read_bytes())
        name = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidModel(f"{INDEX_NAME} is missing or damaged", given=folder) from error
    allowed = (MotionTransferPipeline.__name__, *_STOCK_CLASSES)
    if name not in allowed:
        raise InvalidModel("this kind of model cannot be trained", given=name, allowed=", ".join(allowed))
    return name in _STOCK_CLASSES


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
    if not is_stock(model):
        return load_pipeline(model, device="cpu", dtype=dtype)
    if clips is None:
        raise InvalidRequest(
            "a stock model does not say what to make", given=model, remedy="give --size and --frames"
        )
    seeded(seed)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return _attached(model_folder(model), dtype, clips, sizes)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise InvalidModel(f"the model cannot be loaded: {error}", given=model) from error


def _attached(folder: Path, dtype: torch.dtype, clips: Clips, sizes: MotionSizes) -> MotionTransferPipeline:
    given: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    text_encoder: Any = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype, **given)
    vae: Any = AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32, **given)
    stock: Any = WanTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=dtype, **given)
    motion_dim = sizes.encoder["motion_dim"]
    transformer = MotionWanTransformer3DModel.from_transformer(
        stock, motion_dim=motion_dim, motion_inner_dim=sizes.inner_dim, motion_num_heads=sizes.num_heads
    )
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_bytes())
    pixels_a_token = vae.config["scale_factor_spatial"] * transformer.config["patch_size"][1]
    return MotionTransferPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        motion_encoder=MotionEncoder(hand_crop_size=HAND_CROP_SIZE, **sizes.encoder),
        camera_encoder=CameraEncoder(hidden_dim=sizes.camera_hidden_dim, motion_dim=motion_dim),
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=float(scheduler.get("flow_shift") or scheduler.get("shift") or 1.0)
        ),
        info=ModelInfo(
            id=f"threedimo-{folder.resolve().name}"[:64],
            trained=True,
            width=clips.width,
            height=clips.height,
            num_frames=clips.num_frames,
            max_frames=2 * clips.num_frames - 1,
            fps=clips.fps,
            frame_step=vae.config["scale_factor_temporal"],
            size_step=pixels_a_token,
            num_inference_steps=30,
            text_guidance_scale=3.0,
            motion_guidance_scale=2.0,
            notes="Trained from a stock Wan model.",
        ),
    )


def fingerprint(module: nn.Module, *, without: str = "\0") -> str:
    """Name a network by a sample of every tensor's values, which is quick and tells fine-tunes apart.

    Args:
        module: The same weights in 16 or 32 bits have the same name.
        without: Leave out the tensors whose names hold this.
    """
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if without in name:
            continue
        values = tensor.detach().flatten()
        sample = values[:: max(1, len(values) // _FINGERPRINT_VALUES)][:_FINGERPRINT_VALUES]
        found.update(f"{name} {tuple(tensor.shape)} ".encode())
        found.update(sample.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    return found.hexdigest()[:32]


def backbone_fingerprint(transformer: MotionWanTransformer3DModel) -> str:
    """Name the generator that motion layers are trained in."""
    return fingerprint(transformer, without=f".{MOTION_LAYER}.")
