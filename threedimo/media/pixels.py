"""Frames to a model's size and range, and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from threedimo.errors import MediaError


def fit_frames(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    """Cut the largest centred window of the wanted shape out of every frame, and resize it.

    Nothing is stretched: what does not fit the aspect ratio is cut off evenly on both sides (to a fraction of
    a pixel). Resizing uses a Lanczos filter that widens when it shrinks, so that small results do not alias.
    Frames that have the size already are returned as they are.

    Args:
        frames: `(frames, height, width, 3)` or one picture `(height, width, 3)`, uint8 RGB.
        width: Wanted width in pixels.
        height: Wanted height in pixels.

    Returns:
        The same number of frames (or one picture) of the wanted size, uint8 RGB.
    """
    if width < 1 or height < 1:
        raise ValueError(f"fit_frames needs a size of at least 1x1 pixels, got {width}x{height}")
    if frames.ndim == 3:
        return fit_frames(frames[None], width, height)[0]
    if frames.shape[1:3] == (height, width):
        return frames
    box = _centred_window(frames.shape[2], frames.shape[1], width, height)
    fitted = np.empty((len(frames), height, width, 3), np.uint8)
    for target, frame in zip(fitted, frames, strict=True):
        target[:] = np.asarray(
            Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS, box=box)
        )
    return fitted


def _centred_window(
    width: int, height: int, target_width: int, target_height: int
) -> tuple[float, float, float, float]:
    scale = min(width / target_width, height / target_height)
    window_width, window_height = min(width, target_width * scale), min(height, target_height * scale)
    left, top = (width - window_width) / 2, (height - window_height) / 2
    return left, top, left + window_width, top + window_height


def normalise(frames: np.ndarray) -> np.ndarray:
    """Uint8 RGB `(frames, height, width, 3)` to float32 `(3, frames, height, width)` in [-1, 1]."""
    scaled = frames.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(scaled.transpose(3, 0, 1, 2))


def denormalise(frames: np.ndarray) -> np.ndarray:
    """Float `(3, frames, height, width)` to uint8 RGB `(frames, height, width, 3)`.

    A decoder overshoots [-1, 1] at sharp edges as a matter of course: such values become black or white.

    Raises:
        MediaError: A value is infinite or not a number, which means that the model failed.
    """
    frames = np.asarray(frames, np.float32)
    if not np.isfinite(frames).all():
        raise MediaError(
            "the frames hold values that are not finite numbers, so the model that made them failed",
            remedy="run it with a wider number format, such as bfloat16 or float32",
        )
    levels = np.rint((frames + np.float32(1)) * np.float32(127.5))
    return np.ascontiguousarray(levels.clip(0, 255).astype(np.uint8).transpose(1, 2, 3, 0))
