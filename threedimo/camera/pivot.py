"""What a camera path turns around and is measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from threedimo.camera.path import CameraPath
from threedimo.camera.rotations import Floats

# Where nothing tells the scale: the distance that shows a standing adult whole.
DEFAULT_DISTANCE_M = 3.0
MIN_SUBJECT_DISTANCE_M = 1e-3
# Optical axes locate a point when they spread this far, meet this closely (as a share of its distance), and
# the point is clearly before the cameras rather than at the hub of a pan.
MIN_SPREAD_RAD = float(np.radians(3.0))
MAX_MISS = 0.05
MIN_ESTIMATED_DISTANCE_M = 0.1


@dataclass(frozen=True, eq=False)
class Pivot:
    """A point, and how it is known.

    Args:
        position: World point, `(3,)` metres.
        distance_m: From the first camera; the unit of all relative lengths.
        source: "subject" where the path names one, "axes" where the optical axes meet, or "default": 3 m
            ahead.
    """

    position: Floats
    distance_m: float
    source: Literal["subject", "axes", "default"]


def find_pivot(path: CameraPath) -> Pivot:
    """The subject; else the point that the camera keeps looking at; else a point 3 m ahead.

    A subject within a millimetre of the first camera gives no scale and counts as absent.
    """
    start = path.positions[0]
    if path.subject_position is not None:
        distance = float(np.linalg.norm(path.subject_position - start))
        if distance >= MIN_SUBJECT_DISTANCE_M:
            return Pivot(path.subject_position, distance, "subject")
    meeting = _where_axes_meet(path.positions, path.rotations[:, :, 2])
    if meeting is not None:
        return Pivot(meeting, float(np.linalg.norm(meeting - start)), "axes")
    ahead = start + DEFAULT_DISTANCE_M * path.rotations[0, :, 2]
    return Pivot(ahead, DEFAULT_DISTANCE_M, "default")


def _where_axes_meet(positions: Floats, forwards: Floats) -> Floats | None:
    """The least-squares point nearest to all optical axes, if they do meet in front of the cameras."""
    mean = forwards.mean(axis=0)
    # The mean of unit vectors is shorter than 1 by about half of their angular variance.
    if np.linalg.norm(mean) > 1 - MIN_SPREAD_RAD**2 / 2:
        return None
    across = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]
    normal = across.mean(axis=0)
    # Solved relative to the mean position: far from the origin, the normal equations would lose their digits.
    centre = positions.mean(axis=0)
    offsets = positions - centre
    if np.linalg.cond(normal) > 1e6:
        return None
    pulled = (across @ offsets[:, :, None])[..., 0].mean(axis=0)
    point = np.asarray(np.linalg.solve(normal, pulled), dtype=np.float64)
    lines = point - offsets
    depths = np.sum(lines * forwards, axis=-1)
    misses = np.sum((lines - depths[:, None] * forwards) ** 2, axis=-1)
    distance = float(depths.mean())
    if depths.min() < MIN_ESTIMATED_DISTANCE_M or float(misses.mean()) > (MAX_MISS * distance) ** 2:
        return None
    return centre + point
