"""The BVH file format: a hierarchy of bones with offsets and channels, then one line of numbers a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.recordings import MOST_FRAMES
from threedimo_training.motion.skeleton import axis_angle_matrices

MOST_BYTES = 512 * 2**20
MOST_BONES = 400
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


@dataclass(frozen=True)
class Bone:
    """A joint of the file: its name, its parent's number (-1 for the root), offset and channels in order."""

    name: str
    parent: int
    offset: tuple[float, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BvhFile:
    """What a file holds, in its own units and axes.

    Attributes:
        path: Where it came from.
        bones: Every joint, parents first.
        ends: Ends of leaf bones: number of the bone and offset from its joint.
        fps: Frames per second.
        rotations: (F, B, 3, 3) relative to the parent.
        translations: (F, B, 3) of each joint from its parent's.
    """

    path: Path
    bones: tuple[Bone, ...]
    ends: tuple[tuple[int, tuple[float, ...]], ...]
    fps: float
    rotations: np.ndarray
    translations: np.ndarray

    def rest_places(self) -> np.ndarray:
        """(B, 3) of the joints where all rotations are nothing, the root at its offset."""
        places = np.array([bone.offset for bone in self.bones])
        for index, bone in enumerate(self.bones):
            if bone.parent >= 0:
                places[index] += places[bone.parent]
        return places

    def in_world(self) -> tuple[np.ndarray, np.ndarray]:
        """Orientations (F, B, 3, 3) and places (F, B, 3) of the joints."""
        turned, places = self.rotations.copy(), self.translations.copy()
        for index, bone in enumerate(self.bones):
            if bone.parent >= 0:
                turned[:, index] = turned[:, bone.parent] @ self.rotations[:, index]
                places[:, index] = places[:, bone.parent] + np.einsum(
                    "fij,fj->fi", turned[:, bone.parent], self.translations[:, index]
                )
        return turned, places


class _Words:
    """The file's words with their line numbers, one after the other."""

    def __init__(self, path: Path, lines: list[str]):
        self.path, self.line = path, 1
        self._words: Iterator[tuple[int, str]] = (
            (number, word) for number, line in enumerate(lines, start=1) for word in line.split()
        )

    def next(self, wanted: str) -> str:
        number, word = next(self._words, (self.line, None))
        self.line = number
        if word is None:
            raise self.wrong("the file ends too early", None, wanted)
        return word

    def expect(self, *wanted: str) -> str:
        word = self.next(" or ".join(wanted))
        if word.upper() not in wanted:
            raise self.wrong("an unexpected word", word, " or ".join(wanted))
        return word.upper()

    def number(self) -> float:
        word = self.next("a number")
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise self.wrong("not a number", word, "a finite number")
        return value

    def count(self, most: int) -> int:
        value = self.number()
        if value != int(value) or not 0 <= value <= most:
            raise self.wrong("not a possible count", value, f"0 to {most}")
        return int(value)

    def wrong(self, problem: str, given: object, allowed: str) -> InvalidMotion:
        return InvalidMotion(
            f"{self.path.name}, line {self.line}: {problem}",
            given=given,
            allowed=allowed,
            remedy="export the motion again",
        )


def load_bvh(path: Path) -> BvhFile:
    """Read a BVH file.

    Raises:
        InvalidMotion: The file is missing, too large, cut off, or does not follow the format; with its line.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InvalidMotion(
                "too large a motion file", given=f"{path}, {size} bytes", allowed=f"up to {MOST_BYTES} bytes"
            )
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidMotion("the motion file cannot be read", given=path, remedy="check the path") from error
    lines = text.splitlines()
    words = _Words(path, lines)
    words.expect("HIERARCHY")
    words.expect("ROOT")
    bones: list[Bone] = []
    ends: list[tuple[int, tuple[float, ...]]] = []
    _read_bones(words, bones, ends)
    values, fps = _read_frames(words, lines, sum(len(bone.channels) for bone in bones))
    rotations, translations = _apply_channels(bones, values)
    return BvhFile(path, tuple(bones), tuple(ends), fps, rotations, translations)


def _read_bones(words: _Words, bones: list[Bone], ends: list[tuple[int, tuple[float, ...]]]) -> None:
    """Reads the root, whose keyword has been read, and everything below it."""
    open_bones = [_read_head(words, bones, -1)]
    while open_bones:
        word = words.expect("JOINT", "END", "}")
        if word == "JOINT":
            open_bones.append(_read_head(words, bones, open_bones[-1]))
        elif word == "END":
            words.next("Site")
            words.expect("{")
            words.expect("OFFSET")
            ends.append((open_bones[-1], tuple(words.number() for _ in range(3))))
            words.expect("}")
        else:
            open_bones.pop()


def _read_head(words: _Words, bones: list[Bone], parent: int) -> int:
    """Reads name, offset and channels of a bone; returns its number."""
    if len(bones) >= MOST_BONES:
        raise words.wrong("too many bones", None, f"up to {MOST_BONES}")
    name = ""
    while (word := words.next("a bone's name and {")) != "{":
        name = f"{name} {word}".strip()
    words.expect("OFFSET")
    offset = tuple(words.number() for _ in range(3))
    words.expect("CHANNELS")
    channels = tuple(words.next("a channel's name") for _ in range(words.count(6)))
    unknown = [channel for channel in channels if channel not in _CHANNELS]
    if unknown or len(set(channels)) != len(channels):
        raise words.wrong(f"channels of {name}", channels, ", ".join(_CHANNELS))
    bones.append(Bone(name, parent, offset, channels))
    return len(bones) - 1


def _read_frames(words: _Words, lines: list[str], num_channels: int) -> tuple[np.ndarray, float]:
    words.expect("MOTION")
    words.expect("FRAMES:")
    num_frames = words.count(MOST_FRAMES)
    if not num_frames:
        raise words.wrong("a motion without frames", 0, "1 or more")
    words.expect("FRAME")
    words.expect("TIME:")
    frame_s = words.number()
    if not 1e-4 < frame_s < 10:
        raise words.wrong("not a possible frame time", frame_s, "0.0001 to 10 seconds")
    values = np.empty((num_frames, num_channels))
    given = [(n, line) for n, line in enumerate(lines[words.line :], start=words.line + 1) if line.strip()]
    for frame, (words.line, line) in enumerate(given[:num_frames]):
        numbers = line.split()
        if len(numbers) != num_channels:
            raise words.wrong(
                f"frame {frame + 1} is cut off or too long", len(numbers), f"{num_channels} numbers"
            )
        try:
            values[frame] = numbers
        except ValueError as error:
            raise words.wrong(
                f"frame {frame + 1} has a word that is no number", str(error), "numbers"
            ) from error
        if not np.isfinite(values[frame]).all():
            raise words.wrong(
                f"frame {frame + 1} has a value that is no number", "nan or inf", "finite numbers"
            )
    if len(given) != num_frames:
        raise words.wrong(
            "another number of frames than announced", len(given), f"{num_frames} lines of numbers"
        )
    return values, 1.0 / frame_s


def _apply_channels(bones: list[Bone], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rotations = np.tile(np.eye(3), (len(values), len(bones), 1, 1))
    translations = np.tile([bone.offset for bone in bones], (len(values), 1, 1)).astype(float)
    column = 0
    for index, bone in enumerate(bones):
        for channel in bone.channels:
            axis, curve = "XYZ".index(channel[0]), values[:, column]
            if channel.endswith("position"):
                translations[:, index, axis] = curve
            else:
                vectors = np.deg2rad(curve)[:, None] * np.eye(3)[axis]
                rotations[:, index] = rotations[:, index] @ axis_angle_matrices(vectors)
            column += 1
    return rotations, translations
