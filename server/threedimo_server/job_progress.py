"""How a running job is shown: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import NoReturn, Self, TextIO

from tqdm import tqdm

_LINE_INTERVAL_S = 5.0
_BAR = "{desc:<12} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}"


class JobProgress:
    """Shows phases, steps and the estimate to the end. Writes to standard error, so that output stays clean.

    Args:
        stream: Where to write; a terminal gets a bar, anything else plain lines.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = sys.stderr if stream is None else stream
        self._bar: tqdm[NoReturn] | None = None
        self._is_terminal = self._stream.isatty()
        self._phase = ""
        self._line_at_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()

    def step(self, phase: str, step: int, num_steps: int, eta_s: float | None = None) -> None:
        """Show that `step` of `num_steps` of a phase is done; `eta_s` is estimated to the end of the job."""
        show = self._step_bar if self._is_terminal else self._step_line
        show(phase, step, num_steps, estimate(eta_s))

    def transfer(self, phase: str, num_bytes: int, total_bytes: int) -> None:
        """Show that so many bytes of all are there."""
        self.step(f"{phase} kB", num_bytes // 1000, total_bytes // 1000)

    def note(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        self._close_bar()
        self._stream.write(sentence + "\n")
        self._stream.flush()

    def _step_bar(self, phase: str, step: int, num_steps: int, estimate: str) -> None:
        if self._bar is None or phase != self._phase:
            self._close_bar()
            self._phase = phase
            # The size is asked for here: tqdm shows nothing on a terminal that does not know its own.
            columns, lines = shutil.get_terminal_size()
            self._bar = tqdm(
                total=num_steps,
                desc=phase,
                bar_format=_BAR,
                file=self._stream,
                ncols=columns,
                nrows=lines,
                leave=False,
            )
        self._bar.total = num_steps
        self._bar.n = step
        self._bar.set_postfix_str(estimate, refresh=False)
        self._bar.refresh()

    def _step_line(self, phase: str, step: int, num_steps: int, estimate: str) -> None:
        now_s = time.monotonic()
        if phase == self._phase and now_s - self._line_at_s < _LINE_INTERVAL_S:
            return
        self._phase, self._line_at_s = phase, now_s
        counted = f" {step} of {num_steps}" if num_steps else ""
        self.note(f"{phase}{counted}{', ' if estimate else ''}{estimate}")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def estimate(eta_s: float | None) -> str:
    """How long it still takes, in words; "" while that is unknown."""
    if eta_s is None:
        return ""
    minutes, seconds = divmod(round(eta_s), 60)
    return f"about {minutes} min {seconds} s left" if minutes else f"about {seconds} s left"
