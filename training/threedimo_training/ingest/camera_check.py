"""Whether the camera of a clip stands still, told from the background.

Corners outside of all people are followed (Lucas and Kanade, forwards and back); a similarity that most of
them share (RANSAC) is the camera's doing. The shift of a frame is how far that carries the corners from where
they were in the first frame, as a part of the picture's longer side. A camera on a tripod stays below a
thousandth, coding noise included; a hand moves it by several thousandths within a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

STATIC_SHIFT = 0.002
"""The largest shift of any frame, as a part of the picture's longer side, that counts as still."""

_LONGER_SIDE_PX = 480
_MAX_CORNERS, _MIN_CORNERS = 300, 8
_PERSON_MARGIN = 0.1
_TRACK_ERROR_PX, _MODEL_ERROR_PX = 0.7, 1.0
_MIN_AGREEING = 0.4
# New corners are taken before too few are left, as a part of those begun with and in multiples of the least.
_RENEW_PART, _RENEW_TIMES = 0.5, 3


@dataclass(frozen=True)
class CameraVerdict:
    """What the background says: "static", "moving", or "unknown" where too little of it can be followed.

    `shift` is the largest shift of any frame, as a part of the picture's longer side; NaN if unknown.
    """

    state: Literal["static", "moving", "unknown"]
    shift: float


class CameraCheck:
    """Follows the background of one clip, frame by frame."""

    def __init__(self) -> None:
        self._grey = np.empty((0, 0), np.uint8)
        self._corners = np.empty((0, 2), np.float32)
        self._from_first = np.eye(3)
        self._began_with = 0
        self._largest_px = 0.0
        self._is_lost = False
        self._side_px = 1.0

    def add(self, frame: np.ndarray, boxes: Sequence[np.ndarray]) -> None:
        """Look at the next frame `(height, width, 3)` uint8 RGB; `boxes` are those of all people in it."""
        scale = min(1.0, _LONGER_SIDE_PX / max(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        free = _background(grey.shape, [box * scale for box in boxes])
        if self._grey.size and not self._is_lost:
            self._follow(grey, free)
        if not self._is_lost and len(self._corners) < max(
            _RENEW_TIMES * _MIN_CORNERS, _RENEW_PART * self._began_with
        ):
            self._begin(grey, free)
        self._grey, self._side_px = grey, float(max(grey.shape))

    def verdict(self) -> CameraVerdict:
        """What all frames together say."""
        shift = self._largest_px / self._side_px
        if shift > STATIC_SHIFT:
            return CameraVerdict("moving", shift)
        return CameraVerdict("unknown", float("nan")) if self._is_lost else CameraVerdict("static", shift)

    def _begin(self, grey: np.ndarray, free: np.ndarray) -> None:
        found = cv2.goodFeaturesToTrack(grey, _MAX_CORNERS, 0.01, 7, mask=free)
        self._corners = np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)
        self._began_with = len(self._corners)
        self._is_lost = self._began_with < _MIN_CORNERS

    def _follow(self, grey: np.ndarray, free: np.ndarray) -> None:
        before = self._corners
        after, ok, _ = cv2.calcOpticalFlowPyrLK(self._grey, grey, before[:, None], before[:, None].copy())
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, self._grey, after, after.copy())
        after, back = after[:, 0], back[:, 0]
        height, width = grey.shape
        inside = np.all((after >= 0) & (after < [width, height]), axis=1)
        at = np.where(inside[:, None], after, 0).astype(int)
        good = (ok[:, 0] > 0) & (ok_back[:, 0] > 0) & inside & (free[at[:, 1], at[:, 0]] > 0)
        good &= np.linalg.norm(back - before, axis=1) < _TRACK_ERROR_PX
        before, after = before[good], after[good]
        if len(before) < _MIN_CORNERS:
            self._is_lost = True
            return
        step, agree = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=_MODEL_ERROR_PX
        )
        if step is None or agree.mean() < _MIN_AGREEING:
            self._is_lost = True
            return
        self._corners = np.ascontiguousarray(after[agree[:, 0] > 0])
        self._from_first = np.vstack([step, [0, 0, 1]]) @ self._from_first
        to_first = np.linalg.inv(self._from_first)
        then = self._corners @ to_first[:2, :2].T + to_first[:2, 2]
        shift = float(np.median(np.linalg.norm(self._corners - then, axis=1)))
        self._largest_px = max(self._largest_px, shift)


def _background(shape: tuple[int, ...], boxes: Sequence[np.ndarray]) -> np.ndarray:
    """255 where no person is."""
    free = np.full(shape, 255, np.uint8)
    for box in boxes:
        margin = _PERSON_MARGIN * float((box[2:] - box[:2]).max())
        left, top, right, bottom = np.concatenate([box[:2] - margin, box[2:] + margin]).round().astype(int)
        free[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
    return free
