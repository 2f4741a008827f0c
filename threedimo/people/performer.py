"""The performer of real footage, found by landmarks: a square that follows, and the hands in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from threedimo.people.following import cut_squares, following_squares
from threedimo.people.hands import NUM_HANDS, Hands, KnownHands, hands_in
from threedimo.people.landmarks import HAND_LANDMARKS, PersonModels, SeenPerson

_VISIBLE = 0.5
# Wrist and knuckles to the whole hand: where its middle lies, how large it is; never less than this part of
# the body's own circle, for a hand that points at the camera.
_HAND_REACH, _HAND_SIDE, _MIN_HAND = 1.1, 2.8, 0.15


class LandmarkHands:
    """A `HandLocator` that finds the hands of one performer by the landmarks of the body."""

    def __init__(self, models: PersonModels | None = None):
        self._models = models or PersonModels()

    def locate(self, frames: np.ndarray) -> np.ndarray:
        """As `HandLocator.locate`; all NaN where nobody is seen."""
        return hand_boxes(watch(frames, self._models))


def follow_performer(
    frames: np.ndarray, fps: float, size: int, hand_size: int, models: PersonModels | None = None
) -> tuple[np.ndarray, Hands]:
    """Cut the performer out of footage, and the hands.

    Args:
        frames: (frames, height, width, 3) uint8 RGB, at the footage's own size.
        fps: Frames per second.
        size: Width and height of the driving frames that a model reads.
        hand_size: Of its hand crops.
        models: Loaded networks; None loads them.

    Returns:
        Driving frames (frames, size, size, 3) uint8 RGB, and the hands.

    Raises:
        NoPerformer: Hardly anybody is seen.
    """
    people = watch(frames, models or PersonModels())
    boxes = np.full((len(frames), 4), np.nan)
    for index, person in enumerate(people):
        if person is not None:
            boxes[index] = person.box
    squares = following_squares(boxes, fps)
    return cut_squares(frames, squares, size), hands_in(frames, KnownHands(hand_boxes(people)), hand_size)


def watch(frames: np.ndarray, models: PersonModels) -> list[SeenPerson | None]:
    """One performer through a clip: whoever is largest when first seen, then the same.

    Args:
        frames: (frames, height, width, 3) uint8 RGB.
        models: Loaded networks.

    Returns:
        The person in every frame, None where not seen.
    """
    people: list[SeenPerson | None] = []
    last: SeenPerson | None = None
    for frame in frames:
        person = None if last is None else models.look(frame, last.region)
        if person is None:
            found = [models.look(frame, region) for region in models.find(frame)]
            seen = [each for each in found if each is not None]
            person = _nearest(seen, last) if seen else None
        people.append(person)
        last = person or last
    return people


def hand_boxes(people: Sequence[SeenPerson | None]) -> np.ndarray:
    """Square boxes (F, 2, 4) float32 around both hands, left first, in the video's pixels; NaN if unseen."""
    boxes = np.full((len(people), NUM_HANDS, 4), np.nan, np.float32)
    for frame, person in enumerate(people):
        if person is None:
            continue
        for hand, (wrist, little, index, _thumb) in enumerate(HAND_LANDMARKS):
            if min(person.visibility[wrist], person.visibility[index]) < _VISIBLE:
                continue
            palm = 0.5 * (person.landmarks[little] + person.landmarks[index]) - person.landmarks[wrist]
            centre = person.landmarks[wrist] + _HAND_REACH * palm
            side = max(_HAND_SIDE * float(np.hypot(*palm)), _MIN_HAND * person.region.radius)
            boxes[frame, hand] = np.concatenate([centre - side / 2, centre + side / 2])
    return boxes


def _nearest(seen: list[SeenPerson], last: SeenPerson | None) -> SeenPerson:
    if last is None:
        return max(seen, key=lambda person: person.region.radius)
    return min(
        seen, key=lambda person: np.hypot(person.region.x - last.region.x, person.region.y - last.region.y)
    )
