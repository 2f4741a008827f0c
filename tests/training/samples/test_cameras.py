import numpy as np
import pytest

from threedimo.camera import MOVES
from threedimo_training.samples.cameras import MOVING, STILL, draw_camera, framed_share

FORWARD = np.array([0.0, -1.0, 0.0])


def _standing() -> np.ndarray:
    box = np.stack(np.meshgrid([-0.4, 0.4], [-0.2, 0.2], [0.0, 1.7]), axis=-1).reshape(-1, 3)
    return np.repeat(box[None], 9, axis=0)


def test_every_move_of_the_vocabulary_can_be_drawn():
    assert {*STILL, *MOVING} == set(MOVES)


@pytest.mark.parametrize("name", sorted(MOVES))
def test_the_person_is_large_at_first_and_the_camera_above_the_floor(name):
    shares = []
    for seed in range(20):
        path = draw_camera(np.random.default_rng(seed), _standing(), FORWARD, moves=[name], size=64, fps=8.0)
        assert (path.positions[:, 2] > 0.1).all()
        assert path.num_frames == 9
        shares.append(framed_share(path, _standing()))
    assert np.median(shares) > 0.5


def test_viewpoints_go_all_around():
    rng = np.random.default_rng(0)
    paths = [draw_camera(rng, _standing(), FORWARD, moves=STILL, size=64, fps=8.0) for _ in range(200)]
    places = np.array([path.positions[0] for path in paths])
    quarters = np.floor(np.arctan2(places[:, 1], places[:, 0]) / (np.pi / 2)).astype(int)
    assert np.bincount(quarters + 2, minlength=4).min() > 25


def test_who_crosses_the_picture_is_filmed_from_where_they_stay_large():
    steps = np.linspace(0, 4, 9)[:, None, None] * np.array([1.0, 0.0, 0.0])
    walking, rng = _standing() + steps, np.random.default_rng(1)
    paths = [draw_camera(rng, walking, FORWARD, moves=STILL, size=64, fps=8.0) for _ in range(40)]
    shares = [framed_share(path, walking) for path in paths]
    assert np.mean(np.array(shares) > 0.3) > 0.8
