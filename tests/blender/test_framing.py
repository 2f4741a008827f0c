"""Where the camera stands that films a performer: everybody inside, as large as can be, calm."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FPS = 24.0


def walk(num_frames, speed=(0.0, 0.0, 0.0), size=(0.6, 0.4, 1.8)):
    """Boxes of somebody who walks at so many metres a second."""
    feet = np.arange(num_frames)[:, None] / FPS * np.array(speed)
    half = np.array([size[0] / 2, size[1] / 2, 0.0])
    return np.stack([feet - half, feet + half + [0.0, 0.0, size[2]]], axis=1)


def widest(framing, boxes, places):
    """How far out of the middle of the picture anything is, per frame: 1 is the picture's edge."""
    slope = framing.SENSOR_MM / 2 / framing.LENS_MM
    corners = np.stack(
        [boxes[:, [x, y, z], [0, 1, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)], axis=1
    )
    seen = corners - places[:, None]
    assert (seen[..., 1] > 0).all(), "everything is before the camera"
    return (np.abs(seen[..., [0, 2]]).max(axis=-1) / seen[..., 1] / slope).max(axis=1)


@pytest.mark.parametrize("scale", [0.01, 1.0, 250.0])
@pytest.mark.parametrize("num_frames", [1, 2, 100])
@pytest.mark.parametrize(
    "speed", [(0, 0, 0), (1.5, 0, 0), (0, 1.5, 0), (0, -1.5, 0), (0.2, 0.1, 0), (0, 0, 1)]
)
def test_everything_is_inside_and_touches_the_margin(addon, speed, num_frames, scale):
    framing = addon("framing")
    boxes = walk(num_frames, speed) * scale

    places = framing.camera_places(boxes, FPS)

    assert places.shape == (num_frames, 3)
    assert widest(framing, boxes, places).max() == pytest.approx(1 - framing.MARGIN)


def test_camera_stays_before_somebody_who_moves_a_little(addon):
    boxes = walk(48, (0.4, 0.0, 0.0))

    places = addon("framing").camera_places(boxes, FPS)

    assert (places == places[0]).all()


@pytest.mark.parametrize("speed", [(1.5, 0.0, 0.0), (0.0, 1.5, 0.0)])
def test_camera_follows_somebody_who_walks_far_level_and_as_fast(addon, speed):
    framing = addon("framing")
    boxes = walk(240, speed)

    places = framing.camera_places(boxes, FPS)

    np.testing.assert_allclose(np.diff(places, axis=0), np.tile(np.array(speed) / FPS, (239, 1)), atol=1e-9)
    assert widest(framing, boxes, places).min() == pytest.approx(1 - framing.MARGIN)


def test_following_camera_does_not_sway_with_the_arms(addon):
    boxes = walk(240, (1.5, 0.0, 0.0))
    swing = 0.4 * np.sin(np.arange(240) * 2 * np.pi / 12)
    boxes[:, 1, 0] += np.maximum(swing, 0)
    boxes[:, 0, 0] += np.minimum(swing, 0)

    places = addon("framing").camera_places(boxes, FPS)

    steps = np.diff(places[24:-24, 0])
    assert np.ptp(steps) < 0.2 * steps.mean()


def test_frames_without_anybody_have_a_place_between_their_neighbours(addon):
    boxes = walk(240, (1.5, 0.0, 0.0))
    gaps = boxes.copy()
    gaps[[0, 100, 101, 239]] = np.nan

    with_gaps = addon("framing").camera_places(gaps, FPS)

    # At the ends there is but one neighbour, a step of 6 cm away.
    np.testing.assert_allclose(with_gaps, addon("framing").camera_places(boxes, FPS), atol=0.07)
