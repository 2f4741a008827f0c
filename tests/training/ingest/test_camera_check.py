"""Known shifts of a painted background, through the video codec."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.ingest.camera_check import STATIC_SHIFT, CameraCheck
from threedimo_training.ingest.footage import SampledVideo

from .conftest import nobody

WIDTH, FPS = 512, 12.0
BOX, SIDEWAYS = np.array([60.0, 112.0, 268.0, 320.0]), np.array([1.0, 0.0, 1.0, 0.0])


def verdict(path, boxes=nobody):
    video = SampledVideo.open(path, FPS)
    check = CameraCheck()
    for index, frame in enumerate(video.frames(0, video.announced_frames)):
        check.add(frame, boxes(index))
    return check.verdict()


def test_a_tripod_is_static_through_noise_and_compression(film):
    found = verdict(film("still.mp4", 16, places=nobody))
    assert found.state == "static"
    assert found.shift < STATIC_SHIFT / 2


@pytest.mark.parametrize(
    "camera", [lambda i: (2 * i, 0), lambda i: (0, -1.5 * i), lambda i: (3 * np.sin(i), 2 * np.cos(i))]
)
def test_pans_tilts_and_tremor_are_moving(film, camera):
    found = verdict(film("moving.mp4", 16, camera=camera, places=nobody))
    assert found.state == "moving"
    way = max(np.hypot(*(np.round(camera(i)) - np.round(camera(0)))) for i in range(16))
    assert found.shift * WIDTH == pytest.approx(way, abs=0.7)


def test_a_person_who_moves_does_not_move_the_camera(film):
    path = film("walk.mp4", 16, places=lambda i: [(60 + 5 * i, 112)])
    found = verdict(path, lambda i: [BOX + 5 * i * SIDEWAYS])
    assert found.state == "static"


def test_a_bare_wall_says_nothing():
    check = CameraCheck()
    for _ in range(4):
        check.add(np.full((128, 128, 3), 120, np.uint8), [])
    assert check.verdict().state == "unknown"
    assert np.isnan(check.verdict().shift)
