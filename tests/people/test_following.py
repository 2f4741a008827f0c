from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import NoPerformer
from threedimo.people.following import cut_squares, following_squares

FPS = 24.0


def boxes(middles: np.ndarray, height: float | np.ndarray = 200.0) -> np.ndarray:
    half = 0.5 * np.broadcast_to(height, len(middles))[:, None] * [0.4, 1.0]
    return np.concatenate([middles - half, middles + half], axis=1)


def test_a_walk_across_the_picture_is_followed():
    middles = np.column_stack([np.linspace(100, 900, 96), np.full(96, 300)])
    squares = following_squares(boxes(middles), FPS)
    assert np.abs(squares[:, :2] - middles).max() < 1
    low, high = squares[:, :2] - squares[:, 2:] / 2, squares[:, :2] + squares[:, 2:] / 2
    person = boxes(middles)
    assert (person[:, :2] >= low).all()
    assert (person[:, 2:] <= high).all()


def test_a_jump_stays_in_the_square():
    middles = np.full((72, 2), 300.0)
    middles[34:40, 1] -= 60  # a quarter of a second in the air
    squares = following_squares(boxes(middles), FPS)
    assert np.ptp(squares[:, 1]) < 15
    assert np.ptp(squares[:, 0]) == pytest.approx(0, abs=1e-9)


def test_the_square_never_jumps_although_boxes_tremble():
    rng = np.random.default_rng(0)
    middles = np.full((120, 2), 300.0) + rng.normal(0, 8, (120, 2))
    height = 200 + rng.normal(0, 15, 120)
    squares = following_squares(boxes(middles, height), FPS)
    assert np.abs(np.diff(squares, axis=0)).max() < 2
    assert np.abs(np.diff(boxes(middles, height), axis=0)).max() > 10


def test_who_crouches_stays_as_large():
    height = np.where(np.arange(96) // 24 == 2, 90.0, 200.0)
    squares = following_squares(boxes(np.full((96, 2), 300.0), height), FPS)
    assert np.ptp(squares[:, 2]) < 0.15 * squares[:, 2].max()


def test_who_comes_nearer_is_given_more_room():
    height = np.linspace(100, 400, 96)
    squares = following_squares(boxes(np.full((96, 2), 300.0), height), FPS)
    assert squares[-1, 2] > 400
    assert (squares[:, 2] >= height).all()


def test_a_gap_is_bridged_in_a_straight_line():
    middles = np.column_stack([np.linspace(100, 500, 49), np.full(49, 300)])
    hidden = boxes(middles)
    hidden[20:30] = np.nan
    assert np.abs(following_squares(hidden, FPS) - following_squares(boxes(middles), FPS)).max() < 1e-6


def test_hardly_anybody_is_refused():
    alone = boxes(np.full((9, 2), 100.0))
    alone[2:] = np.nan
    with pytest.raises(NoPerformer, match="a person in 2 of 9 frames"):
        following_squares(alone, FPS)
    with pytest.raises(NoPerformer):
        following_squares(np.full((5, 4), np.nan), FPS)


def test_the_square_is_cut_to_a_fraction_of_a_pixel_and_black_outside():
    columns = np.tile(np.arange(100, dtype=np.uint8), (60, 1))
    frames = np.repeat(columns[None, :, :, None], 3, axis=3)
    cut = cut_squares(frames, np.array([[50.5, 30.0, 20.0]]), 20)
    assert cut.shape == (1, 20, 20, 3)
    # the left edge lies at 40.5: the first pixel shows the columns 40 and 41 half each
    assert np.abs(cut[0, 10, :, 0].astype(int) - np.arange(41, 61)).max() <= 1
    beyond = cut_squares(frames, np.array([[0.0, 30.0, 40.0]]), 40)
    assert not beyond[0, :, :19].any()
