"""Where a sample's motion comes from: the generator, or a folder of recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.amass import read_amass
from threedimo_training.motion.bvh import read_bvh
from threedimo_training.motion.curves import LONGEST_S
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.procedural import procedural_motion

# Suffix of a recording: prefix of its motion's name, and what reads it.
_KINDS: dict[str, tuple[str, Callable[[Path, float], Motion]]] = {
    ".bvh": ("bvh", read_bvh),
    ".npz": ("amass", read_amass),
}
# Lies in every folder of AMASS and says what the performer looks like.
_NO_MOTION = "shape.npz"
# Recordings kept decoded; a long one takes some hundred MB.
_KEPT = 16


class MotionSource(Protocol):
    """Draws motions."""

    def draw(self, rng: np.random.Generator, num_frames: int, fps: float, held_out: bool) -> Motion:
        """Draw a motion of those that are held out, or of those that are not."""
        ...


class ProceduralMotions:
    """Motions of the generator; each seed's is held out or not by its name."""

    def draw(self, rng: np.random.Generator, num_frames: int, fps: float, held_out: bool) -> Motion:
        """Draw a motion of those that are held out, or of those that are not."""
        while True:
            seed = int(rng.integers(2**31))
            if is_held_out("motion", f"procedural-{seed}") == held_out:
                return procedural_motion(seed, num_frames, fps)


class LongMotions:
    """Motions of the generator for as long as a clip takes: what a seed has is played forth and back."""

    def draw(self, rng: np.random.Generator, num_frames: int, fps: float, held_out: bool) -> Motion:
        """Draw a motion of those that are held out, or of those that are not."""
        whole = ProceduralMotions().draw(rng, min(num_frames, int(LONGEST_S * fps)), fps, held_out)
        last = max(whole.num_frames - 1, 1)
        order = last - np.abs(np.arange(num_frames) % (2 * last) - last)
        return replace(
            whole,
            joint_rotations=whole.joint_rotations[order],
            root_path=whole.root_path[order],
            planted=whole.planted[order],
        )


class RecordedMotions:
    """Stretches of the BVH and AMASS-style npz files in a folder and below.

    A file is held out whole, by the name "bvh:<stem>" or "amass:<stem>".

    Args:
        folder: Holds at least one recording.

    Raises:
        InvalidMotion: There is none.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not folder.is_dir():
            raise InvalidMotion("recorded motions are not there", given=folder, allowed="a folder")
        files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _KINDS]
        files = [file for file in files if file.name != _NO_MOTION]
        if not files:
            raise InvalidMotion("no recorded motions", given=folder, allowed=".bvh or AMASS-style .npz files")
        self._names = {file: f"{_KINDS[file.suffix.lower()][0]}:{file.stem}" for file in files}

    def draw(self, rng: np.random.Generator, num_frames: int, fps: float, held_out: bool) -> Motion:
        """Draw a stretch of a file.

        Raises:
            InvalidMotion: No file is on this side of the rule, or one is damaged or shorter than the stretch.
        """
        files = [f for f, name in self._names.items() if is_held_out("motion", name) == held_out]
        if not files:
            raise InvalidMotion(
                f"{'none' if held_out else 'all'} of the recordings are held out by their names",
                given=self.folder,
                remedy="add or rename recordings, or draw the other side (--held-out)",
            )
        file = files[int(rng.integers(len(files)))]
        whole = _read(file, fps)
        if whole.num_frames < num_frames:
            raise InvalidMotion(
                f"{file} is too short for a clip",
                given=f"{whole.num_frames} frames at {fps:g} fps",
                allowed=f"at least {num_frames}",
                remedy="remove it, or render shorter clips",
            )
        start = int(rng.integers(whole.num_frames - num_frames + 1))
        part = whole.stretch(start, start + num_frames)
        path = part.root_path - part.root_path[0] * [1.0, 1.0, 0.0]
        return replace(part, motion_id=f"{self._names[file]}:{start}", root_path=path)


@lru_cache(maxsize=_KEPT)
def _read(file: Path, fps: float) -> Motion:
    return _KINDS[file.suffix.lower()][1](file, fps)
