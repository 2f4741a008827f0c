"""What a person watches while a stage trains: lines with an estimate, rows for a plot, TensorBoard."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from accelerate import Accelerator
from tensorboardX import SummaryWriter
from torch import Tensor

from threedimo.media.writing import storage_errors

REPORT_STEPS = 50
TENSORBOARD = "tensorboard"


class Curves:
    """Running means of what the losses say, over steps and processes; only the main process writes.

    Args:
        work: Rows go to `NAME.csv` in it, events to `tensorboard/NAME`.
        name: Of the stage.
        num_steps: Of the stage.
        step: Where this call begins.
        report: Is told lines.
        accelerator: Takes the means over processes.
    """

    def __init__(
        self,
        work: Path,
        name: str,
        num_steps: int,
        step: int,
        report: Callable[[str], None],
        accelerator: Accelerator,
    ):
        self._file, self._name, self._num_steps, self._report = work / f"{name}.csv", name, num_steps, report
        self._accelerator = accelerator
        self._first_step, self._started = step, time.monotonic()
        self._sums: dict[str, list[float]] = {}
        self._events: SummaryWriter | None = None
        if accelerator.is_main_process:
            with storage_errors(work):
                self._events = SummaryWriter(str(work / TENSORBOARD / name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Take the losses of a step, the same names in every process; report now and then."""
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(float(value))
        if step % REPORT_STEPS and step != self._num_steps:
            return
        means = self._means()
        self._sums.clear()
        if self._events is None:
            return
        elapsed = time.monotonic() - self._started
        seconds_a_step = elapsed / (step - self._first_step)
        left = (self._num_steps - step) * seconds_a_step / 60
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        self._report(
            f"{self._name} {step}/{self._num_steps}  {numbers}  "
            f"{1 / seconds_a_step:.2f} steps/s  {left:.0f} min left"
        )
        for name, value in means.items():
            self._events.add_scalar(name, value, step)
        with storage_errors(self._file):
            self._write_rows(step, means)

    def add_picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show a picture (height, width, 3) uint8 RGB beside the curves."""
        if self._events is not None:
            self._events.add_image(name, picture.numpy(), step, dataformats="HWC")

    def _means(self) -> dict[str, float]:
        local = torch.tensor(
            [sum(values) / len(values) for values in self._sums.values()], device=self._accelerator.device
        )
        everywhere: Any = self._accelerator.reduce(local, "mean")
        return dict(zip(self._sums, everywhere.tolist(), strict=True))

    def _write_rows(self, step: int, means: dict[str, float]) -> None:
        new = not self._file.exists()
        with self._file.open("a", newline="") as stream:
            rows = csv.writer(stream)
            if new:
                rows.writerow(["step", "name", "value"])
            rows.writerows([step, name, f"{value:.6g}"] for name, value in means.items())
