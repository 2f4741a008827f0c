"""What a running shot tells its caller: phases, steps, previews, seconds; and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from threedimo.errors import JobCancelled
from threedimo.wire.messages import Phase


@dataclass(frozen=True)
class Step:
    """One report. `step` of `num_steps` of the phase are done; steps count over all windows of a long clip.

    Args:
        phase: What the pipeline is doing.
        step: Steps of the phase that are done; 0 says that the phase begins.
        num_steps: Steps that the phase has in all.
        preview: Call it for one frame of the result as it looks now, (height, width, 3) uint8. Nothing is
            computed before the call, which decodes one latent frame. Only valid inside the callback.
        preview_frame: Index of that frame in the result.
    """

    phase: Phase
    step: int
    num_steps: int
    preview: Callable[[], np.ndarray] | None = None
    preview_frame: int = 0


class Progress:
    """Reports to the caller's `on_step`, asks its `should_stop`, and adds up the seconds of each phase.

    Args:
        on_step: Receives every `Step`.
        should_stop: Asked after every step; true ends the shot.
        settle: Waits for work that the device still does, so that seconds fall to the right phase.
    """

    def __init__(
        self,
        on_step: Callable[[Step], None] | None,
        should_stop: Callable[[], bool] | None,
        settle: Callable[[], None],
    ):
        self.seconds: dict[str, float] = {}
        self._on_step = on_step
        self._should_stop = should_stop
        self._settle = settle

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Count the seconds inside to `phase`; a phase may be entered several times."""
        started_s = time.perf_counter()
        yield
        self._settle()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started_s

    def report(self, step: Step) -> None:
        """Tell the caller, then stop if asked to.

        Raises:
            JobCancelled: `should_stop` answered true.
        """
        if self._on_step is not None:
            self._on_step(step)
        if self._should_stop is not None and self._should_stop():
            raise JobCancelled(
                f"the job was cancelled while {step.phase}, at step {step.step} of {step.num_steps}"
            )
