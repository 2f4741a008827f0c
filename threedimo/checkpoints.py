"""Loads a whole model by name: the embedded one, a folder, or one of the hub, with an adapter or without.

A folder is looked at before anything of it is loaded: it may name only the classes that a model consists of,
and its weights must be complete safetensors files of the right shapes. Pickled weights and code are never
read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from threedimo.components import COMPONENT_CLASSES, require_index
from threedimo.errors import InvalidRequest
from threedimo.kernels import check_attention, choose_attention, compile_blocks
from threedimo.memory_plans import check_plan, fit_to_device
from threedimo.model_files import is_stock
from threedimo.model_info import (
    AUTO_PLAN,
    EMBEDDED,
    FEW_STEPS,
    NATIVE_ATTENTION,
    model_folder,
    model_name,
    read_model_info,
    with_step_lora,
)
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.pipeline import MotionTransferPipeline
from threedimo.step_lora import merge_step_lora
from threedimo.stock import with_adapter, with_untrained_layers
from threedimo.weight_files import check_network, loading, require_complete, stored_shapes

_NETWORKS: dict[str, Any] = {
    "vae": AutoencoderKLWan,
    "transformer": MotionWanTransformer3DModel,
    "motion_encoder": MotionEncoder,
    "camera_encoder": CameraEncoder,
}


def load_pipeline(
    model: str = EMBEDDED,
    adapter: str | None = None,
    *,
    untrained: bool = False,
    lora: str | None = None,
    lora_steps: int = FEW_STEPS,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    memory: str = AUTO_PLAN,
    attention: str = NATIVE_ATTENTION,
    compiled: bool = False,
) -> MotionTransferPipeline:
    """Load a model, ready to be called.

    Args:
        model: "embedded" for the small model inside the package, the path of a folder, or a hub id
            ("organisation/name"), the only kind that uses the network. A model of this project, or a stock
            Wan model in the layout of diffusers, for example Wan2.2-TI2V-5B's.
        adapter: Folder that `threedimo-train finetune-export` or `MotionTransferPipeline.save_adapter` wrote;
            it must have been trained in this very model.
        untrained: Load a stock Wan model without an adapter, in which motion and camera do nothing.
        lora: File of a LoRA for few steps, which is merged into the generator (`threedimo.step_lora`).
        lora_steps: Denoising steps that it was made for.
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1" and so on.
        dtype: Number format of the networks; None means bfloat16 on CUDA and float32 on the CPU. The video
            autoencoder always stays float32, whose rounding can be seen in the pixels.
        memory: Plan of `threedimo.memory_plans`; "auto" is the fastest that fits into the free memory.
        attention: Kernel of `threedimo.kernels`, for all that this process computes.
        compiled: Compile the generator's blocks, see `threedimo.kernels`.

    Raises:
        ModelNotFound: There is no such model or adapter.
        UntrainedModel: It is a stock Wan model, and there is neither an adapter nor `untrained`.
        InvalidModel: Files are missing, damaged, or do not fit together.
        InvalidRequest: This machine has no such device, there is no such plan or attention kernel, or
            `untrained` was asked of what is trained.
    """
    chosen_device = choose_device(device)
    check_plan(memory, chosen_device)
    check_attention(attention)
    if dtype is None:
        dtype = torch.bfloat16 if chosen_device.type == "cuda" else torch.float32
    info = read_model_info(model, adapter, untrained=untrained)
    told = info if lora is None else with_step_lora(info, lora, lora_steps)
    if untrained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            pipeline = with_untrained_layers(model, info, dtype)
    elif adapter is None:
        pipeline = _load_own(model_folder(model), dtype)
    elif is_stock(model_folder(model)):
        pipeline = with_adapter(model, adapter, info, dtype)
    else:
        pipeline = _load_own(model_folder(model), dtype)
        pipeline.load_adapter(adapter, base=model_name(model))
    if lora is not None:
        merge_step_lora(pipeline.transformer, Path(lora).expanduser())
        pipeline.info = told
    fit_to_device(pipeline, memory, chosen_device)
    if attention != NATIVE_ATTENTION:
        choose_attention(pipeline.transformer, attention)
    if compiled:
        compile_blocks(pipeline.transformer, pipeline.memory_plan)
    return pipeline


def _load_own(folder: Path, dtype: torch.dtype) -> MotionTransferPipeline:
    require_index(folder, COMPONENT_CLASSES)
    stored_shapes(folder / "text_encoder")
    for name, cls in _NETWORKS.items():
        check_network(folder / name, cls)
    with loading(folder):
        pipeline = MotionTransferPipeline.from_pretrained(
            folder, dtype={"default": dtype, "vae": torch.float32}, local_files_only=True
        )
    require_complete(folder / "text_encoder", pipeline.text_encoder)
    return pipeline


def choose_device(device: str) -> torch.device:
    """The device of a name.

    Args:
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1" and so on.

    Raises:
        InvalidRequest: This machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        allowed = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise InvalidRequest(
            "this machine has no such device", given=device, allowed=", ".join(allowed)
        ) from error
