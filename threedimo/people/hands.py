"""Hands as the motion encoder reads them: a close-up of each, where it is seen.

Whoever knows where the hands are is a `HandLocator`: exact boxes of rendered footage (`KnownHands`), or
landmarks that a network finds (`performer.LandmarkHands`). Without one the encoder gets no hands, which it
has learned to do without. One missing or hidden hand takes nothing from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from threedimo.errors import InvalidRequest

NUM_HANDS = 2


@dataclass(frozen=True, eq=False)
class Hands:
    """Both hands of every frame, the person's left one first.

    Attributes:
        crops: (frames, 2, size, size, 3) uint8 RGB, black where no hand is seen.
        visible: (frames, 2) bool.
    """

    crops: np.ndarray
    visible: np.ndarray

    def normalised(self, frames: slice) -> tuple[np.ndarray, np.ndarray]:
        """What `MotionEncoder` reads: crops (1, F, 2, 3, size, size) in [-1, 1], and `visible` (1, F, 2)."""
        crops = np.moveaxis(self.crops[frames], -1, 2)[None].astype(np.float32) / np.float32(127.5)
        return crops - np.float32(1), self.visible[frames][None]


class HandLocator(Protocol):
    """Says where hands are."""

    def locate(self, frames: np.ndarray) -> np.ndarray:
        """Look at frames (frames, height, width, 3) uint8 RGB.

        Returns:
            Square boxes (frames, 2, 4) float32 of left, top, right, bottom in pixels, left hand first; NaN
            where a hand is not seen.
        """
        ...


class KnownHands:
    """Boxes that are known, as a renderer knows them.

    Args:
        boxes: As `HandLocator.locate` returns them.
    """

    def __init__(self, boxes: np.ndarray):
        self._boxes = boxes

    def locate(self, frames: np.ndarray) -> np.ndarray:
        """The boxes. Raises InvalidRequest where they belong to another number of frames."""
        if self._boxes.shape != (len(frames), NUM_HANDS, 4):
            raise InvalidRequest(
                "the boxes of the hands do not belong to these frames",
                given=f"{self._boxes.shape} for {len(frames)} frames",
                allowed=f"({len(frames)}, {NUM_HANDS}, 4)",
            )
        return self._boxes


def hands_in(frames: np.ndarray, locator: HandLocator, size: int) -> Hands:
    """Locate hands and cut them out.

    Args:
        frames: (frames, height, width, 3) uint8 RGB, the larger the better: hands are small.
        locator: Knows where they are.
        size: Width and height of a crop in pixels, `MotionEncoder`'s `hand_crop_size`.

    Raises:
        InvalidRequest: The locator knows other frames.
    """
    boxes = locator.locate(frames)
    crops = [cut_hands(frame, of_frame, size) for frame, of_frame in zip(frames, boxes, strict=True)]
    return Hands(np.stack(crops), ~np.isnan(boxes[..., 0]))


def cut_hands(frame: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Both hands (2, size, size, 3) uint8 out of a frame; black where unseen or outside of the picture.

    Args:
        frame: (height, width, 3) uint8 RGB.
        boxes: (2, 4) in its pixels, NaN where unseen.
        size: Of the crops.
    """
    hands = np.zeros((NUM_HANDS, size, size, 3), np.uint8)
    for hand, box in enumerate(boxes):
        if not np.isnan(box[0]):
            left, top, right, bottom = np.rint(box).astype(int).tolist()
            window = Image.fromarray(frame).crop((left, top, max(right, left + 1), max(bottom, top + 1)))
            hands[hand] = np.asarray(window.resize((size, size), Image.Resampling.LANCZOS))
    return hands


def check_hands(hands: Hands, num_frames: int, size: int) -> None:
    """Refuse hands of other frames or of another size than a model reads.

    Raises:
        InvalidRequest: With both shapes.
    """
    wanted = (num_frames, NUM_HANDS, size, size, 3), (num_frames, NUM_HANDS)
    given = hands.crops.shape, hands.visible.shape
    if given != wanted or hands.crops.dtype != np.uint8 or hands.visible.dtype != np.bool_:
        raise InvalidRequest(
            "the hands do not fit the driving frames or the model",
            given=f"{given[0]} {hands.crops.dtype}, {given[1]} {hands.visible.dtype}",
            allowed=f"{wanted[0]} uint8, {wanted[1]} bool",
        )
