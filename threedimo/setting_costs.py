"""What presets and step caches save: shots of the packaged inputs beside generation by the plain generator.

How much a cache takes over depends on what the generator computes, so that these shots are of real inputs,
unlike those of `step_costs`. Plain generation is the stock generator on the same tensors, without motion and
camera, guided by text as its own pipeline guides it: two forwards a step, the model's own number of steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from threedimo.media import read_footage, read_image
from threedimo.pipeline import MotionTransferPipeline
from threedimo.presets import NO_CACHE
from threedimo.shot import Shot
from threedimo.step_caches import measured_ratios
from threedimo.step_costs import generator_inputs, plain_generator, stock_inputs

_DEMO = Path(__file__).parent / "embedded" / "demo"
_DEMO_FRAMES, _DEMO_FPS = 17, 8.0
_TEXT = "Front view. The camera arcs to the left."


@dataclass(frozen=True)
class SettingCost:
    """A shot of the model's own length and size, made with a setting.

    Attributes:
        num_steps: Denoising steps.
        denoising_s: What they took.
        times_faster: Than plain generation in the same run.
        forwards: Of the generator that were computed, those in part by their part of the blocks.
        psnr_db: Of the frames to those that the same steps make without a cache; None where there is none,
            or where they are equal.
    """

    num_steps: int
    denoising_s: float
    times_faster: float
    forwards: float
    psnr_db: float | None


def plain_generation_s(pipeline: MotionTransferPipeline, on_step: Callable[[int], None]) -> float:
    """Seconds that plain generation takes to denoise one shot.

    Args:
        pipeline: With the memory plan "full".
        on_step: Is told how many steps are done.
    """
    plain = plain_generator(pipeline.transformer)
    inputs = stock_inputs(plain, generator_inputs(pipeline))
    flow: Any = pipeline.scheduler
    num_steps, scale = pipeline.info.num_inference_steps, pipeline.info.text_guidance_scale
    latents = inputs.pop("hidden_states")
    flow.set_timesteps(sigmas=np.linspace(1, 1 / num_steps, num_steps).tolist(), device=latents.device)
    began_s = time.perf_counter()
    with torch.no_grad():
        for number, timestep in enumerate(flow.timesteps, start=1):
            with_text, without = (plain(latents, **inputs, return_dict=False)[0] for _ in range(2))
            velocity = without + scale * (with_text - without)
            latents = flow.step(velocity, timestep, latents, return_dict=False)[0]
            pipeline._settle()
            on_step(number)
    return time.perf_counter() - began_s


def setting_costs(
    pipeline: MotionTransferPipeline,
    presets: tuple[str, ...],
    step_caches: tuple[str, ...],
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[float, dict[str, SettingCost]]:
    """Measure settings one after the other, after plain generation.

    Args:
        pipeline: With the memory plan "full".
        presets: Names of presets.
        step_caches: Each with the model's own numbers. For "mag", a model without ratios is measured first.
        on_step: Is told what is measured, how many of its steps are done, and how many there are.

    Returns:
        Seconds of plain generation, and the costs by the names that were given.

    Raises:
        InvalidRequest: There is no such preset or step cache.
    """
    info = pipeline.info
    asked: dict[str, dict[str, Any]] = {name: {"preset": name} for name in presets}
    asked |= {name: {"step_cache": name} for name in step_caches}
    if any(name.startswith("mag:") for name in step_caches) and not info.mag_ratios:
        pipeline.info = msgspec.structs.replace(info, mag_ratios=mag_ratios(pipeline))
    try:
        shots = {name: Shot.checked(pipeline.info, **settings) for name, settings in asked.items()}
        plain_s = plain_generation_s(pipeline, lambda n: on_step("plain", n, info.num_inference_steps))
        computed: dict[Any, np.ndarray] = {}
        return plain_s, {
            name: _cost(pipeline, name, shot, plain_s, computed, on_step) for name, shot in shots.items()
        }
    finally:
        pipeline.info = info


def mag_ratios(
    pipeline: MotionTransferPipeline, on_step: Callable[[int], None] = lambda _: None
) -> list[float]:
    """Measure, in a shot of the packaged inputs, what the step cache "mag" needs of a model.

    Args:
        pipeline: The model.
        on_step: Is told how many steps are done.

    Returns:
        One number for each of the model's own steps, for `ModelInfo.mag_ratios`.
    """
    with measured_ratios(pipeline.transformer, pipeline.info.num_inference_steps) as ratios:
        _make(pipeline, {}, on_step)
    return [round(ratio, 4) for ratio in ratios]


def _cost(
    pipeline: MotionTransferPipeline,
    name: str,
    shot: Shot,
    plain_s: float,
    computed: dict[Any, np.ndarray],
    on_step: Callable[[str, int, int], None],
) -> SettingCost:
    steps = shot.num_inference_steps
    numbers = {
        "num_inference_steps": steps,
        "text_guidance_scale": shot.text_guidance_scale,
        "motion_guidance_scale": shot.motion_guidance_scale,
    }
    key = tuple(numbers.values())
    if shot.step_cache != NO_CACHE and key not in computed:
        computed[key], _ = _make(pipeline, numbers, lambda done: on_step(f"{name}, computed", done, steps))
    with _counted_blocks(pipeline) as count:
        frames, seconds = _make(
            pipeline, numbers | {"step_cache": shot.step_cache}, lambda done: on_step(name, done, steps)
        )
    if shot.step_cache == NO_CACHE:
        computed[key] = frames
    forwards = count[0] / len(pipeline.transformer.blocks)
    return SettingCost(steps, seconds, plain_s / seconds, forwards, _psnr_db(frames, computed[key]))


def _make(
    pipeline: MotionTransferPipeline, settings: dict[str, Any], on_step: Callable[[int], None]
) -> tuple[np.ndarray, float]:
    """Frames of the packaged inputs, and the seconds of their denoising."""
    output = pipeline(
        read_image(_DEMO / "reference.png"),
        _driving_frames(pipeline.info.num_frames),
        _TEXT,
        on_step=lambda step: on_step(step.step) if step.phase == "denoising" else None,
        **settings,
    )
    return output.frames, output.seconds["denoising"]


def _driving_frames(num_frames: int) -> np.ndarray:
    """The packaged footage, forth and back for as long as it takes."""
    frames = read_footage(
        [_DEMO / "driving.mp4"], fps=None, start_s=0, num_frames=_DEMO_FRAMES, sample_fps=_DEMO_FPS
    )
    last = _DEMO_FRAMES - 1
    return frames[last - np.abs(np.arange(num_frames) % (2 * last) - last)]


@contextmanager
def _counted_blocks(pipeline: MotionTransferPipeline) -> Iterator[list[int]]:
    """Count the blocks that are computed: caches pass over a block's layers, not over the block itself."""
    count = [0]

    def add(*_: Any) -> None:
        count[0] += 1

    blocks: Any = pipeline.transformer.blocks
    handles = [block.ffn.register_forward_pre_hook(add) for block in blocks]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def _psnr_db(frames: np.ndarray, wanted: np.ndarray) -> float | None:
    error = np.square(frames.astype(np.float32) - wanted).mean()
    return None if error == 0 else float(10 * np.log10(255**2 / error))
