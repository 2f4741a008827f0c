"""Where hands are in a picture, and the same hands filmed through a longer lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import CameraPath
from threedimo_training.motion.skeleton import Posed
from threedimo_training.renderers.renderer import Shot
from threedimo_training.samples.staging import StagedClip

HAND_CROP_SIZE = 32

_NEAR_M = 0.1
_MARGIN = 1.25
_MIN_COVER = 0.05  # of its box: less is a hand behind the body or an edge-on sliver
_OUTLINE_POINTS = 80


@dataclass(frozen=True, eq=False)
class CloseUps:
    """Hands to film at `HAND_CROP_SIZE`: frame n of the shot shows hand `hand[n]` of frame `frame[n]`."""

    shot: Shot
    frame: np.ndarray
    hand: np.ndarray


def hand_boxes(clip: StagedClip, cover: np.ndarray) -> np.ndarray:
    """Square boxes (F, 2, 4) float32 around both hands in pixels; NaN where a hand is not seen.

    Args:
        clip: Whose hands, before which camera.
        cover: (F, 2) share of the picture that each hand covers, as a renderer counts it.
    """
    person, path = clip.person, clip.path
    boxes = np.full((path.num_frames, 2, 4), np.nan, np.float32)
    for hand in range(2):
        vertices = np.unique(person.faces[person.hands == hand])
        vertices = vertices[:: max(1, len(vertices) // _OUTLINE_POINTS)]
        pixels, depth = _projected(person.skinned(clip.posed, vertices), path)
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        centre, side = 0.5 * (low + high), _MARGIN * (high - low).max(axis=-1)
        inside = ((centre > 0) & (centre < [path.width, path.height])).all(axis=-1)
        share = cover[:, hand] * path.width * path.height / np.maximum(side, 1.0) ** 2
        seen = (depth.min(axis=1) > _NEAR_M) & inside & (share > _MIN_COVER)
        half = 0.5 * side[:, None]
        boxes[seen, hand] = np.concatenate([centre - half, centre + half], axis=-1)[seen]
    return boxes


def close_ups(clip: StagedClip, boxes: np.ndarray) -> CloseUps | None:
    """The same hands through a longer lens, as crops of larger footage are; None where none is seen."""
    frame, hand = np.nonzero(~np.isnan(boxes[..., 0]))
    if not len(frame):
        return None
    seen = boxes[frame, hand].astype(np.float64)
    intrinsics = clip.path.intrinsics[frame]
    intrinsics[:, :2, 2] -= seen[:, :2]
    intrinsics[:, :2] *= (HAND_CROP_SIZE / (seen[:, 2] - seen[:, 0]))[:, None, None]
    posed = Posed(clip.posed.rotations[frame], clip.posed.positions[frame])
    shot = Shot(clip.person, posed, clip.scene, clip.path.world_from_camera[frame], intrinsics)
    return CloseUps(shot, frame, hand)


def _projected(points: np.ndarray, path: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (F, N, 2) and depths (F, N) of points (F, N, 3) in the world."""
    seen = np.einsum("fji,fnj->fni", path.rotations, points - path.positions[:, None])
    depth = seen[..., 2]
    focal = path.intrinsics[:, None, [0, 1], [0, 1]]
    pixels = seen[..., :2] / np.maximum(depth, _NEAR_M)[..., None] * focal + path.intrinsics[:, None, :2, 2]
    return pixels, depth
