# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered picture files on disk: driving footage, chosen or filmed, and the frames behind an image plane.

No bpy here. An image plane reads one file per scene frame. A result usually has fewer frames than its shot,
so each is entered once for every scene frame that it stays on, as a hard link where the file system has
those. Blender then needs no driver and no arithmetic of its own, and a file is there for every frame of the
shot: a missing one renders magenta.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from itertools import pairwise
from pathlib import Path

from threedimo.errors import MediaError, UnreadableMedia, UnwritableFolder
from threedimo.wire.assets import make_asset

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<number>\d+)$")


def is_picture(path: Path) -> bool:
    """Whether the footage is one of a sequence of pictures rather than a video."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def sequence_from(first: Path) -> list[Path]:
    """All pictures of a sequence, from the given one on.

    They share the folder, the suffix and the name up to the number at its end, and count on without a gap.

    Raises:
        UnreadableMedia: The file is missing, has no number, stands alone, or the numbers skip one.
    """
    if not first.is_file():
        raise UnreadableMedia("no such file", given=first, remedy="choose the driving footage again")
    match = _NUMBERED.match(first.stem)
    if match is None:
        raise UnreadableMedia(
            "a picture of a sequence needs a number at the end of its name",
            given=first.name,
            allowed="names such as walk_0001.png",
            remedy="choose the first picture of a sequence, or a video file",
        )
    found = {int(match["number"]): first}
    for path in first.parent.iterdir():
        other = _NUMBERED.match(path.stem)
        if other and path.suffix == first.suffix and other["head"] == match["head"]:
            found[int(other["number"])] = path
    numbers = sorted(number for number in found if number >= int(match["number"]))
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise UnreadableMedia(
                "a picture of the sequence is missing",
                given=f"{found[before].name} is followed by {found[after].name}",
                remedy="add the missing picture, or start after the gap",
            )
    if len(numbers) == 1:
        raise UnreadableMedia(
            "the sequence has a single picture",
            given=first.name,
            remedy="choose the first picture of a longer sequence, or a video file",
        )
    return [found[number] for number in numbers]


def spread_frames(frames: Path, target: Path, shown: list[int]) -> None:
    """Make `target/00000.png` and on: file j is frame `shown[j]` of `frames`. All of them, or no folder.

    Raises:
        UnwritableFolder: The folder cannot be written, or a result frame is missing.
    """
    unfinished = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        for j, frame in enumerate(shown):
            _link_or_copy(frames / f"{frame:05d}.png", unfinished / f"{j:05d}.png")
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UnwritableFolder(
            f"the frames of the image plane cannot be written: {error.strerror}",
            given=target,
            remedy="choose another output folder in the add-on's preferences, or free some space",
        ) from error


def publish_pictures(unfinished: Path, home: Path) -> dict[Path, str]:
    """Move a folder of pictures to its place below `home`, whole, and name it by what is in it.

    The same pictures are kept once, however often they are made.

    Returns:
        The pictures in their place, in order, each with the hash that the protocol knows it by.

    Raises:
        UnreadableMedia: They cannot be read.
        UnwritableFolder: They cannot be moved.
    """
    try:
        hashes = _hashes(unfinished)
        target = home / hashlib.sha256("".join(hashes.values()).encode()).hexdigest()[:32]
        if target.exists() and not _holds(target, hashes):
            shutil.rmtree(target)  # somebody changed it, and the takes made of it refuse it already
        if target.exists():
            shutil.rmtree(unfinished)
        else:
            unfinished.rename(target)
    except OSError as error:
        raise UnwritableFolder(
            f"the pictures that were made for the shot cannot be put in their place: {error.strerror}",
            given=home,
            remedy="choose another output folder in the add-on's preferences, or free some space",
        ) from error
    return {target / name: known for name, known in hashes.items()}


def _holds(folder: Path, hashes: dict[str, str]) -> bool:
    try:
        return _hashes(folder) == hashes
    except MediaError:  # somebody emptied a picture
        return False


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: make_asset(path, path.name).hash
        for path in sorted(folder.iterdir())
        if path.suffix == ".png"
    }


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Some file systems (exFAT, many network shares) have no hard links.
        shutil.copyfile(source, target)
