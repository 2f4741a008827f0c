"""The finder on a real portrait, and on walls without anybody."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.people.landmarks import NOSE, SHOULDERS, PersonModels, Region
from threedimo_training.ingest.tracking import PeopleTracker

from .conftest import nobody, tripod


@pytest.fixture(scope="module")
def models() -> PersonModels:
    return PersonModels()


def test_joints_of_a_portrait_are_where_they_are(models, film):
    (frame,) = film.picture(1, 0, tripod, lambda i: [(60 + i, 112)])
    people = [models.look(frame, region) for region in models.find(frame)]
    person = next(person for person in people if person)
    # seen by eye in the portrait: her nose, and her left shoulder on the picture's right
    assert np.abs(person.landmarks[NOSE] - [60 + 91, 112 + 52]).max() < 12
    left, right = person.landmarks[list(SHOULDERS)]
    assert left[0] - right[0] > 50
    assert person.visibility[list(SHOULDERS)].min() > 0.9
    # her hair begins at the picture's upper edge, and what is below her chest is not in the picture
    assert person.box[1] < 112 + 20
    assert person.box[3] == 320


def test_a_wall_has_no_people(models, film):
    for frame in film.picture(3, 7, lambda i: (20 * i, 0), nobody):
        assert all(models.look(frame, region) is None for region in models.find(frame))


def test_one_person_is_one_track_and_two_are_two(models, film):
    for places, count in (([(60, 48)], 1), ([(0, 48), (200, 60)], 2)):
        tracker = PeopleTracker(models)
        for frame in film.picture(6, 1, tripod, lambda i, at=places: [(x + i, y) for x, y in at]):
            tracker.add(frame)
        assert [len(track.seen) for track in tracker.tracks] == [6] * count


def test_a_region_maps_its_corners():
    region = Region(x=100.0, y=50.0, radius=20.0, angle=np.pi / 2)
    matrix = region.picture_from_region()
    # turned clockwise by a quarter: the top of the square points to the right
    top = matrix @ [128, 0, 1]
    assert top == pytest.approx([120, 50])


def test_regions_of_equal_place_and_other_size_are_other_people():
    region = Region(100, 100, 50, 0)
    assert region.is_near(Region(110, 100, 60, 1))
    assert not region.is_near(Region(130, 100, 50, 0))
    assert not region.is_near(Region(100, 100, 120, 0))
