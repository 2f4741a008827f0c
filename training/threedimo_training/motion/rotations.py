"""Rotation matrices: logarithm, shortest turns, interpolation, turns about the axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from threedimo_training.motion.skeleton import axis_angle_matrices


def turn_deg(x: ArrayLike = 0.0, y: ArrayLike = 0.0, z: ArrayLike = 0.0) -> np.ndarray:
    """Rotations (..., 3, 3) by one axis-angle vector in degrees; the components broadcast."""
    return axis_angle_matrices(np.deg2rad(np.stack(np.broadcast_arrays(x, y, z), axis=-1)))


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4), w x y z with w >= 0, of rotation matrices (..., 3, 3)."""
    m = np.asarray(matrices, np.float64)
    diagonal = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    total = diagonal.sum(-1, keepdims=True)
    # four times the squares of w x y z; dividing by the largest keeps every digit (Shepperd's method)
    squares = np.concatenate([1 + total, 1 + 2 * diagonal - total], -1)
    x, y, z = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((1, 0), (2, 0), (2, 1)))
    candidates = np.stack(
        [
            np.stack([squares[..., 0], x, y, z], -1),
            np.stack([x, squares[..., 1], xy, xz], -1),
            np.stack([y, xy, squares[..., 2], yz], -1),
            np.stack([z, xz, yz, squares[..., 3]], -1),
        ],
        axis=-2,
    )
    best = np.argmax(squares, axis=-1)[..., None, None]
    chosen = np.take_along_axis(candidates, best, axis=-2)[..., 0, :]
    chosen = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.where(chosen[..., :1] < 0, -chosen, chosen)


def rotation_vectors(matrices: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (..., 3) in radians, at most pi long: the inverse of `axis_angle_matrices`."""
    q = quaternions(matrices)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, q[..., :1])
    return q[..., 1:] * np.where(length > 1e-9, angle / np.maximum(length, 1e-9), 2.0)


def shortest_turns(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations (..., 3, 3) that take directions `start` to `end`, both (..., 3) and not zero.

    Opposite directions leave the axis open; it is then any one across.
    """
    start = start / np.linalg.norm(start, axis=-1, keepdims=True)
    end = end / np.linalg.norm(end, axis=-1, keepdims=True)
    start, end = np.broadcast_arrays(start, end)
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    cosine = (start * end).sum(-1, keepdims=True)
    spare = np.cross(start, np.where(np.abs(start[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    axis = np.where((sine < 1e-9) & (cosine < 0), spare, axis)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis_angle_matrices(axis / np.maximum(length, 1e-12) * np.arctan2(sine, cosine))


def interpolate(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rotations on the shortest way from `first` to `second` (slerp); `share` (...) from 0 to 1."""
    step = rotation_vectors(np.swapaxes(first, -1, -2) @ second)
    return first @ axis_angle_matrices(step * np.asarray(share)[..., None])
