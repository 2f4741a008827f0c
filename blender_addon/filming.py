# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips that are being filmed while a person goes on working: a little at each tick, one after the other.

A tick of the timer rather than a modal operator, for the reason that `runtime` gives. Between two ticks
nothing of a clip is in the file, and only ids are kept: undo, saving and loading may happen at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from threedimo.errors import JobFailed, ThreeDimoError

from .playblast import Clip, film

log = logging.getLogger(__name__)

# A tick films at least one frame, and as many more as fit: a redraw in between costs about as much.
TURN_S = 0.1


@dataclass
class Filming:
    """A clip on its way.

    Attributes:
        job_id: The job that waits for it.
        label: What people call its shot.
        then: Takes the pictures, with their hashes, when all are there.
        done: How many of the clip's steps are done.
    """

    job_id: str
    label: str
    clip: Clip
    then: Callable[[dict[Path, str]], None] = field(repr=False)
    done: int = 0

    def __post_init__(self) -> None:
        self._steps = film(self.clip, TURN_S)

    @property
    def fraction(self) -> float:
        """How much is done, from 0 to 1."""
        return self.done / self.clip.num_steps

    def sentence(self) -> str:
        """What goes on, in a few words: "filming frame 12 of 96"."""
        num_frames = len(self.clip.scene_frames)
        if self.done < num_frames:
            return f"measuring frame {self.done + 1} of {num_frames}"
        return f"filming frame {min(self.done - num_frames + 1, num_frames)} of {num_frames}"

    def step(self) -> dict[Path, str] | None:
        """Go on for a turn; gives the pictures after the last one.

        Raises:
            ThreeDimoError: As `playblast.film`.
        """
        try:
            self.done = next(self._steps)
        except StopIteration as end:
            return end.value
        return None

    def stop(self) -> None:
        """End it; nothing stays."""
        self._steps.close()


_waiting: list[Filming] = []
# By scene: what its last clip was for, and what was wrong.
_problems: dict[int, tuple[str, ThreeDimoError]] = {}


def add(filming: Filming) -> None:
    """Film this clip after those that wait already."""
    _problems.pop(filming.clip.scene_uid, None)
    _waiting.append(filming)


def waiting() -> list[Filming]:
    """The clips that are being filmed, first come first."""
    return list(_waiting)


def problem(scene: bpy.types.Scene) -> tuple[str, ThreeDimoError] | None:
    """Which clip of a scene could not be filmed last, and why, until another one is begun there."""
    return _problems.get(scene.session_uid)


def step() -> bool:
    """Film a little, unless Blender renders; returns whether anything changed. Never raises."""
    if not _waiting or bpy.app.is_job_running("RENDER"):
        return False
    current = _waiting[0]
    try:
        pictures = current.step()
        if pictures is not None:
            _waiting.remove(current)
            current.then(pictures)
    except ThreeDimoError as error:
        log.warning("job %s: %s", current.job_id, error)
        _end_badly(current, error)
    except Exception as error:
        log.exception("job %s: the driver could not be filmed", current.job_id)
        remedy = "see Blender's console and report it"
        _end_badly(current, JobFailed(f"the driver could not be filmed: {error!r}", remedy=remedy))
    return True


def _end_badly(filming: Filming, error: ThreeDimoError) -> None:
    _problems[filming.clip.scene_uid] = filming.label, error
    if filming in _waiting:
        _waiting.remove(filming)


def cancel(job_id: str) -> bool:
    """Stop the clip that a job waits for; returns whether there was one."""
    for filming in waiting():
        if filming.job_id == job_id:
            _waiting.remove(filming)
            filming.stop()
            return True
    return False


def clear() -> None:
    """Stop all, and forget what went wrong."""
    for filming in waiting():
        cancel(filming.job_id)
    _problems.clear()


def drop_problem(scene: bpy.types.Scene) -> None:
    """Forget what went wrong in a scene."""
    _problems.pop(scene.session_uid, None)
