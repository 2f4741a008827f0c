"""Whether a hand holds the camera."""

from __future__ import annotations

import numpy as np

from threedimo.camera.path import CameraPath
from threedimo.camera.rotations import Floats, turned_about_own_axes

# A tremor: median turn away from a local cubic over one second, about a second axis as well as the first.
SHAKE_LEAST_DEG = 0.06
SHAKE_WINDOW_S, SHAKE_LEAST_S, SHAKE_LEAST_FRAMES = 1.0, 0.6, 10


def is_handheld(path: CameraPath) -> bool:
    """Whether a path trembles throughout; always False for clips too short to tell a tremor from a move."""
    if path.duration_s < SHAKE_LEAST_S or path.num_frames < SHAKE_LEAST_FRAMES:
        return False
    window = max(min(path.num_frames, round(SHAKE_WINDOW_S * path.fps) + 1), SHAKE_LEAST_FRAMES)
    turned = turned_about_own_axes(path.rotations)
    shake = np.stack([_away_from_moves(angle, window) for angle in turned.T], axis=-1)
    # A fast or cornered move shakes about one axis of its own, wherever that points; a hand about all.
    axes = np.linalg.svd(shake, full_matrices=False)[2]
    medians = np.sort(np.median(np.abs(shake @ axes.T), axis=0))
    return bool(np.degrees(medians[1]) >= SHAKE_LEAST_DEG)


def _away_from_moves(angle: Floats, window: int) -> Floats:
    """What a local cubic fit leaves of a signal: nothing of moves, which are smooth, or else short."""
    powers = np.vander(np.linspace(-1, 1, window), 4)
    smoother = powers @ np.linalg.pinv(powers)
    half = window // 2
    middle = np.asarray(np.convolve(angle, smoother[half][::-1], mode="valid"), dtype=np.float64)
    head = smoother[:half] @ angle[:window]
    tail = smoother[half + 1 :] @ angle[-window:]
    return angle - np.concatenate([head, middle, tail])
