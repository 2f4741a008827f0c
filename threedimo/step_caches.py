"""Step caches of diffusers on our blocks, and how the one that needs figures of its model gets them.

`threedimo.presets` says what each does. A cache remembers what a branch of the guidance computed in the step
before, so that it forgets when another window or another shot begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks.first_block_cache import FirstBlockCacheConfig
from diffusers.hooks.mag_cache import MagCacheConfig
from diffusers.hooks.taylorseer_cache import TaylorSeerCacheConfig
from torch import Tensor

from threedimo.models import MotionWanTransformer3DModel
from threedimo.presets import NO_CACHE, read_step_cache
from threedimo.wire.messages import ModelInfo

_TAYLOR_WARM_UP = 3
"""Steps that are always computed: the straight line needs two, and the first ones change most."""


@contextmanager
def cached_steps(
    transformer: MotionWanTransformer3DModel, name: str, info: ModelInfo, num_steps: int
) -> Iterator[Callable[[], None]]:
    """Let a generator take over parts of its steps inside the block.

    Args:
        transformer: The generator. Its forwards run in `cache_context`s, as `guided_velocity` calls it.
        name: As `threedimo.presets.read_step_cache` takes it.
        info: Of the model, for its measured figures.
        num_steps: Denoising steps of a window.

    Yields:
        Call it where a window begins: it forgets.

    Raises:
        InvalidRequest: There is no such step cache, or the model was not measured for it.
    """
    kind, amount = read_step_cache(name, info)
    if kind == NO_CACHE:
        yield lambda: None
        return
    transformer.enable_cache(_config(kind, amount, info, num_steps))
    try:
        yield transformer._reset_stateful_cache
    finally:
        transformer.disable_cache()  # frees what was remembered


def _config(kind: str, amount: float, info: ModelInfo, num_steps: int) -> Any:
    if kind == "first_block":
        return FirstBlockCacheConfig(threshold=amount)
    if kind == "mag":
        return MagCacheConfig(
            threshold=amount, num_inference_steps=num_steps, mag_ratios=torch.tensor(info.mag_ratios)
        )
    return TaylorSeerCacheConfig(
        cache_interval=int(amount),
        disable_cache_before_step=_TAYLOR_WARM_UP,
        taylor_factors_dtype=torch.float32,
        # Continues the generator's output, not that of every attention layer: two small tensors, where those
        # would take more memory than the generator. (And what is matched by default, names that end in
        # "attn", are of a Wan generator the motion layers alone.)
        use_lite_mode=True,
    )


@contextmanager
def measured_ratios(transformer: MotionWanTransformer3DModel, num_steps: int) -> Iterator[list[float]]:
    """Measure what the cache "mag" needs, while a shot of one window is made inside the block.

    Args:
        transformer: The generator.
        num_steps: Denoising steps of the shot.

    Yields:
        A list that is filled when the block ends: for each step how much larger what the blocks add is than
        in the step before, a mean over video tokens and branches of the guidance; 1 for the first.
    """
    ratios: list[float] = []
    before: list[Tensor] = []
    norms: list[Tensor] = []  # (batch, video_tokens) of each forward

    def enter(_block: Any, inputs: tuple[Tensor, ...]) -> None:
        before[:] = [inputs[0]]

    def leave(_block: Any, _inputs: Any, output: Tensor) -> None:
        norms.append((output.float() - before.pop().float()).norm(dim=-1).cpu())

    handles = (
        transformer.blocks[0].register_forward_pre_hook(enter),
        transformer.blocks[-1].register_forward_hook(leave),
    )
    try:
        yield ratios
    finally:
        for handle in handles:
            handle.remove()
    steps = torch.stack(norms).unflatten(0, (num_steps, -1))
    growth = (steps[1:] / steps[:-1].clamp(min=1e-8)).flatten(1).mean(dim=1)
    ratios.extend([1.0, *growth.tolist()])
