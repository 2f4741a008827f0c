"""Labels drawn on frames: silhouette, skeleton with fingers, hand boxes. Left is orange, right is blue."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from threedimo.camera import CameraPath
from threedimo_training.motion.skeleton import JOINT, JOINT_NAMES, NUM_BODY_JOINTS, PARENTS
from threedimo_training.samples.sample import FilmedClip

LEFT, RIGHT, MIDDLE = (255, 158, 44), (64, 170, 255), (250, 250, 250)
OUTLINE, SHADE = (122, 255, 120), (12, 12, 16)
# SMPL's "hand" joints hang beside the fingers, which say more.
_HIDDEN = (JOINT["left_hand"], JOINT["right_hand"])
_NEAR_M = 0.05
_FINE = 2  # lines are drawn on a finer picture, because Pillow draws them jagged


def joint_pixels(path: CameraPath, joints_world: np.ndarray) -> np.ndarray:
    """Project joints (F, J, 3) metres to (F, J, 2) pixels; NaN for what is not in front of the camera."""
    relative = joints_world - path.positions[:, None]
    points = np.einsum("fji,fkj->fki", path.rotations, relative)
    seen = np.where(points[..., 2:] > _NEAR_M, points, np.nan)
    pixels = np.einsum("fij,fkj->fki", path.intrinsics, seen / seen[..., 2:])
    return pixels[..., :2]


class LabelledClip:
    """A clip whose frames are drawn with everything that is known about them.

    Args:
        clip: With its frames.
        height: Height in pixels to draw at; the width keeps the aspect ratio.
    """

    def __init__(self, clip: FilmedClip, height: int):
        self._clip = clip
        self._scale = _FINE * height / clip.frames.shape[1]
        self.size = max(1, round(clip.frames.shape[2] * height / clip.frames.shape[1])), height
        self._joints = None
        if clip.path is not None and clip.joints_world is not None:
            self._joints = joint_pixels(clip.path, clip.joints_world) * self._scale
        self._line_px = max(2, round(height / 60))

    def draw(self, frame: int) -> Image.Image:
        """One frame with its labels."""
        picture = Image.fromarray(self._clip.frames[frame])
        picture = picture.resize(self.size, Image.Resampling.BICUBIC)
        picture = picture.resize((_FINE * self.size[0], _FINE * self.size[1]), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(picture)
        self._draw_silhouette(draw, frame)
        self._draw_skeleton(draw, frame)
        self._draw_hand_boxes(draw, frame)
        return picture.reduce(_FINE)

    def _draw_silhouette(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        if self._clip.silhouette is None:
            return
        mask = np.pad(self._clip.silhouette[frame], 1)
        # along the edges between pixels inside and outside
        for y, x in np.argwhere(mask[:, 1:] != mask[:, :-1]) * 1.0:
            self._segment(draw, x, y - 1, x, y)
        for y, x in np.argwhere(mask[1:] != mask[:-1]) * 1.0:
            self._segment(draw, x - 1, y, x, y)

    def _segment(self, draw: ImageDraw.ImageDraw, *corners: float) -> None:
        draw.line([corner * self._scale for corner in corners], OUTLINE, 1)

    def _draw_skeleton(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        if self._joints is None:
            return
        points = self._joints[frame]
        bones = [joint for joint in range(1, len(JOINT_NAMES)) if joint not in _HIDDEN]
        bones = [joint for joint in bones if np.isfinite(points[[joint, PARENTS[joint]]]).all()]
        for dark in (True, False):  # first a dark line under all bones, so that they show on any ground
            for joint in bones:
                finger = joint >= NUM_BODY_JOINTS
                width = max(1, self._line_px // 2) if finger else self._line_px
                ends = [tuple(points[PARENTS[joint]]), tuple(points[joint])]
                draw.line(ends, SHADE if dark else _colour(joint), width + 2 * dark)
        for joint in bones:
            if joint < NUM_BODY_JOINTS:
                draw.circle(tuple(points[joint]), self._line_px, _colour(joint), SHADE)

    def _draw_hand_boxes(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        if self._clip.hand_boxes is None:
            return
        for box, colour in zip(self._clip.hand_boxes[frame], (LEFT, RIGHT), strict=True):
            if np.isfinite(box).all():
                draw.rectangle([float(edge) * self._scale for edge in box], outline=colour, width=_FINE)


def _colour(joint: int) -> tuple[int, int, int]:
    name = JOINT_NAMES[joint]
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE
