"""The paper's training schedule: mixtures of data, fading geometry loss, dropped conditions (section 4).

Everything depends on the progress of the training, 0 to 1, so that a schedule of any length has the paper's
proportions: stages of 10K, 15K and 5K steps, and a geometry weight that is gone after 12K of the 30K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from threedimo_training.samples.sample import Role

STAGE_1_END, STAGE_2_END = 10 / 30, 25 / 30
GEOMETRY_WEIGHT, GEOMETRY_SHARE = 0.1, 12 / 30
TEXT_DROPOUT, MOTION_DROPOUT, HINTS_DROPOUT = 0.1, 0.1, 0.3

# A balanced mix of reconstruction and other views; then other views alone.
_MIXTURES: tuple[tuple[float, tuple[Role, ...]], ...] = (
    (STAGE_1_END, ("same_view",)),
    (STAGE_2_END, ("same_view", "same_view", "cross_view", "moving_camera")),
    (1.0, ("cross_view", "moving_camera")),
)


def mixture(progress: float, count: int) -> list[Role]:
    """Roles of the `count` samples of a step, in the proportions of the stage that `progress` is in."""
    roles = next((roles for end, roles in _MIXTURES if progress < end), _MIXTURES[-1][1])
    return [roles[number % len(roles)] for number in range(count)]


def geometry_weight(progress: float) -> float:
    """Weight of the geometry loss: 0.1 at first, 0 after two fifths, linear between."""
    return GEOMETRY_WEIGHT * max(0.0, 1 - progress / GEOMETRY_SHARE)


def dropped(tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set the tokens of a share of the samples to zeros, which is what a missing condition is."""
    kept = torch.rand(tokens.shape[0], generator=generator) >= share
    return tokens * kept.view(-1, *[1] * (tokens.ndim - 1)).to(tokens.device)
