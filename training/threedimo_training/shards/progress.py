"""How a running render is shown: a bar in a terminal, lines elsewhere; clips a second and an estimate."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import NoReturn, Self, TextIO

from tqdm import tqdm

_LINE_INTERVAL_S = 10.0
_BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}"


class RenderProgress:
    """Shows how many clips are done. Writes to standard error, so that output stays clean.

    Speed and estimate count this run's clips only, not those that an earlier one left.

    Args:
        stream: Where to write; a terminal gets a bar, anything else plain lines.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._bar: tqdm[NoReturn] | None = None
        self._total = self._done_before = 0
        self._told: int | None = None
        self._begun_s = self._line_at_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()

    def begin(self, done: int, total: int) -> None:
        """Start counting: so many clips of all are there already."""
        self._total, self._done_before, self._told = total, done, None
        self._begun_s = self._line_at_s = time.monotonic()
        if done:
            self.note(f"{done} of {total} clips are there already")

    def clips(self, done: int) -> None:
        """Show that `done` clips of all are drawn."""
        now_s = time.monotonic()
        fresh = done - self._done_before
        speed = fresh / max(now_s - self._begun_s, 1e-3)
        estimate = f"{speed:.2f} clips/s, {_span((self._total - done) / speed)} left" if fresh else ""
        if self._is_terminal:
            self._show_bar(done, estimate)
        elif now_s - self._line_at_s >= _LINE_INTERVAL_S or done == self._total != self._told:
            self._told = done
            self._line_at_s = now_s
            self.note(f"{done} of {self._total} clips{', ' if estimate else ''}{estimate}")

    def note(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        self._close_bar()
        self._stream.write(sentence + "\n")
        self._stream.flush()

    def _show_bar(self, done: int, estimate: str) -> None:
        if self._bar is None:
            # The size is asked for here: tqdm shows nothing on a terminal that does not know its own.
            columns, lines = shutil.get_terminal_size()
            self._bar = tqdm(
                total=self._total,
                desc="clips",
                bar_format=_BAR,
                file=self._stream,
                ncols=columns,
                nrows=lines,
                leave=False,
            )
        self._bar.n = done
        self._bar.set_postfix_str(estimate, refresh=False)
        self._bar.refresh()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes} min"
    return f"about {minutes} min {rest} s" if minutes else f"about {rest} s"
