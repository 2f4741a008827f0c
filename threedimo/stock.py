"""Stock Wan models in the layout of diffusers, and how they get the method's layers: the only way to do so.

    tokenizer/  text_encoder/  vae/  transformer/  scheduler/  model_index.json

A folder becomes a pipeline with an adapter that was trained in it, or with untrained layers, as training
begins. Until then the layers add exactly nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from transformers import AutoTokenizer, UMT5EncoderModel

from threedimo.adapters import check_adapter, load_adapter, read_origin
from threedimo.components import STOCK_COMPONENT_CLASSES, require_index
from threedimo.errors import InvalidModel
from threedimo.model_files import read_object
from threedimo.model_info import adapter_folder, model_folder, model_name
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.pipeline import MotionTransferPipeline
from threedimo.weight_files import check_network, loading, require_complete, stored_shapes
from threedimo.wire.messages import ModelInfo

Attach = Callable[[WanTransformer3DModel], tuple[MotionWanTransformer3DModel, MotionEncoder, CameraEncoder]]


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


FULL_SIZE = MotionSizes({"frame_size": 224, "hand_crop_size": 32, "motion_dim": 768})


def with_untrained_layers(
    model: str, info: ModelInfo, dtype: torch.dtype, sizes: MotionSizes = FULL_SIZE
) -> MotionTransferPipeline:
    """A stock Wan model with motion layers as they are before any training.

    Args:
        model: A folder or a hub id.
        info: What it is to make, which its files do not say.
        dtype: Number format of everything but the video autoencoder, which stays float32.
        sizes: Of what is added; its values come from torch's global generator.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: It is damaged, or of an architecture that takes no clean first frame.
    """

    def attach(base: WanTransformer3DModel) -> Any:
        motion_dim = sizes.encoder["motion_dim"]
        transformer = MotionWanTransformer3DModel.from_transformer(
            base, motion_dim=motion_dim, motion_inner_dim=sizes.inner_dim, motion_num_heads=sizes.num_heads
        )
        motion_encoder = MotionEncoder(**sizes.encoder)
        camera_encoder = CameraEncoder(hidden_dim=sizes.camera_hidden_dim, motion_dim=motion_dim)
        for encoder in (motion_encoder, camera_encoder):
            torch.nn.Module.to(
                encoder, dtype
            )  # not the library's, which warns of formats that ours do not fix
        return transformer, motion_encoder, camera_encoder

    folder = model_folder(model)
    check_stock(folder)
    return _assembled(folder, info, dtype, attach)


def with_adapter(model: str, adapter: str, info: ModelInfo, dtype: torch.dtype) -> MotionTransferPipeline:
    """A stock Wan model with the layers that were trained in it.

    Args:
        model: A folder or a hub id.
        adapter: Folder of the adapter.
        info: What both make together.
        dtype: Number format of everything but the video autoencoder, which stays float32.

    Raises:
        ModelNotFound: There is no such model or adapter.
        InvalidModel: One of them is damaged, or the adapter was trained in another model.
    """
    folder, source, name = model_folder(model), adapter_folder(adapter), model_name(model)
    sizes = read_origin(source).motion_sizes()
    shape = check_stock(folder)
    with torch.device("meta"), loading(source):
        expected = MotionWanTransformer3DModel.from_transformer(shape, **sizes)
    check_adapter(source, expected, name)

    def attach(base: WanTransformer3DModel) -> Any:
        transformer = MotionWanTransformer3DModel.from_transformer(base, **sizes)
        return transformer, *load_adapter(source, transformer, base=name, dtype=dtype)

    return _assembled(folder, info, dtype, attach)


def check_stock(folder: Path) -> WanTransformer3DModel:
    """Look at everything before anything is loaded; the generator comes back without memory.

    Raises:
        InvalidModel: The folder holds no stock Wan model whose first frame enters as clean latents, or it is
            damaged.
    """
    index = require_index(folder, STOCK_COMPONENT_CLASSES)
    if (index.get("transformer_2") or [None])[0] is not None:
        raise InvalidModel(
            "the model has two generators that share the noise levels, and motion layers fit into one",
            given=folder,
            allowed="Wan2.2-TI2V-5B, Wan2.1-T2V-1.3B or Wan2.1-T2V-14B",
        )
    stored_shapes(folder / "text_encoder")
    vae = check_network(folder / "vae", AutoencoderKLWan)
    transformer = check_network(folder / "transformer", WanTransformer3DModel)
    channels, wanted = transformer.config["in_channels"], vae.config["z_dim"]
    if channels != wanted or transformer.config["image_dim"] is not None:
        raise InvalidModel(
            "the generator takes its picture by channels of its own, not as a clean first frame",
            given=f"{channels} channels in {folder}",
            allowed=f"{wanted} channels, those of its video autoencoder, as Wan2.2-TI2V-5B has",
        )
    return transformer


def _assembled(folder: Path, info: ModelInfo, dtype: torch.dtype, attach: Attach) -> MotionTransferPipeline:
    given: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    with loading(folder):
        base: Any = WanTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=dtype, **given)
        transformer, motion_encoder, camera_encoder = attach(base)
        # As loaded ones are: torch computes an encoder in training by other kernels, whose rounding differs.
        for network in (transformer, motion_encoder, camera_encoder):
            network.eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        text_encoder: Any = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype, **given)
        vae: Any = AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32, **given)
    require_complete(folder / "text_encoder", text_encoder)
    schedule = read_object(folder / "scheduler" / "scheduler_config.json")
    return MotionTransferPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        motion_encoder=motion_encoder,
        camera_encoder=camera_encoder,
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=float(schedule.get("flow_shift") or schedule.get("shift") or 1.0)
        ),
        info=info,
    )
