"""Frames to files. Notable: a file appears under its name only when it is complete.

Whoever promises that files outlive a power cut must also sync them, once for all: that is not done here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from threedimo.errors import NoSpace, StorageError, UnsupportedSize, UnwritableFolder

_ITU709, _LIMITED_RANGE = 1, 1
# Nearly transparent to the eye; one thread and only what x264 computes alike everywhere, so that equal frames
# give equal bytes.
_X264 = {"crf": "14", "preset": "fast", "threads": "1", "x264-params": "cpu-independent=1"}

_PNG_LEVEL = 1  # Lossless at every level; higher ones take several times as long for a tenth of the size.


def write_png(path: Path, frame: np.ndarray) -> None:
    """Write one frame `(height, width, 3)` uint8 RGB as PNG, complete or not at all.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder is missing or may not be written.
    """
    with _complete_or_absent(path) as part:
        Image.fromarray(frame).save(part, format="PNG", compress_level=_PNG_LEVEL)


def write_frames(folder: Path, frames: np.ndarray) -> list[Path]:
    """Write `(frames, height, width, 3)` uint8 RGB as `folder/00000.png` and on; makes the folder.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder cannot be made or written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.png" for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        write_png(path, frame)
    return paths


def write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write `(frames, height, width, 3)` uint8 RGB as H.264 in MP4 that plays everywhere and starts at once.

    8-bit 4:2:0, BT.709, limited range, index at the front. That format halves the colour's resolution, so
    width and height must be even: odd sizes are refused rather than padded or cut.

    Raises:
        UnsupportedSize: Width or height is odd.
        NoSpace: The disk is full.
        UnwritableFolder: The folder is missing or may not be written.
    """
    _, height, width, _ = frames.shape
    if width % 2 or height % 2:
        raise UnsupportedSize(
            "H.264 video needs an even width and height",
            given=f"{width}x{height}",
            remedy="write PNG frames instead",
        )
    with (
        _complete_or_absent(path) as part,
        av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _ITU709
        context.color_range = _LIMITED_RANGE
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=_ITU709, dst_color_range=_LIMITED_RANGE
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors while writing `path` into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                "the disk is full",
                given=path,
                remedy="free some space or choose another folder, then try again",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
            raise UnwritableFolder(
                f"the file cannot be written: {os.strerror(error.errno)}",
                given=path,
                remedy="choose a folder that exists and that you may write to",
            ) from error
        raise StorageError(f"the file cannot be written: {error}", given=path) from error


@contextmanager
def _complete_or_absent(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.part")
    try:
        with storage_errors(path):
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
