"""Pose hints: a camera path as numbers that the camera encoder reads beside the text.

An addition to the paper, whose camera control is text alone. All hints are relative to the first frame and
measured in camera-subject distances, so that neither the place nor the scale of a scene shows in them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from threedimo.camera.path import CameraPath
from threedimo.camera.pivot import find_pivot

HINT_NAMES: tuple[str, ...] = (
    "right",
    "down",
    "forward",
    "right_axis_x",
    "right_axis_y",
    "right_axis_z",
    "down_axis_x",
    "down_axis_y",
    "down_axis_z",
    "log_focal_ratio",
    "azimuth_sin",
    "azimuth_cos",
    "elevation",
    "vertical_fov",
    "has_subject",
    "has_forward",
)
NUM_HINTS = len(HINT_NAMES)


def camera_hints(path: CameraPath) -> NDArray[np.float32]:
    """Features of every frame for the camera encoder.

    Args:
        path: Any valid path.

    Returns:
        `(F, NUM_HINTS)` float32, in the order of `HINT_NAMES`:

        - `right`, `down`, `forward`: position in the first camera's axes, in distances from the first camera
          to the pivot (the subject; without one, the point that the camera keeps looking at; without that, 3
          m ahead).
        - `right_axis_*`, `down_axis_*`: the camera's right and down axes in the first camera's axes (the
          continuous six-number form of a rotation).
        - `log_focal_ratio`: natural logarithm of the focal length over that of the first frame.
        - Constants of the first frame: `azimuth_sin` and `azimuth_cos` of the direction from which the person
          is seen (0 in front, +90 degrees at its left hand), `elevation` of the camera as the person sees it
          in radians, `vertical_fov` in radians.
        - `has_subject` and `has_forward`: 1 or 0. The azimuth is zero without a forward direction, and so is
          the elevation without a subject.
    """
    pivot = find_pivot(path)
    relative = path.first_from_camera
    hints = np.zeros((path.num_frames, NUM_HINTS))
    hints[:, 0:3] = relative[:, :3, 3] / pivot.distance_m
    hints[:, 3:6] = relative[:, :3, 0]
    hints[:, 6:9] = relative[:, :3, 1]
    focals = path.intrinsics[:, 1, 1]
    hints[:, 9] = np.log(focals / focals[0])
    hints[:, 13] = 2 * np.arctan2(path.height / 2, focals[0])
    if pivot.source == "subject":
        line = (path.positions[0] - pivot.position) / pivot.distance_m
        hints[:, 12] = np.arcsin(np.clip(line[2], -1.0, 1.0))
        hints[:, 14] = 1.0
        if path.subject_forward is not None:
            facing = np.arctan2(path.subject_forward[1], path.subject_forward[0])
            azimuth = np.arctan2(line[1], line[0]) - facing
            hints[:, 10], hints[:, 11], hints[:, 15] = np.sin(azimuth), np.cos(azimuth), 1.0
    return hints.astype(np.float32)
