# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as this Blender knows it: its state, how far it is, and where its files are. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .timeline import FrameMapping

if TYPE_CHECKING:
    from threedimo.errors import ThreeDimoError

RESULT_FOLDER = "result"
PLANE_FOLDER = "plane"

JobState = Literal[
    "preparing",
    "sending",
    "queued",
    "running",
    "publishing",
    "done",
    "fetching",
    "ready",
    "failed",
    "cancelled",
]

# What the server does not know of yet: such a job is sent again when the file is opened again.
UNSENT_STATES: frozenset[str] = frozenset({"preparing", "sending"})
END_STATES: frozenset[str] = frozenset({"ready", "failed", "cancelled"})
ENDED_BADLY: frozenset[str] = frozenset({"failed", "cancelled"})

# What a state, or a phase of a running job, takes of the bar, in the order of a job. Most of the time goes
# into denoising; how much exactly depends on model and device.
_WEIGHTS = (
    ("preparing", 0.01),
    ("sending", 0.03),
    ("queued", 0.0),
    ("loading", 0.02),
    ("decoding", 0.02),
    ("encoding", 0.02),
    ("denoising", 0.80),
    ("rendering", 0.04),
    ("writing", 0.03),
    ("publishing", 0.0),
    ("done", 0.0),
    ("fetching", 0.03),
    ("ready", 0.0),
)


def _shares() -> dict[str, tuple[float, float]]:
    """Where each begins on the bar, and its weight."""
    ends = accumulate(weight for _, weight in _WEIGHTS)
    return {name: (end - weight, weight) for (name, weight), end in zip(_WEIGHTS, ends, strict=True)}


_SHARES = _shares()


@dataclass
class Job:
    """A job as this Blender knows it.

    Attributes:
        folder: The job's files: `result/` as the server made it, `plane/` one file per scene frame.
        seq: The last durable event seen; the place to catch up from.
        phase: What the worker does now, with `step` of `num_steps`; empty while nothing runs.
        eta_s: Seconds to the end, or None while unknown.
        moved, total: Bytes sent or received, while sending or fetching.
        model_id: Which model made the frames, once they are here.
        preview: How one of its frames looks by now, as a JPEG; the newest, until somebody shows it.
        error: Why the job failed.
        cancel_asked_at: When the server was asked to stop it (`time.monotonic`); None if nobody did.
        fraction: How much of the whole job is done, from 0 to 1, as of the last `advance`.
    """

    job_id: str
    label: str
    folder: Path
    mapping: FrameMapping
    state: JobState
    seq: int = 0
    phase: str = ""
    step: int = 0
    num_steps: int = 0
    eta_s: float | None = None
    moved: int = 0
    total: int = 0
    model_id: str = ""
    preview: bytes | None = field(default=None, repr=False)
    error: ThreeDimoError | None = None
    cancel_asked_at: float | None = None
    fraction: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in END_STATES

    @property
    def frames_folder(self) -> Path:
        """The frames as the server made them."""
        return self.folder / RESULT_FOLDER / "frames"

    @property
    def plane_folder(self) -> Path:
        """One frame per scene frame of the shot."""
        return self.folder / PLANE_FOLDER

    def advance(self) -> None:
        """Bring `fraction` up to what is reached by now.

        It never goes back: of a job that begins anew, as after its worker was lost, the words say so.
        """
        begin, share = _SHARES.get(self.phase if self.state == "running" else self.state, (0.0, 0.0))
        running = self.state == "running"
        done, total = (self.step, self.num_steps) if running else (self.moved, self.total)
        self.fraction = max(self.fraction, begin + share * (min(done / total, 1.0) if total else 0.0))

    def sentence(self) -> str:
        """What goes on, in the few words that a sidebar has room for: "denoising 3/10, 12 s left"."""
        if self.state in ("sending", "fetching") and self.total:
            return f"{self.state} {self.moved / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        if self.cancel_asked_at is not None and not self.ended:
            return "cancelling"
        if self.state != "running" or not self.phase:
            return self.state
        return f"{self.phase} {self.step}/{self.num_steps}{_time_left(self.eta_s)}"


def _time_left(eta_s: float | None) -> str:
    if eta_s is None:
        return ""
    return f", {eta_s:.0f} s left" if eta_s < 100 else f", {eta_s / 60:.0f} min left"
