"""Who a clip is about."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest, NoPerson
from threedimo.people.landmarks import Region, SeenPerson
from threedimo_training.ingest.tracking import ClipLeftOut, Track, check_people, choose_person

FRAMES = 20
CLIP = {"file": "duo.mp4", "start": 40, "num_frames": FRAMES, "fps": 10.0}


def track(x: float, height: float, frames) -> Track:
    box = np.array([x, 100.0, x + height / 3, 100.0 + height])
    person = SeenPerson(np.zeros((33, 2)), np.ones(33), box, Region(x, 100, height, 0.0))
    return Track(dict.fromkeys(frames, person))


def test_several_people_are_refused_with_frame_and_count():
    tracks = [track(100, 80, range(FRAMES)), track(300, 90, range(5, FRAMES))]
    with pytest.raises(
        NoPerson, match=r"duo.mp4 shows several people \(given: 2 people about frame 45 \(4.50"
    ):
        choose_person(tracks, "one", **CLIP)


def test_the_largest_or_whoever_is_in_the_box():
    small, large = track(100, 80, range(FRAMES)), track(300, 90, range(FRAMES))
    assert choose_person([small, large], "largest", **CLIP) is large
    assert choose_person([small, large], (80, 90, 140, 200), **CLIP) is small
    with pytest.raises(ClipLeftOut, match="inside the box"):
        choose_person([small, large], (500, 0, 600, 100), **CLIP)


def test_passers_by_and_flickers_are_nobody():
    main = track(100, 200, range(FRAMES))
    assert (
        choose_person([main, track(300, 40, range(FRAMES)), track(500, 200, (3, 4))], "one", **CLIP) is main
    )


def test_a_person_must_be_seen_nearly_always():
    with pytest.raises(ClipLeftOut, match="nobody") as left_out:
        choose_person([], "one", **CLIP)
    assert left_out.value.nobody
    for frames in (range(14), [*range(8), *range(12, FRAMES)]):
        with pytest.raises(ClipLeftOut, match=r"seen in only \d+ of 20"):
            choose_person([track(100, 80, frames)], "one", **CLIP)
    with_gap = track(100, 80, [*range(8), *range(10, FRAMES)])
    assert choose_person([with_gap], "one", **CLIP) is with_gap
    assert with_gap.people(FRAMES)[9] is with_gap.seen[10]


def test_unknown_choices_are_refused():
    for people in ("two", (10, 10, 5, 20), (1, 2, 3)):
        with pytest.raises(InvalidRequest, match="choice of people"):
            check_people(people)  # type: ignore[arg-type]
