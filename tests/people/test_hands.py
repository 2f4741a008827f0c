from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest
from threedimo.people.hands import Hands, KnownHands, check_hands, cut_hands, hands_in

NOWHERE = [np.nan] * 4


@pytest.fixture
def frames():
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    frames[:, 10:20, 10:20] = (200, 0, 0)
    frames[:, 20:30, 40:50] = (0, 200, 0)
    return frames


def test_each_hand_is_cut_out_where_it_is_seen(frames):
    left, right = [10, 10, 20, 20], [40, 20, 50, 30]
    boxes = np.array([[left, right], [left, NOWHERE], [NOWHERE, NOWHERE]], np.float32)
    hands = hands_in(frames, KnownHands(boxes), 16)
    assert hands.visible.tolist() == [[True, True], [True, False], [False, False]]
    assert (hands.crops[:2, 0] == (200, 0, 0)).all()
    assert (hands.crops[0, 1] == (0, 200, 0)).all()
    assert not hands.crops[1, 1].any()
    assert not hands.crops[2].any()


def test_what_lies_beyond_the_picture_is_black(frames):
    crop = cut_hands(frames[0], np.array([[-10, 10, 20, 40], NOWHERE]), 30)[0]
    assert not crop[:, :9].any()
    assert (crop[2:8, 22:28] == (200, 0, 0)).all()


def test_boxes_of_other_frames_are_refused(frames):
    with pytest.raises(InvalidRequest, match=r"\(2, 2, 4\) for 3 frames"):
        KnownHands(np.zeros((2, 2, 4))).locate(frames)


def test_the_encoder_gets_its_range_and_order_of_axes():
    crops = np.zeros((5, 2, 8, 8, 3), np.uint8)
    crops[3, 1, :, :, 2] = 255
    visible = np.zeros((5, 2), bool)
    visible[3, 1] = True
    numbers, seen = Hands(crops, visible).normalised(slice(2, 5))
    assert (numbers.shape, numbers.dtype) == ((1, 3, 2, 3, 8, 8), np.float32)
    assert (numbers.min(), numbers.max()) == (-1, 1)
    assert (numbers[0, 1, 1, 2] == 1).all()
    assert seen.tolist() == [[[False, False], [False, True], [False, False]]]


@pytest.mark.parametrize(
    ("crops", "visible"),
    [
        (np.zeros((4, 2, 8, 8, 3), np.uint8), np.zeros((4, 2), bool)),
        (np.zeros((5, 2, 9, 9, 3), np.uint8), np.zeros((5, 2), bool)),
        (np.zeros((5, 2, 8, 8, 3), np.float32), np.zeros((5, 2), bool)),
        (np.zeros((5, 2, 8, 8, 3), np.uint8), np.zeros((5, 2))),
    ],
)
def test_hands_of_another_clip_or_size_are_refused(crops, visible):
    with pytest.raises(InvalidRequest, match="do not fit"):
        check_hands(Hands(crops, visible), 5, 8)
