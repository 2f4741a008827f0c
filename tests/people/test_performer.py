"""The performer found by the real networks, on a portrait before a wall."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.ingest.conftest import nobody, tripod
from threedimo.errors import NoPerformer
from threedimo.people.hands import hands_in
from threedimo.people.landmarks import NOSE, PersonModels
from threedimo.people.performer import LandmarkHands, follow_performer, watch

FPS = 8.0


@pytest.fixture(scope="module")
def models():
    return PersonModels()


@pytest.fixture(scope="module")
def walk(film):
    """She moves to the right by 8 pixels a frame."""
    return film.picture(9, 0, tripod, lambda i: [(40 + 8 * i, 112)])


def test_the_performer_is_seen_in_every_frame_and_alone(models, walk):
    people = watch(walk, models)
    assert all(person is not None for person in people)
    noses = np.stack([person.landmarks[NOSE] for person in people if person])
    assert np.abs(np.diff(noses[:, 0]) - 8).max() < 6


def test_the_square_follows_and_missing_hands_are_missing(models, walk):
    frames, hands = follow_performer(walk, FPS, 96, 32, models)
    assert frames.shape == (9, 96, 96, 3)
    assert hands.crops.shape == (9, 2, 32, 32, 3)
    assert not hands.crops[~hands.visible].any()
    noses = [person.landmarks[NOSE] for person in watch(frames, models) if person]
    assert len(noses) >= 7
    assert np.ptp(np.stack(noses), axis=0).max() < 0.2 * 96, "she walks, and stays in the square"


def test_an_empty_wall_has_neither_performer_nor_hands(models, film):
    wall = film.picture(3, 0, tripod, nobody)
    assert not hands_in(wall, LandmarkHands(models), 16).visible.any()
    with pytest.raises(NoPerformer):
        follow_performer(wall, FPS, 32, 16, models)
