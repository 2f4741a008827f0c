# SPDX-License-Identifier: GPL-3.0-or-later
"""What the viewport shows of a camera that is sent: lines, made once for each reading. No bpy here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from threedimo.camera import CameraPath

# How large a drawn view is: a share of the way to the person.
_VIEW_DEPTH = 0.2
# Without a person, in metres.
_DEPTH_ALONE_M = 0.5
# More of them are a tangle: a baked camera is keyed in every frame.
MAX_VIEWS = 12
# Of the mark where the person stands, as a share of the way to it.
_MARK_SIZE = 0.08


@dataclass(frozen=True, eq=False)
class OverlayLines:
    """A camera path as lines in the scene's own units.

    Attributes:
        path: (F, 3) where the camera is, frame by frame.
        views: (n, 3) pairs of points: the edges of what the camera sees in some frames.
        person: (n, 3) pairs of points: where the person stands and faces; empty where nobody does.
        labels: Where the number of each drawn frame goes.
        distance_m: From the camera to the person in the first frame, in metres; None where nobody is.
    """

    path: np.ndarray
    views: np.ndarray
    person: np.ndarray
    labels: tuple[tuple[tuple[float, float, float], str], ...]
    distance_m: float | None


def overlay_lines(path: CameraPath, first_frame: int, keyed: Iterable[int], metres: float) -> OverlayLines:
    """Make the lines of a camera path.

    Args:
        path: One pose per scene frame.
        first_frame: The scene frame of the first pose.
        keyed: Scene frames whose views are drawn beside the first and the last; those outside are left out.
        metres: Metres per scene unit.
    """
    frames = _drawn_frames(path.num_frames, [frame - first_frame for frame in keyed])
    depth_m = _VIEW_DEPTH * _subject_distance_m(path)
    positions = path.positions / metres
    return OverlayLines(
        path=positions,
        views=np.concatenate([_view(path, frame, depth_m) for frame in frames]) / metres,
        person=_person(path) / metres,
        labels=_labels(positions, frames, first_frame),
        distance_m=_first_distance_m(path),
    )


def _labels(
    positions: np.ndarray, frames: list[int], first_frame: int
) -> tuple[tuple[tuple[float, float, float], str], ...]:
    """The numbers of the drawn frames; those of one place share a label, or none could be read."""
    numbers: dict[tuple[float, float, float], list[str]] = {}
    for frame in frames:
        x, y, z = np.round(positions[frame], 6).tolist()
        numbers.setdefault((x, y, z), []).append(str(first_frame + frame))
    return tuple((place, ", ".join(shared)) for place, shared in numbers.items())


def _drawn_frames(num_frames: int, keyed: Iterable[int]) -> list[int]:
    """The first, the last and the keyed frames between; of too many some, evenly."""
    wanted = sorted({0, num_frames - 1, *(frame for frame in keyed if 0 <= frame < num_frames)})
    if len(wanted) <= MAX_VIEWS:
        return wanted
    return [wanted[place] for place in np.linspace(0, len(wanted) - 1, MAX_VIEWS).round().astype(int)]


def _first_distance_m(path: CameraPath) -> float | None:
    if path.subject_position is None:
        return None
    return float(np.linalg.norm(path.subject_position - path.positions[0]))


def _subject_distance_m(path: CameraPath) -> float:
    if path.subject_position is None:
        return _DEPTH_ALONE_M / _VIEW_DEPTH
    return float(np.median(np.linalg.norm(path.subject_position - path.positions, axis=1)))


def _view(path: CameraPath, frame: int, depth_m: float) -> np.ndarray:
    """The pyramid of a view, with a tick at the upper edge that says which way is up."""
    width, height = path.width, path.height
    pixels = np.array(
        [
            *((0, 0), (width, 0), (width, height), (0, height)),
            *((0.4 * width, 0), (0.6 * width, 0), (0.5 * width, -0.15 * height)),
        ]
    )
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(path.intrinsics[frame]).T
    pose = path.world_from_camera[frame]
    points = rays * depth_m @ pose[:3, :3].T + pose[:3, 3]
    points = np.vstack([points, pose[:3, 3]])
    eye = 7
    edges = [(0, 1), (1, 2), (2, 3), (3, 0), (eye, 0), (eye, 1), (eye, 2), (eye, 3), (4, 6), (6, 5)]
    return points[np.array(edges).ravel()]


def _person(path: CameraPath) -> np.ndarray:
    """A cross where the person is, and an arrow where the person faces."""
    if path.subject_position is None:
        return np.empty((0, 3))
    size_m = _MARK_SIZE * _subject_distance_m(path)
    centre = path.subject_position
    ends = [centre + sign * size_m * axis for axis in np.eye(3) for sign in (-1, 1)]
    if path.subject_forward is not None:
        forward = 3 * size_m * path.subject_forward
        side = 0.5 * size_m * np.cross(path.subject_forward, (0.0, 0.0, 1.0))
        tip = centre + forward
        ends += [centre, tip, tip, centre + 0.75 * forward + side, tip, centre + 0.75 * forward - side]
    return np.array(ends)
