"""Hands of the driver: heard where they are seen, and nothing where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest
from threedimo.people.hands import Hands
from threedimo.token_cache import TokenCache


def hands(num_frames: int = 9, visible: bool = True) -> Hands:
    crops = np.random.default_rng(7).integers(0, 256, (num_frames, 2, 16, 16, 3), dtype=np.uint8)
    return Hands(crops, np.full((num_frames, 2), visible))


def test_hands_are_heard_and_unseen_ones_are_none(make):
    without = make().frames
    assert not np.array_equal(make(hands=hands()).frames, without)
    assert np.array_equal(make(hands=hands(visible=False)).frames, without)


def test_one_hand_is_another_thing_than_two_or_the_other(make):
    both, left, right = hands(), hands(), hands()
    left.visible[:, 1] = False
    right.visible[:, 0] = False
    made = [make(hands=each).frames for each in (both, left, right)]
    assert not any(np.array_equal(made[one], made[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_a_hand_that_is_hidden_for_a_while_changes_nothing_before(pipeline, make):
    """Each frame is encoded by itself."""
    tokens = []
    handle = pipeline.motion_encoder.register_forward_hook(lambda _, __, output: tokens.append(output))
    hidden = hands()
    hidden.visible[5:] = False
    for each in (hands(), hidden):
        make(hands=each, num_inference_steps=1)
    handle.remove()
    whole, partly = tokens
    assert np.array_equal(whole[:, :5], partly[:, :5])
    assert not np.array_equal(whole[:, 5:], partly[:, 5:])


def test_each_window_hears_its_own_hands(make):
    changed = hands(21)
    changed.crops[:8] = 255 - changed.crops[:8]
    first, second = make(21, hands=hands(21)).frames, make(21, hands=changed).frames
    assert not np.array_equal(first[:9], second[:9])
    assert np.array_equal(make(21, hands=hands(21)).frames, first)


def test_cached_tokens_know_the_hands(pipeline, make):
    pipeline.token_cache = TokenCache()
    try:
        without, with_hands = make().frames, make(hands=hands()).frames
        assert not np.array_equal(with_hands, without)
        assert np.array_equal(make().frames, without)
        assert np.array_equal(make(hands=hands()).frames, with_hands)
    finally:
        pipeline.token_cache = None


def test_hands_of_another_clip_are_refused(make):
    with pytest.raises(InvalidRequest, match="the hands do not fit"):
        make(9, hands=hands(5))
