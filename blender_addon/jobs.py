# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as this Blender knows it: its state, how far it is, and where its files are. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
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

    @property
    def fraction(self) -> float:
        """How much of what goes on now is done, from 0 to 1."""
        if self.state in ("sending", "fetching"):
            return self.moved / self.total if self.total else 0.0
        if self.state == "running":
            return self.step / self.num_steps if self.num_steps else 0.0
        return 1.0 if self.state in ("publishing", "done", "ready") else 0.0

    def sentence(self) -> str:
        """What goes on, in a few words: "denoising 3/10, about 12 s left"."""
        if self.state in ("sending", "fetching") and self.total:
            return f"{self.state} {self.moved / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        if self.state != "running" or not self.phase:
            return self.state
        left = "" if self.eta_s is None else f", about {self.eta_s:.0f} s left"
        return f"{self.phase} {self.step}/{self.num_steps}{left}"
