"""Rotations of cameras: quaternions to interpolate, yaw, pitch and roll to describe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Looking steeper than this up or down, the heading is read from the top of the picture instead of the optical
# axis, whose horizontal part is then too short to carry a direction.
STEEP_HORIZONTAL = float(np.sin(np.radians(10.0)))


def quaternions_from_matrices(rotations: Floats) -> Floats:
    """Turn rotation matrices `(..., 3, 3)` into unit quaternions `(..., 4)`, ordered w, x, y, z."""
    m = rotations
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 2, 0] + m[..., 0, 2], m[..., 2, 1] + m[..., 1, 2]
    # Each row is the quaternion times four times one of its own parts: the row of the largest part is exact.
    rows = np.stack(
        [
            np.stack([1 + m00 + m11 + m22, wx, wy, wz], axis=-1),
            np.stack([wx, 1 + m00 - m11 - m22, xy, xz], axis=-1),
            np.stack([wy, xy, 1 - m00 + m11 - m22, yz], axis=-1),
            np.stack([wz, xz, yz, 1 - m00 - m11 + m22], axis=-1),
        ],
        axis=-2,
    )
    largest = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    row = np.take_along_axis(rows, largest[..., None, None], axis=-2)[..., 0, :]
    return row / np.linalg.norm(row, axis=-1, keepdims=True)


def matrices_from_quaternions(quaternions: Floats) -> Floats:
    """Turn unit quaternions `(..., 4)`, ordered w, x, y, z, into rotation matrices `(..., 3, 3)`."""
    w, x, y, z = (quaternions[..., part] for part in range(4))
    rows: list[list[Floats]] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def slerp(start: Floats, end: Floats, share: Floats) -> Floats:
    """Interpolate rotation matrices along the shortest turn at constant angular speed.

    Args:
        start: Rotations `(N, 3, 3)` at share 0.
        end: Rotations `(N, 3, 3)` at share 1.
        share: Position between them, `(N,)` in [0, 1].
    """
    first, second = quaternions_from_matrices(start), quaternions_from_matrices(end)
    dot = np.sum(first * second, axis=-1, keepdims=True)
    second = np.where(dot < 0, -second, second)
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    share = share[:, None]
    sine = np.sin(angle)
    small = sine < 1e-8
    safe = np.where(small, 1.0, sine)
    first_weight = np.where(small, 1 - share, np.sin((1 - share) * angle) / safe)
    second_weight = np.where(small, share, np.sin(share * angle) / safe)
    mixed = first_weight * first + second_weight * second
    return matrices_from_quaternions(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True))


def turns_about_z(angles_rad: Floats) -> Floats:
    """Rotations `(N, 3, 3)` about the world's vertical, counter-clockwise seen from above."""
    half = np.asarray(angles_rad, dtype=np.float64) / 2
    zero = np.zeros_like(half)
    return matrices_from_quaternions(np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1))


def rotations_from_vectors(vectors_rad: Floats) -> Floats:
    """Rotations `(N, 3, 3)` from rotation vectors `(N, 3)`: an axis as long as the angle in radians."""
    angle = np.linalg.norm(vectors_rad, axis=-1, keepdims=True)
    # sin(x/2)/x through sinc stays exact at zero.
    imaginary = vectors_rad * 0.5 * np.sinc(angle / (2 * np.pi))
    return matrices_from_quaternions(np.concatenate([np.cos(angle / 2), imaginary], axis=-1))


def turned_about_own_axes(rotations: Floats) -> Floats:
    """How far a camera has turned about its own right, down and forward axes since the first frame.

    Args:
        rotations: World from camera, `(F, 3, 3)`.

    Returns:
        The sum of all turns from frame to frame, `(F, 3)` radians: alike at any attitude.
    """
    steps = quaternions_from_matrices(np.swapaxes(rotations[:-1], 1, 2) @ rotations[1:])
    steps = np.where(steps[:, :1] < 0, -steps, steps)
    sine = np.linalg.norm(steps[:, 1:], axis=-1, keepdims=True)
    # Angle over sine tends to 2 for small turns.
    scale = np.where(sine < 1e-9, 2.0, 2 * np.arctan2(sine, steps[:, :1]) / np.maximum(sine, 1e-9))
    return np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:, 1:] * scale, axis=0)])


def look_at(positions: Floats, targets: Floats) -> Floats:
    """Upright OpenCV cameras `(N, 3, 3)` at `positions` whose optical axes pass through `targets`.

    The caller makes sure that no line of sight is vertical: there "upright" has no meaning.
    """
    forward = targets - positions
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    zero = np.zeros_like(forward[..., 0])
    level = np.hypot(forward[..., 0], forward[..., 1])
    right = np.stack([forward[..., 1] / level, -forward[..., 0] / level, zero], axis=-1)
    return np.stack([right, np.cross(forward, right), forward], axis=-1)


def yaw_pitch_roll(rotations: Floats) -> tuple[Floats, Floats, Floats]:
    """Read heading, tilt and bank of OpenCV cameras in a z-up world, in radians, continuous over frames.

    Args:
        rotations: World from camera, `(F, 3, 3)`.

    Returns:
        Yaw (grows as the camera turns to its left), pitch (positive looks up) and roll (positive is clockwise
        seen from behind the camera), each `(F,)`. Within ten degrees of straight up or down, yaw and roll are
        the same turn; it is then reported as yaw.
    """
    right, top, forward = rotations[:, :, 0], -rotations[:, :, 1], rotations[:, :, 2]
    horizontal = np.hypot(forward[:, 0], forward[:, 1])
    steep = (horizontal < STEEP_HORIZONTAL)[:, None]
    heading = np.where(steep, -np.sign(forward[:, 2:]) * top[:, :2], forward[:, :2])
    yaw = np.unwrap(np.arctan2(heading[:, 1], heading[:, 0]))
    pitch = np.arctan2(forward[:, 2], horizontal)
    level_right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], axis=-1)
    level_top = np.cross(level_right, forward)
    roll = np.arctan2(-np.sum(right * level_top, axis=-1), np.sum(right * level_right, axis=-1))
    return yaw, pitch, np.unwrap(roll)
