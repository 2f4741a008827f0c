"""Curves over time that depend on a seed alone: keys, splines between them, slow wandering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Keys and paths are laid out for this long, whatever stretch is sampled.
LONGEST_S = 32.0


def ease(share: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, without speed or acceleration at the ends (minimum jerk), clipped outside."""
    s = np.clip(share, 0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s * s)


def spline(times: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cubic Hermite curves through values (K, D) at rising key times (K,), sampled at times (F,): (F, D).

    Tangents are Catmull-Rom's, halved: the movement slows a little at every key, as people do. Before the
    first and after the last key the curve stays where it is.
    """
    tangents = np.zeros_like(values)
    tangents[1:-1] = 0.5 * (values[2:] - values[:-2]) / (keys[2:] - keys[:-2])[:, None]
    left = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    width = keys[left + 1] - keys[left]
    s = np.clip((times - keys[left]) / width, 0.0, 1.0)[:, None]
    start, end = values[left], values[left + 1]
    enter, leave = tangents[left] * width[:, None], tangents[left + 1] * width[:, None]
    eased = s * s * (3 - 2 * s)
    return start + (end - start) * eased + s * (1 - s) * ((1 - s) * enter - s * leave)


def key_times(rng: np.random.Generator, slowest_s: float) -> np.ndarray:
    """Irregular times, 0.3 s to 1.4 times `slowest_s` apart, from before 0 to the longest motion."""
    pace = rng.uniform(0.42, slowest_s)
    gaps = pace * rng.uniform(0.7, 1.4, int((LONGEST_S + 4) / (0.7 * pace)) + 2)
    return np.cumsum(gaps) - rng.uniform(1.0, 2.0) * pace * 1.4


def with_anticipation(keys: np.ndarray, values: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Adds, early in every gap, a key that draws back a little from where the movement will go."""
    between = 0.8 * keys[:-1] + 0.2 * keys[1:]
    drawn = values[:-1] - share * (values[1:] - values[:-1])
    all_keys = np.concatenate([keys, between])
    order = np.argsort(all_keys)
    return all_keys[order], np.concatenate([values, drawn])[order]


def wandering(times: np.ndarray, rng: np.random.Generator, sizes: Sequence[float]) -> np.ndarray:
    """Slow random waves (F, D), about `sizes` (D,) large: nobody stands still or repeats exactly."""
    rates = rng.uniform(0.15, 0.9, (3, len(sizes)))
    phases = rng.uniform(0, 2 * np.pi, (3, len(sizes)))
    amplitudes = rng.normal(0, 0.6, (3, len(sizes))) * np.asarray(sizes)
    return (amplitudes * np.sin(2 * np.pi * rates * times[:, None, None] + phases)).sum(1)


def table(
    poses: Sequence[Mapping[str, float]], names: Sequence[str], rest: Mapping[str, float]
) -> np.ndarray:
    """Rows of angles (K, D) in the order of `names`; what a pose does not name is as at rest."""
    return np.array([[pose.get(name, rest.get(name, 0.0)) for name in names] for pose in poses], float)
