"""One steady square for a whole clip, the camera as seen through it, and boxes in it.

Notable: the square never moves. One that followed the person would look like a camera that pans.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threedimo.camera import CameraPath
from threedimo.media import fit_frames
from threedimo_training.ingest.tracking import ClipLeftOut

# Air around the body: landmarks are joints, flesh and hair lie outside of them.
_MARGIN = 1.15
# A person smaller than this part of the sample is not worth learning from.
_MIN_FILL = 0.45


@dataclass(frozen=True)
class Crop:
    """A square of a picture: its left and top edge and its side, in whole pixels."""

    left: int
    top: int
    side: int

    def cut(self, frame: np.ndarray, size: int) -> np.ndarray:
        """The square out of a frame `(height, width, 3)` uint8, at `size` x `size` pixels."""
        window = frame[self.top : self.top + self.side, self.left : self.left + self.side]
        return fit_frames(np.ascontiguousarray(window), size, size)

    def through(self, path: CameraPath, size: int) -> CameraPath:
        """The camera whose picture is this square, at `size` x `size` pixels."""
        intrinsics = path.intrinsics.copy()
        intrinsics[:, :2, 2] -= [self.left, self.top]
        intrinsics[:, :2] *= size / self.side
        return replace(path, intrinsics=intrinsics, width=size, height=size)


def steady_crop(boxes: np.ndarray, width: int, height: int, size: int) -> Crop:
    """The square that holds a person in every frame of a clip, with some air, inside the picture.

    Args:
        boxes: (F, 4) left, top, right, bottom of the person, in pixels.
        width: Of the picture.
        height: Of the picture.
        size: Side of the sample in pixels; pixels are never made up, so that the square is no smaller.

    Raises:
        ClipLeftOut: The person's way is wider than any square in the picture, or the person is too small.
    """
    inside = np.clip(boxes, 0, [width, height, width, height])
    low, high = inside[:, :2].min(axis=0), inside[:, 2:].max(axis=0)
    extent, limit = float((high - low).max()), min(width, height)
    if extent > limit:
        raise ClipLeftOut(
            f"the person's way takes {extent:.0f} px and the largest square in the picture has {limit}; "
            "shorter clips may fit"
        )
    side = min(limit, max(size, int(np.ceil(_MARGIN * extent))))
    person = float(np.median((inside[:, 2:] - inside[:, :2]).max(axis=1)))
    if limit < size or person < _MIN_FILL * size:
        raise ClipLeftOut(
            f"the person is {person:.0f} px tall in a picture of {width}x{height}, too small for samples of "
            f"{size} px; a smaller --size may fit"
        )
    corner = np.clip(np.rint(0.5 * (low + high - side)), 0, [width - side, height - side])
    return Crop(int(corner[0]), int(corner[1]), side)


def boxes_through(boxes: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The same boxes in the sample's pixels; NaN where a hand's middle is outside of the square."""
    seen = (boxes - [crop.left, crop.top, crop.left, crop.top]) * (size / crop.side)
    middle = 0.5 * (seen[..., :2] + seen[..., 2:])
    outside = ~((middle >= 0) & (middle < size)).all(axis=-1)
    seen[outside] = np.nan
    return seen.astype(np.float32)
