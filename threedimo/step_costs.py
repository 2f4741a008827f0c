"""What a model costs on this machine: motion and camera beside the plain generator, and a shot by its phases.

The plain generator is the stock Wan class on the very same tensors, called in turn with ours, so that the
ratio holds on a busy machine too. Values do not matter to speed: pictures and latents are noise.
"""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from threedimo.denoising import frame_timesteps
from threedimo.media import normalise
from threedimo.models import MotionWanTransformer3DModel
from threedimo.models.motion_context import MOTION_LAYER
from threedimo.pipeline import MotionTransferPipeline

PLAIN, SILENT, CONTROLLED = "plain", "no motion", "motion and camera"
_MIDDLE_TIMESTEP = 500.0


@dataclass(frozen=True)
class ForwardCost:
    """One forward of the generator.

    Attributes:
        seconds: Median of the rounds.
        ratio: Median over the rounds of its time divided by the plain generator's in the same round.
    """

    seconds: float
    ratio: float


@dataclass(frozen=True)
class ShotCost:
    """A shot of the model's own length and size.

    Attributes:
        seconds: By phase, see `MotionTransferOutput`.
        seconds_per_step: Of denoising, all branches of the guidance together.
        peak_bytes: Most memory of the device that tensors took at once; None on a CPU.
    """

    seconds: dict[str, float]
    seconds_per_step: float
    peak_bytes: int | None


def forward_costs(
    pipeline: MotionTransferPipeline, rounds: int, on_round: Callable[[int], None] = lambda _: None
) -> dict[str, ForwardCost]:
    """Time the generator plain, without tokens, and with motion and camera tokens, in turn.

    Args:
        pipeline: With the memory plan "full": elsewhere, time would be that of moving networks.
        rounds: After one that does not count.
        on_round: Is told how many rounds are done.
    """
    ours: Any = pipeline.transformer
    plain, inputs, tokens = plain_generator(ours), generator_inputs(pipeline), _tokens(pipeline)
    plain_inputs = stock_inputs(plain, inputs)
    forwards: dict[str, Callable[[], Any]] = {
        PLAIN: lambda: plain(**plain_inputs, return_dict=False),
        SILENT: lambda: ours(**inputs, return_dict=False),
        CONTROLLED: lambda: ours(**inputs, **tokens, return_dict=False),
    }
    taken_s: dict[str, list[float]] = {name: [] for name in forwards}
    with torch.no_grad():
        for index in range(rounds + 1):
            for name, forward in forwards.items():
                seconds = _timed(forward, ours.device)
                if index:
                    taken_s[name].append(seconds)
            on_round(index)
    return {
        name: ForwardCost(
            statistics.median(times_s),
            statistics.median(mine / base for mine, base in zip(times_s, taken_s[PLAIN], strict=True)),
        )
        for name, times_s in taken_s.items()
    }


def stock_inputs(plain: WanTransformer3DModel, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs of ours as the stock generator takes them: with a timestep for every video token."""
    _, rows, columns = plain.config["patch_size"]
    height, width = inputs["hidden_states"].shape[3:]
    tokens_a_frame = (height // rows) * (width // columns)
    return inputs | {"timestep": inputs["timestep"].repeat_interleave(tokens_a_frame, dim=1)}


def plain_generator(transformer: MotionWanTransformer3DModel) -> WanTransformer3DModel:
    """The stock generator on our tensors: what a model computes without the method, in no more memory."""
    known = inspect.signature(WanTransformer3DModel.__init__).parameters
    config = {name: value for name, value in transformer.config.items() if name in known}
    with init_empty_weights():
        plain = WanTransformer3DModel(**config)
    shared = {name: value for name, value in transformer.state_dict().items() if MOTION_LAYER not in name}
    plain.load_state_dict(shared, assign=True)
    plain.rope = transformer.rope  # its tables are in no state
    return plain.eval()


def shot_cost(
    pipeline: MotionTransferPipeline, num_steps: int, on_step: Callable[[int], None] = lambda _: None
) -> ShotCost:
    """Make a shot of noise with a memory plan as it stands, and count.

    Args:
        pipeline: Ready to be called.
        num_steps: Denoising steps.
        on_step: Is told how many are done.
    """
    info, random = pipeline.info, np.random.default_rng(0)
    reference = random.integers(0, 256, (info.height, info.width, 3), dtype=np.uint8)
    width, height = pipeline.driving_size
    driving = random.integers(0, 256, (info.num_frames, height, width, 3), dtype=np.uint8)
    cuda = pipeline._execution_device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(pipeline._execution_device)
    output = pipeline(
        reference,
        driving,
        "Front view. The camera arcs to the left.",
        num_inference_steps=num_steps,
        on_step=lambda step: on_step(step.step) if step.phase == "denoising" else None,
    )
    peak = torch.cuda.max_memory_allocated(pipeline._execution_device) if cuda else None
    return ShotCost(output.seconds, output.seconds["denoising"] / num_steps, peak)


def _timed(call: Callable[[], Any], device: torch.device) -> float:
    began_s = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began_s


def generator_inputs(pipeline: MotionTransferPipeline) -> dict[str, Tensor]:
    """Noise in the shapes of one forward of the plain generator in a shot of the model's own."""
    transformer, info = pipeline.transformer, pipeline.info
    patch = transformer.config["patch_size"]
    latent_step = info.size_step // patch[1]
    num_latent_frames = (info.num_frames - 1) // info.frame_step + 1
    size = num_latent_frames, info.height // latent_step, info.width // latent_step
    place = {"device": transformer.device, "dtype": transformer.dtype}
    latents = torch.randn(1, transformer.config["in_channels"], *size, **place)
    text_shape = (1, pipeline.config["max_text_tokens"], transformer.config["text_dim"])
    return {
        "hidden_states": latents,
        "timestep": frame_timesteps(torch.tensor(_MIDDLE_TIMESTEP), 1, latents),
        "encoder_hidden_states": torch.randn(text_shape, **place),
    }


def _tokens(pipeline: MotionTransferPipeline) -> dict[str, Tensor]:
    encoder: Any = pipeline.motion_encoder
    width, height = pipeline.driving_size
    frames = normalise(np.zeros((pipeline.info.num_frames, height, width, 3), np.uint8))
    with torch.no_grad():
        motion = encoder(torch.from_numpy(frames)[None].to(encoder.device, encoder.dtype))
    motion = motion.to(pipeline.transformer.device, pipeline.transformer.dtype)
    return {"motion_tokens": motion, "camera_tokens": torch.randn_like(motion[:, :, :1])}
