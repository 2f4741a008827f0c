"""The same people from frame to frame, and which of them a clip is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from threedimo.errors import InvalidRequest, NoPerson
from threedimo.people.landmarks import PersonModels, SeenPerson

Box = tuple[float, float, float, float]
People = Literal["one", "largest"] | Box

# New people are looked for in every so many frames, and whenever one was lost.
_FIND_EVERY = 4
# A track counts as a person if seen in this part of the clip, and if it is not far smaller than the largest.
_MIN_PRESENCE, _MIN_HEIGHT = 0.3, 0.35
# The person of a clip is seen in this part of its frames, with no gap longer than this many seconds.
_CHOSEN_PRESENCE, _MAX_GAP_S = 0.85, 0.25
_MIN_OVERLAP = 0.1
# A body whose box lies this far inside another's is the same body.
_SAME_BOX = 0.6


class ClipLeftOut(Exception):
    """A clip cannot be taken although its video can; the message says why. `nobody`: no person is seen."""

    def __init__(self, reason: str, *, nobody: bool = False):
        super().__init__(reason)
        self.nobody = nobody


@dataclass(eq=False)
class Track:
    """One person: what was seen of it, by frame of the clip."""

    seen: dict[int, SeenPerson] = field(default_factory=dict)

    @property
    def last(self) -> SeenPerson:
        """As it was seen last."""
        return self.seen[max(self.seen)]

    def boxes(self) -> np.ndarray:
        """(N, 4) boxes in pixels of the frames in which it was seen."""
        return np.stack([self.seen[index].box for index in sorted(self.seen)])

    def size_px(self) -> float:
        """Median longer side of its box: its height, unless it lies down."""
        boxes = self.boxes()
        return float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))

    def people(self, num_frames: int) -> list[SeenPerson]:
        """One entry a frame; where it was not seen, as in the nearest frame in which it was."""
        known = np.array(sorted(self.seen))
        return [self.seen[int(known[np.abs(known - index).argmin()])] for index in range(num_frames)]


class PeopleTracker:
    """Follows everybody through one clip, frame by frame."""

    def __init__(self, models: PersonModels):
        self.tracks: list[Track] = []
        self._models = models
        self._count = 0

    def add(self, frame: np.ndarray) -> list[SeenPerson]:
        """Look at the next frame `(height, width, 3)` uint8 RGB; returns who is seen in it."""
        here: list[SeenPerson] = []
        lost: list[Track] = []
        for track in self.tracks:
            person = self._models.look(frame, track.last.region)
            if person is None:
                lost.append(track)
            elif not _is_among(person, here):
                track.seen[self._count] = person
                here.append(person)
        if lost or not here or self._count % _FIND_EVERY == 0:
            self._find(frame, here, lost)
        self._count += 1
        return here

    def _find(self, frame: np.ndarray, here: list[SeenPerson], lost: list[Track]) -> None:
        for region in self._models.find(frame):
            if any(region.is_near(person.region) for person in here):
                continue
            person = self._models.look(frame, region)
            if person is None or _is_among(person, here):
                continue
            again = next((track for track in lost if _shared(track.last.box, person.box)[0] > 0), None)
            if again is None:
                again = Track()
                self.tracks.append(again)
            else:
                lost.remove(again)
            again.seen[self._count] = person
            here.append(person)


def choose_person(
    tracks: Sequence[Track], people: People, *, file: str, start: int, num_frames: int, fps: float
) -> Track:
    """Whom a clip is about.

    Args:
        tracks: Everybody who was seen in it.
        people: "one" allows for one person only. "largest" takes the largest. A box (left, top, right,
            bottom, in pixels of the video) takes whoever is most inside it.
        file: Name of the video, for messages.
        start: The clip's first frame in it.
        num_frames: Frames of the clip.
        fps: Frames per second.

    Raises:
        NoPerson: Several people, and "one" was asked for.
        ClipLeftOut: Nobody, or not for long enough.
    """
    counted = [track for track in tracks if len(track.seen) >= _MIN_PRESENCE * num_frames]
    if not counted:
        raise ClipLeftOut("nobody is seen", nobody=True)
    largest = max(counted, key=Track.size_px)
    counted = [track for track in counted if track.size_px() >= _MIN_HEIGHT * largest.size_px()]
    if people == "one":
        _check_alone(counted, file, start, fps)
    chosen = largest if isinstance(people, str) else _inside(counted, people)
    known = np.array([-1, *sorted(chosen.seen), num_frames])
    if len(chosen.seen) < _CHOSEN_PRESENCE * num_frames or np.diff(known).max() > 1 + _MAX_GAP_S * fps:
        raise ClipLeftOut(f"the person is seen in only {len(chosen.seen)} of {num_frames} frames")
    return chosen


def check_people(people: People) -> None:
    """Refuse what names nobody.

    Raises:
        InvalidRequest: Neither "one", "largest" nor a box.
    """
    if people in ("one", "largest"):
        return
    if not isinstance(people, str) and len(people) == 4 and people[0] < people[2] and people[1] < people[3]:
        return
    raise InvalidRequest(
        "unknown choice of people",
        given=people,
        allowed='"one", "largest", or a box: left, top, right, bottom in pixels',
    )


def _check_alone(tracks: list[Track], file: str, start: int, fps: float) -> None:
    if len(tracks) < 2:
        return
    count = {index: sum(index in track.seen for track in tracks) for track in tracks for index in track.seen}
    most = max(count.values())
    frame = start + min(index for index, number in count.items() if number == most)
    raise NoPerson(
        f"{file} shows several people",
        given=f"{max(most, len(tracks))} people about frame {frame} ({frame / fps:.2f} s)",
        allowed="one person",
        remedy="--people largest, --people left,top,right,bottom in pixels, or cut the others out",
    )


def _inside(tracks: list[Track], box: Box) -> Track:
    share = {id(track): _shared(np.median(track.boxes(), axis=0), np.array(box))[0] for track in tracks}
    best = max(tracks, key=lambda track: share[id(track)])
    if share[id(best)] < _MIN_OVERLAP:
        raise ClipLeftOut("nobody is seen inside the box", nobody=True)
    return best


def _is_among(person: SeenPerson, others: list[SeenPerson]) -> bool:
    """Whether somebody is one of these; guesses at a body differ in size where its legs are not seen."""
    return any(
        person.region.is_near(other.region) or _shared(person.box, other.box)[1] > _SAME_BOX
        for other in others
    )


def _shared(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Shared area of two boxes, as a part of what either covers and as a part of the smaller."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(first[2:] - first[:2])), float(np.prod(second[2:] - second[:2]))
    return shared / max(sum(areas) - shared, 1e-9), shared / max(min(areas), 1e-9)
