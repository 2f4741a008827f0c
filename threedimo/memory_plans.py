"""Four ways to fit a model into a device's memory, from the fastest to the smallest.

    full     every network stays on the device
    offload  only the network that works is there; each travels once a shot
    fp8      as offload; generator and text encoder are stored in 8 bits and computed in 16, layer by layer
    tiny     as fp8, but the blocks of both come to the device one at a time, in every step

All of it is diffusers' and accelerate's own machinery; here is only the choice. How much a shot needs beside
the weights is estimated from the networks' sizes and was not measured on a GPU yet; a worker steps down to
the next plan when the estimate was too low.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import torch
from diffusers.hooks.group_offloading import apply_group_offloading
from diffusers.hooks.layerwise_casting import apply_layerwise_casting
from torch import nn

from threedimo.errors import InvalidRequest, OutOfMemory
from threedimo.kernels import COMPILED_PLANS, interpret_blocks
from threedimo.model_info import AUTO_PLAN, MEMORY_PLANS

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline
    from threedimo.shot import Shot

logger = logging.getLogger(__name__)

MemoryPlan = Literal["full", "offload", "fp8", "tiny"]
PLANS: tuple[MemoryPlan, ...] = get_args(MemoryPlan)
assert PLANS == MEMORY_PLANS  # which programs without torch know

_STORED = torch.float8_e4m3fn
_CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""What diffusers casts, unless its name matches one of `_KEPT`."""
_KEPT = {
    # small, read once, or new: what 8 bits would harm most for the least gain
    "transformer": ("patch_embedding", "condition_embedder", "norm", "proj_out", "motion_attn"),
    # the text encoder looks at the type of this layer's weights itself, before they are cast
    "text_encoder": (r"\.wo$",),
}

_BYTES_PER_TOKEN_WIDTH = 80
"""Of the generator's activations, for each token and each unit of its width: residual, attention,
feed-forward, and the modulation that every token has of its own; one branch of the guidance at a time."""
_BYTES_PER_PIXEL_WIDTH = 32
"""Of the video decoder's, for each pixel of the frames that it makes at once and each channel of its last
level: the activations that live at the same time, and what its convolutions keep of past frames."""
_FRAMES_AT_ONCE = 4
_USABLE = 0.95


def choose_plan(pipeline: MotionTransferPipeline, free_bytes: int) -> MemoryPlan:
    """The fastest plan that fits, or "tiny" if none does.

    Args:
        pipeline: The model, for its networks and the shot that it is made for.
        free_bytes: Of the device.
    """
    for plan in PLANS:
        if needed_bytes(pipeline, plan) <= _USABLE * free_bytes:
            return plan
    return "tiny"


def needed_bytes(pipeline: MotionTransferPipeline, plan: MemoryPlan) -> int:
    """How much of the device a shot of the model's own length and size takes, estimated."""
    sizes = {name: _bytes_of(module) for name, module in _networks(pipeline).items()}
    work = max(_generator_work_bytes(pipeline), _decoder_work_bytes(pipeline))
    if plan == "full":
        return sum(sizes.values()) + work
    if plan != "offload":
        for name, kept in _KEPT.items():
            sizes[name] -= _bytes_saved(_networks(pipeline)[name], kept)
    if plan != "tiny":
        return max(sizes.values()) + work
    block = sizes["transformer"] // len(pipeline.transformer.blocks)
    resident = sum(size for name, size in sizes.items() if name not in ("transformer", "text_encoder"))
    return resident + 2 * block + work  # one block works while the next arrives


def apply_plan(pipeline: MotionTransferPipeline, plan: MemoryPlan, device: torch.device) -> None:
    """Put a model's networks where a plan wants them. From "fp8" on there is no way back but to load it anew.

    Args:
        pipeline: Whose networks are anywhere.
        plan: Not an earlier one than before.
        device: Where they work.
    """
    pipeline.remove_all_hooks()
    if plan not in COMPILED_PLANS:
        interpret_blocks(pipeline.transformer)
    if plan in ("fp8", "tiny"):
        for name, kept in _KEPT.items():
            _store_in_8_bits(_networks(pipeline)[name], kept)
    if plan == "full":
        pipeline.to(device)
    elif plan == "tiny":
        pipeline.to("cpu")
        _stream_blocks(pipeline, device)
    else:
        pipeline.enable_model_cpu_offload(device=device)
    pipeline.memory_plan = plan
    if pipeline.token_cache is not None:
        pipeline.token_cache.clear()  # 8 bits give other tokens


def check_plan(plan: str, device: torch.device) -> None:
    """Refuse a plan that is not possible, before a model is loaded for it.

    Args:
        plan: One of `PLANS`, or "auto"; a CPU takes "full" alone.
        device: Where the model will work.

    Raises:
        InvalidRequest: There is no such plan, or the device is a CPU.
    """
    if plan not in (AUTO_PLAN, *PLANS):
        allowed = ", ".join((AUTO_PLAN, *PLANS))
        raise InvalidRequest("there is no such memory plan", given=plan, allowed=allowed)
    if device.type == "cpu" and plan not in (AUTO_PLAN, "full"):
        raise InvalidRequest(
            "memory plans move networks to a GPU and back; a CPU has one memory for all",
            given=plan,
            allowed="auto, full",
        )


def fit_to_device(pipeline: MotionTransferPipeline, plan: str, device: torch.device) -> None:
    """Apply a plan by name; "auto" is the fastest that fits.

    Args:
        pipeline: Just loaded, on the CPU.
        plan: As `check_plan` wants it.
        device: Where the model works.
    """
    if device.type == "cpu":
        chosen: MemoryPlan = "full"
    elif plan == AUTO_PLAN:
        free_bytes = torch.cuda.mem_get_info(device)[0]
        chosen = choose_plan(pipeline, free_bytes)
        needed = needed_bytes(pipeline, chosen)
        logger.info("memory plan %s: about %.1f of %.1f GB", chosen, needed / 1e9, free_bytes / 1e9)
    else:
        chosen = PLANS[PLANS.index(plan)]
    apply_plan(pipeline, chosen, device)


def step_down(pipeline: MotionTransferPipeline, device: torch.device) -> bool:
    """Go on with the next smaller plan. Returns false where there is none: on a CPU, and after "tiny"."""
    if device.type == "cpu" or pipeline.memory_plan == PLANS[-1]:
        return False
    apply_plan(pipeline, PLANS[PLANS.index(pipeline.memory_plan) + 1], device)
    return True


@contextmanager
def enough_memory(pipeline: MotionTransferPipeline, shot: Shot, device: torch.device) -> Iterator[None]:
    """Say plainly when a shot needs more memory than there is; send networks back, however it ends.

    Args:
        pipeline: That makes the shot inside the block.
        shot: For the message.
        device: Where the networks work.

    Raises:
        OutOfMemory: Instead of torch's own error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            "the device has too little memory for this shot",
            given=f"{shot.num_frames} frames of {shot.width}x{shot.height} on {device}",
            remedy="choose a smaller size, or close other programs that use the device",
        ) from error
    finally:
        pipeline.maybe_free_model_hooks()


def _networks(pipeline: MotionTransferPipeline) -> dict[str, nn.Module]:
    return {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}


def _bytes_of(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def _bytes_saved(network: nn.Module, kept: tuple[str, ...]) -> int:
    """How much smaller a network becomes in 8 bits."""
    cast = (
        module
        for name, module in network.named_modules()
        if isinstance(module, _CAST) and not any(re.search(pattern, name) for pattern in kept)
    )
    tensors = (parameter for module in cast for parameter in module.parameters())
    return sum(tensor.numel() * (tensor.element_size() - _STORED.itemsize) for tensor in tensors)


def _generator_work_bytes(pipeline: MotionTransferPipeline) -> int:
    info, config, vae = pipeline.info, pipeline.transformer.config, pipeline.vae.config
    num_latent_frames = (info.num_frames - 1) // vae["scale_factor_temporal"] + 1
    patch = config["patch_size"]
    tokens = num_latent_frames // patch[0]
    for pixels, side in ((info.height, patch[1]), (info.width, patch[2])):
        tokens *= pixels // vae["scale_factor_spatial"] // side
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return _BYTES_PER_TOKEN_WIDTH * tokens * width


def _decoder_work_bytes(pipeline: MotionTransferPipeline) -> int:
    info, vae = pipeline.info, pipeline.vae.config
    width = vae.get("decoder_base_dim") or vae["base_dim"]
    side = vae.get("patch_size") or 1
    pixels = _FRAMES_AT_ONCE * info.height * info.width // side**2
    return _BYTES_PER_PIXEL_WIDTH * pixels * width


def _store_in_8_bits(network: nn.Module, kept: tuple[str, ...]) -> None:
    if any(parameter.dtype == _STORED for parameter in network.parameters()):
        return
    computed = next(network.parameters()).dtype
    apply_layerwise_casting(network, storage_dtype=_STORED, compute_dtype=computed, skip_modules_pattern=kept)


def _stream_blocks(pipeline: MotionTransferPipeline, device: torch.device) -> None:
    streams = device.type == "cuda"
    for network, kind in ((pipeline.transformer, "block_level"), (pipeline.text_encoder, "leaf_level")):
        apply_group_offloading(
            network,
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type=kind,
            num_blocks_per_group=1 if kind == "block_level" else None,
            use_stream=streams,
        )
    for name, network in _networks(pipeline).items():
        if name not in ("transformer", "text_encoder"):
            network.to(device)
