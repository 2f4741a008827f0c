"""How large media may be, checked before memory is taken for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import EmptyMedia, MediaTooLarge, MediaTooSmall, UnreadableMedia

MIN_SIDE_PX = 16
"""Below this many pixels on a side no person can be made out, and most codecs cannot store the picture."""


@dataclass(frozen=True)
class MediaLimits:
    """Upper bounds for media from outside.

    Attributes:
        max_pixels: Pixels of one picture (width times height).
        max_duration_s: Length of driving footage in seconds.
        max_clip_bytes: Bytes of all sampled frames of one clip together.
    """

    max_pixels: int = 8192 * 8192
    max_duration_s: float = 3600.0
    max_clip_bytes: int = 4 * 1024**3


DEFAULT_LIMITS = MediaLimits()


def check_file(path: Path, what: str) -> None:
    """Refuse what is no file with bytes in it.

    Raises:
        UnreadableMedia: Nothing is there, or a folder is.
        EmptyMedia: The file has no bytes.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise UnreadableMedia(f"the {what} cannot be read: {found} at this path", given=path)
    if path.stat().st_size == 0:
        raise EmptyMedia(f"the {what} has no bytes", given=path.name, remedy="export or copy the file again")


def check_size(name: str, width: int, height: int, limits: MediaLimits) -> None:
    """Refuse pictures that are too small to show a person, or too large to hold.

    Raises:
        MediaTooSmall: A side is under `MIN_SIDE_PX`.
        MediaTooLarge: More pixels than `limits.max_pixels`.
    """
    if min(width, height) < MIN_SIDE_PX:
        raise MediaTooSmall(
            "the picture is too small to show a person",
            given=f"{name}: {width}x{height} pixels",
            allowed=f"at least {MIN_SIDE_PX} pixels on each side",
        )
    if width * height > limits.max_pixels:
        raise MediaTooLarge(
            "the picture has too many pixels",
            given=f"{name}: {width}x{height} pixels",
            allowed=f"at most {limits.max_pixels} pixels",
            remedy="scale it down and try again",
        )
