# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the camera of filmed driving footage stands, so that the performer fills the picture. No bpy here.

Everything is in the performer's own axes: x to the performer's left, y to the back, z up, in scene units.
The camera stands before the performer (towards -y), level, and looks along +y.
"""

from __future__ import annotations

import numpy as np

# Half the width of the picture at distance 1: 50 mm on a sensor of 36 mm, in the middle of what the motion
# encoder was trained with.
LENS_MM = 50.0
SENSOR_MM = 36.0
_SLOPE = SENSOR_MM / 2 / LENS_MM
# Free on each side of the picture, as a share of its half.
MARGIN = 0.06
# A camera that stays shows where the performer goes, and so it stays, unless the performer would be less
# than this share of the size that a camera which walks along shows: limbs of a few pixels say nothing.
SMALLEST_SHARE = 0.6
# The camera that walks along does not sway with the arms.
_SMOOTH_S = 1.0


def camera_places(boxes: np.ndarray, fps: float) -> np.ndarray:
    """The camera's place in each frame, all at one height and one distance.

    It stays where it is; only before somebody who walks far does it move along, level and calm.

    Args:
        boxes: (F, 2, 3) least and greatest coordinates of the performer; NaN in frames without any.
        fps: Frames per second.

    Returns:
        (F, 3) places from which all boxes are inside the picture by the margin.
    """
    boxes = _without_gaps(boxes)
    middle = 0.5 * (boxes[:, 0].min(axis=0) + boxes[:, 1].max(axis=0))
    staying = np.tile(middle, (len(boxes), 1))
    following = _smooth(boxes.mean(axis=1), round(fps * _SMOOTH_S))
    following[:, 2] = middle[2]
    far, near = _distance(boxes, staying), _distance(boxes, following)
    targets, distance = (staying, far) if near >= SMALLEST_SHARE * far else (following, near)
    return targets - [0.0, distance, 0.0]


def _without_gaps(boxes: np.ndarray) -> np.ndarray:
    """Frames that show nobody take the box of their neighbours in time."""
    frames = np.arange(len(boxes))
    seen = ~np.isnan(boxes[:, 0, 0])
    filled = [np.interp(frames, frames[seen], column[seen]) for column in boxes.reshape(len(boxes), 6).T]
    return np.stack(filled, axis=-1).reshape(boxes.shape)


def _smooth(path: np.ndarray, num_frames: int) -> np.ndarray:
    """A moving average whose window shrinks towards the ends, so that it neither lags nor overshoots."""
    half = num_frames // 2
    reach = [min(half, i, len(path) - 1 - i) for i in range(len(path))]
    return np.array([path[i - r : i + r + 1].mean(axis=0) for i, r in enumerate(reach)])


def _distance(boxes: np.ndarray, targets: np.ndarray) -> float:
    """How far before its targets the camera must stand to see all boxes."""
    least, greatest = boxes[:, 0] - targets, boxes[:, 1] - targets
    sideways = np.maximum(np.abs(least), np.abs(greatest))[:, [0, 2]].max(axis=1)
    # What is nearest to the camera is at the least y, and there it must fit.
    return float((sideways / (_SLOPE * (1 - MARGIN)) - least[:, 1]).max())
