"""The clips of an evaluation: people, motions and cameras that training never sees.

A clip follows from seed, split and number alone, whatever else is evaluated, so that more clips only add to
those that were there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from threedimo.errors import InvalidRequest
from threedimo_training.samples.sample import ROLES, Sample

SPLITS = ROLES
_MAX_DRAWS = 32

SampleDrawer = Callable[[np.random.Generator, str], Sample]
"""Draws a held-out sample of a role; the same state of the generator gives the same sample."""


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """One clip to be made by a model.

    Attributes:
        split: One of `SPLITS`.
        index: Its number in the split.
        sample: What goes in and what should come out.
        other: Another sample of the split, with another motion and another text: the wrong inputs.
        noise_seed: Of every run of this clip, so that runs differ by nothing but their inputs.
    """

    split: str
    index: int
    sample: Sample
    other: Sample
    noise_seed: int


def held_out_clip(draw: SampleDrawer, split: str, index: int, seed: int) -> HeldOutClip:
    """Draw a clip and its wrong inputs.

    Raises:
        InvalidRequest: The drawer gives samples that are not held out, or none with another text.
    """
    number = SPLITS.index(split)
    sample = _drawn(draw, split, [seed, number, index, 0])
    for attempt in range(1, _MAX_DRAWS):
        other = _drawn(draw, split, [seed, number, index, attempt])
        if other.target.text != sample.target.text and other.motion_id != sample.motion_id:
            noise_seed = int(np.random.default_rng([seed, number, index, _MAX_DRAWS]).integers(2**31))
            return HeldOutClip(split, index, sample, other, noise_seed)
    raise InvalidRequest("no other clip with another motion and another camera text", given=sample.sample_id)


def _drawn(draw: SampleDrawer, split: str, seed: list[int]) -> Sample:
    sample = draw(np.random.default_rng(seed), split)
    if not sample.held_out:
        raise InvalidRequest("a clip that may have been trained on proves nothing", given=sample.sample_id)
    return sample
