"""Means that say how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats


@dataclass(frozen=True)
class Figure:
    """The mean of one metric over clips.

    Attributes:
        mean: None where no clip has a value.
        ci95: Lower and upper end of the 95% interval of the mean, or None for fewer than two clips.
        n: How many clips have a value.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    n: int


def summarise(values: Sequence[float | None]) -> Figure:
    """Mean and 95% interval by Student's t distribution.

    Args:
        values: One for each clip, which are independent of each other; None where a clip has no value.
    """
    known = np.array([value for value in values if value is not None], np.float64)
    if len(known) == 0:
        return Figure(None, None, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Figure(mean, None, 1)
    standard_error = float(known.std(ddof=1)) / math.sqrt(len(known))
    reach = float(scipy.stats.t.ppf(0.975, len(known) - 1)) * standard_error
    return Figure(mean, (mean - reach, mean + reach), len(known))
