"""A square that follows the performer, so slowly that the motion in it stays the performer's own.

Its middle and its size are smoothed over about a second and a half: a step or a jump moves the person in the
square and not the square, a walk across the picture moves the square.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from threedimo.errors import NoPerformer

_AIR = 1.25
"""Side of the square in lengths of the person's box: arms are to be in it when they are stretched out."""
_SMOOTH_S = 0.5
"""Standard deviation of the weights in time."""
_LARGE, _MIN_SIDE_PX = 0.9, 16.0
_LEAST_SEEN = 0.25


def following_squares(boxes: np.ndarray, fps: float) -> np.ndarray:
    """Squares that follow a person.

    Args:
        boxes: (frames, 4) left, top, right, bottom of the person in pixels; NaN where not seen, which is
            bridged in a straight line.
        fps: Frames per second.

    Returns:
        (frames, 3) float: middle x, middle y, side, in pixels. They may reach beyond the picture.

    Raises:
        NoPerformer: The person is seen in less than a quarter of the frames.
    """
    seen = ~np.isnan(boxes[:, 0])
    if seen.mean() < _LEAST_SEEN:
        raise NoPerformer(
            "hardly anybody is seen in the driving footage",
            given=f"a person in {int(seen.sum())} of {len(boxes)} frames",
            allowed="a person of at least a fifth of the picture's height, in a quarter of the frames",
            remedy="use footage that shows the performer larger, or leave out following",
        )
    known = boxes[seen]
    lengths = (known[:, 2:] - known[:, :2]).max(axis=1)
    # Who crouches is not farther away: what counts is how long the person is about then at most.
    lengths = np.maximum(lengths, _LARGE * np.quantile(lengths, 0.9))
    squares = np.column_stack([0.5 * (known[:, :2] + known[:, 2:]), _AIR * lengths])
    frames, at = np.arange(len(boxes)), np.flatnonzero(seen)
    whole = np.column_stack([np.interp(frames, at, column) for column in squares.T])
    smooth = _smoothed(whole, max(_SMOOTH_S * fps, 1.0))
    smooth[:, 2] = np.maximum(smooth[:, 2], _MIN_SIDE_PX)
    return smooth


def cut_squares(frames: np.ndarray, squares: np.ndarray, size: int) -> np.ndarray:
    """Each frame's square, at `size` x `size` pixels; black beyond the picture.

    Args:
        frames: (frames, height, width, 3) uint8 RGB.
        squares: From `following_squares`.
        size: Of the result.

    Returns:
        (frames, size, size, 3) uint8 RGB.
    """
    cut = np.empty((len(frames), size, size, 3), np.uint8)
    for target, frame, (x, y, side) in zip(cut, frames, squares, strict=True):
        # Whole pixels of a larger window, then the square in it to a fraction: PIL pads only whole ones.
        left, top = np.floor([x - side / 2, y - side / 2]).astype(int)
        reach = int(np.ceil(side)) + 1
        window = Image.fromarray(frame).crop((left, top, left + reach, top + reach))
        within = (x - side / 2 - left, y - side / 2 - top)
        box = (within[0], within[1], within[0] + side, within[1] + side)
        target[:] = np.asarray(window.resize((size, size), Image.Resampling.LANCZOS, box=box))
    return cut


def _smoothed(columns: np.ndarray, sigma: float) -> np.ndarray:
    """Straight lines fitted around each frame: a mean that does not lag behind at the ends of a walk."""
    if len(columns) == 1:
        return columns
    frames = np.arange(len(columns))
    apart = frames - frames[:, None]
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    once, twice = (weights * apart).sum(axis=1), (weights * apart**2).sum(axis=1)
    weights *= twice[:, None] - once[:, None] * apart
    return weights @ columns / weights.sum(axis=1, keepdims=True)
