"""Steady squares, and the camera seen through them."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.people.hands import cut_hands
from threedimo.people.landmarks import HAND_LANDMARKS, Region, SeenPerson
from threedimo.people.performer import hand_boxes
from threedimo_training.ingest.crops import Crop, boxes_through, steady_crop
from threedimo_training.ingest.tracking import ClipLeftOut

from .conftest import still_camera


def test_the_square_holds_the_person_and_lies_in_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(200):
        start = rng.uniform([0, 0], [1400, 500])
        way = start + rng.uniform(-60, 60, (9, 2)).cumsum(axis=0) / 3
        low = np.clip(way, 0, [1500, 600])
        boxes = np.concatenate([low, low + rng.uniform(200, 400, 2)], axis=1)
        crop = steady_crop(boxes, 1920, 1080, 128)
        inside = np.clip(boxes, 0, [1920, 1080, 1920, 1080])
        assert 0 <= crop.left <= 1920 - crop.side
        assert 0 <= crop.top <= 1080 - crop.side
        assert (inside[:, :2] >= [crop.left - 0.5, crop.top - 0.5]).all()
        assert (inside[:, 2:] <= [crop.left + crop.side + 0.5, crop.top + crop.side + 0.5]).all()


def test_a_way_wider_than_any_square_is_left_out():
    boxes = np.array([[0, 100, 200, 500], [1000, 100, 1200, 500]], float)
    with pytest.raises(ClipLeftOut, match="largest square in the picture has 720"):
        steady_crop(boxes, 1280, 720, 128)


def test_footage_is_never_enlarged():
    boxes = np.array([[100, 100, 140, 190]], float)
    assert steady_crop(boxes, 640, 480, 128).side == 128
    with pytest.raises(ClipLeftOut, match="90 px tall"):
        steady_crop(boxes, 640, 480, 256)


def test_a_point_lands_on_the_same_pixel_through_the_crop():
    path = still_camera(640, 480)
    crop = Crop(100, 40, 320)
    seen = crop.through(path, 128)
    assert (seen.width, seen.height) == (128, 128)
    point = np.array([0.1, -0.05, 2.0])
    before, after = (camera.intrinsics[0] @ point / point[2] for camera in (path, seen))
    assert after[:2] == pytest.approx((before[:2] - [100, 40]) * 128 / 320)
    assert (seen.world_from_camera == path.world_from_camera).all()


def seen_person(visible: bool) -> SeenPerson:
    landmarks = np.zeros((33, 2))
    wrist, little, index, thumb = HAND_LANDMARKS[0]
    landmarks[[wrist, little, index, thumb]] = [[50, 50], [58, 48], [62, 52], [55, 45]]
    visibility = np.zeros(33)
    visibility[[wrist, index]] = visible
    return SeenPerson(landmarks, visibility, np.array([40, 40, 70, 90]), Region(50, 80, 60, 0.0))


def test_hands_are_boxed_where_seen_and_nan_elsewhere():
    boxes = hand_boxes([seen_person(True), seen_person(False)])
    left, top, right, bottom = boxes[0, 0]
    assert left < 50 < 62 < right
    assert top < 45 < 52 < bottom
    assert right - left == pytest.approx(bottom - top)
    assert np.isnan(boxes[0, 1]).all()
    assert np.isnan(boxes[1]).all()


def test_boxes_move_with_the_crop_and_vanish_outside():
    boxes = np.array([[[40, 40, 60, 60], [200, 40, 220, 60]]], np.float32)
    seen = boxes_through(boxes, Crop(20, 30, 64), 128)
    assert seen[0, 0] == pytest.approx([40, 20, 80, 60])
    assert np.isnan(seen[0, 1]).all()


def test_hand_crops_are_the_pixels_in_the_box():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[20:40, 20:40] = (200, 100, 50)
    hands = cut_hands(frame, np.array([[20, 20, 40, 40], [np.nan] * 4]), 32)
    assert (hands[0] == (200, 100, 50)).all()
    assert not hands[1].any()
