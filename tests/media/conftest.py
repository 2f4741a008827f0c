"""Real files whose frames carry a number in their pixels, so that a test can tell which frame it got."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

NUM_BITS = 8
TICK = Fraction(1, 12_000)


def _picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Columns of black or white are the bits of `number`; the top quarter is red: it marks the top."""
    bits = [255 * (number >> bit & 1) for bit in range(NUM_BITS)]
    picture = (
        np.repeat(np.array(bits, np.uint8), width // NUM_BITS)[None, :, None].repeat(height, 0).repeat(3, 2)
    )
    picture[: height // 4] = (200, 0, 0)
    return picture


def _number(picture: np.ndarray) -> int:
    _, width, _ = picture.shape
    row = picture[-4].mean(axis=1)
    columns = row.reshape(NUM_BITS, width // NUM_BITS)[:, 1:-1].mean(axis=1)
    assert np.all((columns < 60) | (columns > 195)), columns
    return sum(1 << bit for bit, level in enumerate(columns) if level > 128)


def _write(
    path: Path,
    numbers: list[int],
    times_s: list[float],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation_deg: int = 0,
    hflip: bool = False,
    rate: int = 30,
    pixel_aspect: Fraction | None = None,
    faststart: bool = False,
) -> Path:
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        height, width, _ = _picture(0).shape
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = TICK
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_deg or hflip:
            stream.set_display_rotation(rotation_deg, hflip=hflip)
        for number, time_s in zip(numbers, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(_picture(number), format="rgb24")
            frame.time_base, frame.pts = TICK, round(time_s / TICK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    return _picture


@pytest.fixture
def numbers_in() -> Callable[[np.ndarray], list[int]]:
    return lambda frames: [_number(frame) for frame in frames]


@pytest.fixture
def write_coded(tmp_path: Path) -> Callable[..., Path]:
    """`write_coded("name.mp4", 30, fps=24)` writes frames 0..29; `times_s=` gives each its own time."""

    def write(
        name: str,
        num_frames: int,
        *,
        fps: float = 30.0,
        times_s: list[float] | None = None,
        **options: object,
    ) -> Path:
        times_s = times_s or [i / fps for i in range(num_frames)]
        return _write(tmp_path / name, list(range(num_frames)), times_s, rate=round(fps), **options)

    return write
