"""One readable loop that drives any stage: resumable, on a time budget, on one process or many.

What differs between one CPU and many nodes is left to `accelerate`. In one process it changes no number.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import broadcast
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from threedimo.errors import TrainingDiverged, TrainingError
from threedimo.media.writing import storage_errors, write_png
from threedimo_training.trainer.curves import Curves
from threedimo_training.trainer.stage import Stage
from threedimo_training.trainer.state import load_state, save_state

WARM_UP_STEPS, FINAL_SHARE = 100, 0.05
MAX_GRADIENT_NORM = 1.0
SAVE_SECONDS = 120.0
PICTURES = "pictures"


def state_file(work: Path, name: str) -> Path:
    """Where the state of a stage is kept."""
    return work / f"{name}.safetensors"


def learning_rate_at(step: int, num_steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    rising = min(1.0, (step + 1) / WARM_UP_STEPS)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps)))
    return peak * rising * (FINAL_SHARE + (1 - FINAL_SHARE) * falling)


def run_stage(
    stage: Stage,
    work: Path,
    deadline: float,
    report: Callable[[str], None],
    accelerator: Accelerator | None = None,
) -> bool:
    """Train a stage until it is done or `deadline` (of `time.monotonic`) has come.

    Every step draws its random numbers from its own seed, so that a resumed training takes the same steps as
    one that was never stopped.

    Args:
        stage: What to train.
        work: Folder of its state, its curves and its pictures.
        deadline: The main process's clock counts.
        report: Is told how it goes, line by line.
        accelerator: Of a stage that several processes share; by itself, a stage trains in this process.

    Returns:
        Whether the stage is done.

    Raises:
        TrainingDiverged: Loss or gradient is no number any more; the last saved state is untouched.
        TrainingMismatch: The saved state belongs to another configuration.
        TrainingError: The saved state is damaged.
        StorageError: The disk is full or may not be written; the last saved state is untouched.
    """
    accelerator = accelerator or Accelerator(device_placement=False)
    for module in stage.modules.values():
        module.to(stage.device)
    plain = torch.optim.AdamW(
        stage.parameter_groups(), lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    optimizer = stage.begin(accelerator, plain)
    file = state_file(work, stage.name)
    step = _resumed(file, stage, optimizer) if file.exists() else 0

    def save() -> None:
        # every process takes part: sharded tensors are gathered
        save_state(file, stage.state(), optimizer, step, write=accelerator.is_main_process)

    saved_at = time.monotonic()
    with Curves(work, stage.name, stage.num_steps, step, report, accelerator) as curves:
        while step < stage.num_steps and not _agreed(time.monotonic() >= deadline, accelerator):
            rate = learning_rate_at(step, stage.num_steps, stage.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            losses = _take_step(stage, step, optimizer, accelerator, file)
            stage.after_step()
            step += 1
            curves.add(step, losses)
            for name, picture in stage.pictures(step).items():
                if accelerator.is_main_process:
                    _keep_picture(work / PICTURES, name, step, picture)
                    curves.add_picture(step, name, picture)
            if _agreed(time.monotonic() - saved_at > SAVE_SECONDS, accelerator):
                save()
                saved_at = time.monotonic()
    save()
    return step >= stage.num_steps


def _take_step(
    stage: Stage, step: int, optimizer: AcceleratedOptimizer, accelerator: Accelerator, file: Path
) -> dict[str, Tensor]:
    """One optimizer step; returns the means of its portions' losses."""
    sums: dict[str, Tensor] = {}
    optimizer.zero_grad(set_to_none=True)
    for portion in range(stage.num_portions):
        last = portion == stage.num_portions - 1
        # the attention is the backward pass's too, where checkpointed blocks are computed again
        with nullcontext() if last else accelerator.no_sync(stage.model), fast_attention(stage.device):
            with fast_precision(stage.device):
                losses = stage.portion_losses(step, portion, torch.Generator().manual_seed(step))
            everywhere: Any = accelerator.reduce(losses["loss"].detach(), "mean")
            _require_number("loss", everywhere, stage, step, file)
            accelerator.backward(losses["loss"] / stage.num_portions)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0) + value.detach() / stage.num_portions
    norm: Any = accelerator.clip_grad_norm_(stage.parameters(), MAX_GRADIENT_NORM)
    _require_number("gradient", norm, stage, step, file)
    optimizer.step()
    return sums


def _require_number(what: str, value: Tensor, stage: Stage, step: int, file: Path) -> None:
    """All processes see the same value, and so all of them stop."""
    if not torch.isfinite(value):
        last = f"the last good state is {file}" if file.exists() else f"nothing has been saved in {file} yet"
        raise TrainingDiverged(
            f"the {what} of stage {stage.name} is no longer a number at step {step}",
            given=float(value),
            remedy=f"lower the learning rate; {last}",
        )


def _resumed(file: Path, stage: Stage, optimizer: AcceleratedOptimizer) -> int:
    try:
        step, _ = load_state(file, stage.state(), optimizer)
    except (OSError, SafetensorError, KeyError) as error:
        raise TrainingError(
            f"the saved state of stage {stage.name} is damaged: {error}",
            given=file,
            remedy="delete the file to begin the stage again, or choose another work folder",
        ) from error
    return step


def _agreed(value: bool, accelerator: Accelerator) -> bool:
    """The main process's answer, so that all do the same."""
    if accelerator.num_processes == 1:
        return value
    answer: Any = broadcast(torch.tensor([float(value)], device=accelerator.device))
    return bool(answer.item())


def _keep_picture(folder: Path, name: str, step: int, picture: Tensor) -> None:
    with storage_errors(folder):
        folder.mkdir(exist_ok=True)
    write_png(folder / f"{name}-{step:06d}.png", picture.numpy())


@contextmanager
def fast_precision(device: torch.device) -> Iterator[None]:
    """Mixed precision and the attention that are fast in training on this device."""
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))
    with fast_attention(device), mixed, warnings.catch_warnings():
        # torch says that its norm layers take a slower path then, which is known and harmless
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight", UserWarning)
        yield


@contextmanager
def fast_attention(device: torch.device) -> Iterator[None]:
    """The attention that is fast in training on this device."""
    # Measured on processors: the gradient of the fused attention takes as long as all the rest of a step.
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
        yield


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 matrices in hardware; elsewhere it would only be slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
