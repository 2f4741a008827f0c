"""Where hands are in a picture, and the same hands filmed through a longer lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import CameraPath
from threedimo_training.motion.skeleton import Posed
from threedimo_training.people.person import Person
from threedimo_training.renderers.renderer import Renderer
from threedimo_training.renderers.scene import Scene

HAND_CROP_SIZE = 32

_NEAR_M = 0.1
_MARGIN = 1.25
_MIN_COVER = 0.05  # of its box: less is a hand behind the body or an edge-on sliver
_OUTLINE_POINTS = 80


@dataclass(frozen=True, eq=False)
class FilmedHands:
    """Hands of one clip, left hand first.

    Attributes:
        boxes: (F, 2, 4) float32 left, top, right, bottom in the clip's pixels, square, NaN where not seen.
        crops: (F, 2, C, C, 3) uint8, what is in the boxes at C x C pixels; black where not seen.
    """

    boxes: np.ndarray
    crops: np.ndarray


def hand_boxes(person: Person, posed: Posed, path: CameraPath, cover: np.ndarray) -> np.ndarray:
    """Square boxes (F, 2, 4) float32 around both hands in pixels; NaN where a hand is not seen.

    Args:
        person: Whose hands.
        posed: The poses that were filmed.
        path: The camera.
        cover: (F, 2) share of the picture that each hand covers, as a renderer counts it.
    """
    boxes = np.full((path.num_frames, 2, 4), np.nan, np.float32)
    for hand in range(2):
        vertices = np.unique(person.faces[person.hands == hand])
        vertices = vertices[:: max(1, len(vertices) // _OUTLINE_POINTS)]
        pixels, depth = _projected(person.skinned(posed, vertices), path)
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        centre, side = 0.5 * (low + high), _MARGIN * (high - low).max(axis=-1)
        inside = ((centre > 0) & (centre < [path.width, path.height])).all(axis=-1)
        share = cover[:, hand] * path.width * path.height / np.maximum(side, 1.0) ** 2
        seen = (depth.min(axis=1) > _NEAR_M) & inside & (share > _MIN_COVER)
        half = 0.5 * side[:, None]
        boxes[seen, hand] = np.concatenate([centre - half, centre + half], axis=-1)[seen]
    return boxes


def film_hands(
    renderer: Renderer, person: Person, posed: Posed, scene: Scene, path: CameraPath, cover: np.ndarray
) -> FilmedHands:
    """Boxes of the hands, and crops of them filmed at the crop's own resolution, as from larger footage."""
    boxes = hand_boxes(person, posed, path, cover)
    crops = np.zeros((path.num_frames, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3), np.uint8)
    frame, hand = np.nonzero(~np.isnan(boxes[..., 0]))
    if len(frame):
        seen = boxes[frame, hand].astype(np.float64)
        intrinsics = path.intrinsics[frame]
        intrinsics[:, :2, 2] -= seen[:, :2]
        intrinsics[:, :2] *= (HAND_CROP_SIZE / (seen[:, 2] - seen[:, 0]))[:, None, None]
        close = Posed(posed.rotations[frame], posed.positions[frame])
        cameras = path.world_from_camera[frame]
        zoomed = renderer.render(person, close, scene, cameras, intrinsics, HAND_CROP_SIZE, HAND_CROP_SIZE)
        crops[frame, hand] = zoomed.frames
    return FilmedHands(boxes, crops)


def _projected(points: np.ndarray, path: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (F, N, 2) and depths (F, N) of points (F, N, 3) in the world."""
    seen = np.einsum("fji,fnj->fni", path.rotations, points - path.positions[:, None])
    depth = seen[..., 2]
    focal = path.intrinsics[:, None, [0, 1], [0, 1]]
    pixels = seen[..., :2] / np.maximum(depth, _NEAR_M)[..., None] * focal + path.intrinsics[:, None, :2, 2]
    return pixels, depth
