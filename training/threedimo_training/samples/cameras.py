"""Cameras that frame a person: any side, height and lens, still or making a move of the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from threedimo.camera import MOVES, CameraPath, View

STILL = ("static", "handheld_static")
MOVING = tuple(name for name in MOVES if name not in STILL)

_TRIES = 6
# How much of the person must be in the first frame.
_SEEN_AT_FIRST = 0.95
_LARGE_SHARE = 0.55
_NEAR_M = 0.1
_MIN_HEIGHT_M = 0.25
_LOWEST_M = 0.1
_STATIC_SHARE = 2 / 3
_SMOOTH_SHARE = 0.6
# A hand that leaves the picture for a moment is better than a small person.
_FRAMED_SHARE = 0.985
# How a move's amount is drawn, and how much further away it starts so that the person stays in the picture.
_AMOUNTS: dict[str, tuple[float, float]] = {
    "handheld_static": (0.5, 1.5), "forward": (0.12, 0.4), "back": (0.15, 0.7), "zoom_in": (1.2, 1.7),
    "zoom_out": (1.2, 1.8), "rapid_zoom_in": (1.5, 2.0), "rapid_zoom_out": (1.5, 2.0),
    "handheld_zoom_in": (1.2, 1.7), "aerial_pull_out": (0.5, 1.0), "vertigo_in": (0.15, 0.45),
    "vertigo_out": (0.2, 0.8), "dynamic_zoom_swing": (15.0, 60.0),
}  # fmt: skip
_START_DISTANCE = {
    "forward": 1.15, "back": 0.8, "zoom_in": 1.25, "zoom_out": 0.8, "rapid_zoom_in": 1.35,
    "rapid_zoom_out": 0.75, "handheld_zoom_in": 1.25, "aerial_pull_out": 0.7, "dynamic_zoom_swing": 1.2,
}  # fmt: skip


def draw_camera(
    rng: np.random.Generator,
    points: np.ndarray,
    forward: np.ndarray,
    *,
    moves: Sequence[str],
    size: int,
    fps: float,
) -> CameraPath:
    """A camera that shows these points as large as its square picture allows.

    Whoever walks across the picture is small in it, whoever walks along the view is not: of some cameras the
    first that shows the person large enough is taken, else the best.

    Args:
        rng: Decides side, height, lens, move and its amount.
        points: (F, N, 3) metres in the world, z up: what should be in the picture in each frame.
        forward: (3,) unit and horizontal, where the person faces at first.
        moves: Names of `threedimo.camera.MOVES` to choose from; "static" takes two thirds of still ones.
        size: Width and height in pixels.
        fps: Frames per second; the path has F frames.

    Returns:
        A path whose subject is the middle of the points.
    """
    best, largest, tries = None, -np.inf, 0
    while best is None or (largest < _LARGE_SHARE and tries < _TRIES):
        path = _draw_once(rng, points, forward, _draw_move(rng, moves), size, fps)
        tries += 1
        share = framed_share(path, points)
        if _share_seen(path, points) < _SEEN_AT_FIRST:
            share -= 1  # the first frame of a target is the reference: only for want of a better one
        # a move can lead a low camera under the floor
        if share > largest and path.positions[:, 2].min() > _LOWEST_M:
            best, largest = path, share
    return best


def framed_share(path: CameraPath, points: np.ndarray) -> float:
    """How large the person is: the median over frames of its longer side in picture heights.

    Args:
        path: The camera, F frames.
        points: (F, N, 3) metres in the world, what is to be seen.
    """
    seen = np.einsum("fji,fnj->fni", path.rotations, points - path.positions[:, None])
    slopes = seen[..., :2] / np.maximum(seen[..., 2:], _NEAR_M)
    spread = np.ptp(slopes, axis=1).max(axis=-1)
    return float(np.median(spread * path.intrinsics[:, 1, 1] / path.height))


def _share_seen(path: CameraPath, points: np.ndarray) -> float:
    """How many of the points (F, N, 3) are in the first picture."""
    seen = (points[0] - path.positions[0]) @ path.rotations[0] @ path.intrinsics[0].T
    pixels = seen[:, :2] / np.maximum(seen[:, 2:], _NEAR_M)
    return float(((pixels > 0) & (pixels < [path.width, path.height])).all(axis=-1).mean())


def _draw_once(
    rng: np.random.Generator, points: np.ndarray, forward: np.ndarray, name: str, size: int, fps: float
) -> CameraPath:
    fov = np.deg2rad(rng.uniform(28, 55))
    flat = points.reshape(-1, 3)
    centre = 0.5 * (flat.min(axis=0) + flat.max(axis=0))
    azimuth = rng.uniform(-np.pi, np.pi) + np.arctan2(forward[1], forward[0])
    elevation = np.deg2rad(rng.triangular(-10, 6, 35))
    slope = np.tan(fov / 2) * rng.uniform(0.88, 1.04)
    distance = _fitting_distance(flat - centre, _direction(azimuth, elevation), slope)
    distance *= _START_DISTANCE.get(name, 1.0)
    lowest = np.arcsin(np.clip((_MIN_HEIGHT_M - centre[2]) / distance, -1, 1))
    towards = _direction(azimuth, max(elevation, lowest))
    focal = size / 2 / np.tan(fov / 2)
    view = View(centre + distance * towards, centre, focal, size, size, flat.mean(axis=0), forward)
    if name == "down" and view.position[2] - 0.1 * view.distance_m < _MIN_HEIGHT_M:
        name = "up"  # there is no room to descend
    return _moved(rng, name, view, fov, len(points), fps)


def _draw_move(rng: np.random.Generator, moves: Sequence[str]) -> str:
    if set(moves) == set(STILL):
        return "static" if rng.random() < _STATIC_SHARE else "handheld_static"
    return str(rng.choice(list(moves)))


def _moved(
    rng: np.random.Generator, name: str, view: View, fov: float, num_frames: int, fps: float
) -> CameraPath:
    amount = None
    if name in ("left", "right", "up", "down"):
        # as far as the person can drift towards the picture's edge
        amount = rng.uniform(0.1, max(0.12, 0.75 * np.tan(fov / 2)))
        if name == "down":
            room = (view.position[2] - _MIN_HEIGHT_M) / view.distance_m
            amount = min(amount, max(room, 0.1))
    elif name in ("arc_left", "arc_right"):
        amount = float(rng.choice([30.0, 45.0, 90.0])) if rng.random() < 0.6 else rng.uniform(15, 120)
    elif name in _AMOUNTS:
        amount = rng.uniform(*_AMOUNTS[name])
    easing = "smooth" if rng.random() < _SMOOTH_SHARE else "linear"
    return MOVES[name](view, num_frames, fps, amount, easing=easing, seed=int(rng.integers(2**31)))


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _fitting_distance(offsets: np.ndarray, towards: np.ndarray, slope: float) -> float:
    """How far from their centre a camera must stand to see nearly all points within `slope` of its axis."""
    right = np.array([-towards[1], towards[0], 0.0]) / np.hypot(towards[0], towards[1])
    up = np.cross(towards, right)
    reach = np.maximum(np.abs(offsets @ right), np.abs(offsets @ up)) / slope + offsets @ towards
    return float(np.quantile(reach, _FRAMED_SHARE))
