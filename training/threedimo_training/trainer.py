"""One readable loop that drives any stage: resumable, on a time budget, with a log that a person can read."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from threedimo.errors import InvalidModel
from threedimo_training.stages import Stage
from threedimo_training.training_state import load_state, save_state

logger = logging.getLogger(__name__)

WARM_UP_STEPS, FINAL_SHARE = 100, 0.05
MAX_GRADIENT_NORM = 1.0
REPORT_STEPS, SAVE_SECONDS = 50, 120.0


def state_file(work: Path, name: str) -> Path:
    """Where the state of a stage is kept."""
    return work / f"{name}.safetensors"


def learning_rate_at(step: int, num_steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    rising = min(1.0, (step + 1) / WARM_UP_STEPS)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps)))
    return peak * rising * (FINAL_SHARE + (1 - FINAL_SHARE) * falling)


def run_stage(stage: Stage, work: Path, deadline: float, report: Callable[[str], None]) -> bool:
    """Train a stage until it is done or `deadline` (of `time.monotonic`) has come.

    Every step draws its random numbers from its own seed, so that a resumed training takes the same steps as
    one that was never stopped.

    Returns:
        Whether the stage is done.

    Raises:
        InvalidModel: The loss is no longer a number; the last saved state is untouched.
    """
    for module in stage.modules.values():
        module.to(stage.device)
    optimizer = torch.optim.AdamW(
        stage.parameters(), lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    step, file = 0, state_file(work, stage.name)
    if file.exists():
        step, _ = load_state(file, stage.modules, optimizer)
    log = _Log(work / f"{stage.name}.csv", stage, step, report)
    saved_at = time.monotonic()
    while step < stage.num_steps and time.monotonic() < deadline:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, stage.num_steps, stage.learning_rate)
        with fast_precision(stage.device):
            losses = stage.losses(step, torch.Generator().manual_seed(step))
        if not torch.isfinite(losses["loss"]):
            raise InvalidModel(
                f"the loss of stage {stage.name} is no longer a number at step {step}",
                remedy=f"lower the learning rate; the last good state is {file}",
            )
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(stage.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        stage.after_step()
        step += 1
        log.add(step, losses)
        if time.monotonic() - saved_at > SAVE_SECONDS:
            save_state(file, stage.modules, optimizer, step)
            saved_at = time.monotonic()
    save_state(file, stage.modules, optimizer, step)
    return step >= stage.num_steps


@contextmanager
def fast_precision(device: torch.device) -> Iterator[None]:
    """Mixed precision and the attention that are fast in training on this device."""
    with ExitStack() as stack:
        if device.type == "cpu":
            # Measured: the gradient of the fused attention takes as long as all the rest of a step.
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)))
        yield


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 matrices in hardware; elsewhere it would only be slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


class _Log:
    """Running means of what the losses say, as lines for a person and rows for a plot."""

    def __init__(self, file: Path, stage: Stage, step: int, report: Callable[[str], None]):
        self._file, self._stage, self._report = file, stage, report
        self._first_step, self._started = step, time.monotonic()
        self._sums: dict[str, list[float]] = {}

    def add(self, step: int, losses: dict[str, torch.Tensor]) -> None:
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(float(value.detach()))
        if step % REPORT_STEPS and step != self._stage.num_steps:
            return
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        elapsed = time.monotonic() - self._started
        seconds_a_step = elapsed / (step - self._first_step)
        left = (self._stage.num_steps - step) * seconds_a_step / 60
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        self._report(
            f"{self._stage.name} {step}/{self._stage.num_steps}  {numbers}  "
            f"{1 / seconds_a_step:.2f} steps/s  {left:.0f} min left"
        )
        new = not self._file.exists()
        with self._file.open("a", newline="") as stream:
            rows = csv.writer(stream)
            if new:
                rows.writerow(["step", "name", "value"])
            rows.writerows([step, name, f"{value:.6g}"] for name, value in means.items())
