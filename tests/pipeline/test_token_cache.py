"""What was encoded before is not encoded again, and the shot is the same bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from threedimo.memory_plans import apply_plan
from threedimo.token_cache import TokenCache


@pytest.fixture
def calls(pipeline) -> Iterator[Callable[[], tuple[int, int]]]:
    """How often the text encoder and the motion encoder have worked since the last question."""
    counts = [0, 0]

    def count(index):
        def hook(*_):
            counts[index] += 1

        return hook

    encoders = (pipeline.text_encoder, pipeline.motion_encoder)
    handles = [encoder.register_forward_hook(count(index)) for index, encoder in enumerate(encoders)]

    def asked() -> tuple[int, int]:
        found = (counts[0], counts[1])
        counts[:] = [0, 0]
        return found

    pipeline.token_cache = TokenCache()
    yield asked
    pipeline.token_cache = None
    for handle in handles:
        handle.remove()


def test_a_motion_and_a_text_are_encoded_once_for_many_shots(make, pipeline, calls):
    first = make(prompt="Front view.").frames
    assert calls() == (2, 1)  # the text and the empty one
    assert np.array_equal(make(prompt="Front view.").frames, first)
    assert calls() == (0, 0)
    make(prompt="From above.", seed=4)
    assert calls() == (1, 0)
    make(5, prompt="From above.")
    assert calls() == (0, 1)
    pipeline.token_cache = None
    assert np.array_equal(make(prompt="Front view.").frames, first)
    assert calls() == (2, 1)


def test_with_other_numbers_everything_is_encoded_anew(make, pipeline, calls):
    make(prompt="Front view.")
    calls()
    apply_plan(pipeline, "full", torch.device("cpu"))
    make(prompt="Front view.")
    assert calls() == (2, 1)


def test_what_was_not_used_for_longest_makes_room():
    cache, encoded = TokenCache(max_bytes=8), []

    def encode(text):
        return lambda: encoded.append(text) or torch.ones(1)

    for text in ("a", "b", "a", "c", "a", "b"):
        cache.get(text, encode(text))
    assert encoded == ["a", "b", "c", "b"]
    frames = np.zeros((2, 2), np.uint8)
    for content in (frames, frames.reshape(4, 1), frames.reshape(4, 1), frames + 1):
        cache.get(content, encode("frames"))
    assert encoded.count("frames") == 3
