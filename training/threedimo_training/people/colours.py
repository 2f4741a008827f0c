"""Colours of skin, hair, eyes and cloth: RGB in 0 to 1."""

from __future__ import annotations

import colorsys

import numpy as np

_SKIN = np.array(
    [
        (0.97, 0.83, 0.74), (0.93, 0.76, 0.64), (0.87, 0.68, 0.53), (0.78, 0.58, 0.43), (0.66, 0.46, 0.32),
        (0.50, 0.33, 0.22), (0.37, 0.24, 0.16), (0.28, 0.18, 0.13),
    ]
)  # fmt: skip
_HAIR = np.array(
    [
        (0.05, 0.045, 0.045), (0.10, 0.07, 0.055), (0.20, 0.125, 0.08), (0.33, 0.21, 0.12),
        (0.45, 0.19, 0.09), (0.72, 0.55, 0.30), (0.88, 0.76, 0.50),
    ]
)  # fmt: skip
_GREY = np.array([(0.42, 0.42, 0.43), (0.66, 0.66, 0.66), (0.90, 0.89, 0.87)])
_IRIS = np.array(
    [(0.22, 0.12, 0.06), (0.36, 0.22, 0.10), (0.25, 0.42, 0.62), (0.30, 0.45, 0.28), (0.45, 0.5, 0.52)]
)
# The darker the skin, the less likely is fair hair.
_DARK_HAIR = 3


def skin_colour(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A skin tone and its darkness, 0 to 1."""
    darkness = rng.random()
    position = darkness * (len(_SKIN) - 1)
    tone = np.array([np.interp(position, np.arange(len(_SKIN)), _SKIN[:, channel]) for channel in range(3)])
    return tone, darkness


def hair_colour(rng: np.random.Generator, skin_darkness: float, age: float) -> np.ndarray:
    """Grey for most of the old, dyed for a few, else a natural colour that goes with the skin."""
    if age > 0.82 and rng.random() < 0.8:
        return _GREY[rng.integers(len(_GREY))]
    if 0.45 < age < 0.82 and rng.random() < 0.06:
        return np.array(colorsys.hsv_to_rgb(rng.random(), 0.7, 0.75))
    return _HAIR[rng.integers(_DARK_HAIR if skin_darkness > 0.5 else len(_HAIR))]


def iris_colour(rng: np.random.Generator, skin_darkness: float) -> np.ndarray:
    """Brown, or with fair skin also blue, green and grey."""
    return _IRIS[rng.integers(2 if skin_darkness > 0.5 else len(_IRIS))]


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """Strong, pale, dark or without hue."""
    hue, kind = rng.random(), rng.random()
    if kind < 0.5:
        return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 0.95), rng.uniform(0.5, 0.95)))
    if kind < 0.68:
        return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.15, 0.4), rng.uniform(0.75, 0.97)))
    if kind < 0.84:
        return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.4, 0.8), rng.uniform(0.15, 0.4)))
    return np.full(3, rng.choice([0.07, 0.2, 0.45, 0.7, 0.95]))


def other_colour(rng: np.random.Generator, *near: np.ndarray) -> np.ndarray:
    """A cloth colour that nobody takes for any of the given ones."""
    candidates = [cloth_colour(rng) for _ in range(8)]
    return max(candidates, key=lambda colour: min(np.abs(colour - other).max() for other in near))
