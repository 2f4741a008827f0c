"""What both renderers compute about a shot before any pixel: bones, projections, rays.

Positions on the picture are counted in samples: sample (i, j) lies at (i + 0.5, j + 0.5), two per pixel and
axis, from the picture's upper left corner.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, Posed
from threedimo_training.people.person import Person
from threedimo_training.renderers.picture import NEAR_M, SAMPLES

_FARTHEST_SAMPLE = 1 << 20
_SUPERSAMPLED = np.diag([SAMPLES, SAMPLES, 1.0])


def bone_matrices(person: Person, posed: Posed) -> np.ndarray:
    """(F, 54, 3, 4) float32: where each bone carries a point of the rest pose."""
    shift = posed.positions - np.einsum("fjab,jb->fja", posed.rotations, person.rest_joints)
    return np.ascontiguousarray(np.concatenate([posed.rotations, shift[..., None]], axis=-1), np.float32)


def projections(world_from_camera: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(F, 3, 4) float32: from world points to (x depth, y depth, depth), x and y in samples."""
    turn = np.swapaxes(world_from_camera[:, :3, :3], -1, -2)
    shift = -turn @ world_from_camera[:, :3, 3:]
    return np.ascontiguousarray(
        _SUPERSAMPLED @ intrinsics @ np.concatenate([turn, shift], axis=-1), np.float32
    )


def ray_matrices(world_from_camera: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(F, 3, 3) float32: from (x, y, 1) in samples to the world direction that reaches a depth of 1 m."""
    return np.ascontiguousarray(
        world_from_camera[:, :3, :3] @ np.linalg.inv(_SUPERSAMPLED @ intrinsics), np.float32
    )


def pattern_places(person: Person) -> np.ndarray:
    """(3,) float32: |x| where the arms begin, height of the middle of the chest, y where the back begins.

    Rings go around the arms from |x| outwards and around trunk and legs elsewhere; a logo sits on the chest.
    """
    shoulders = person.rest_joints[[JOINT["left_shoulder"], JOINT["right_shoulder"]]]
    chest = 0.5 * (shoulders[:, 2].mean() + person.rest_joints[JOINT["spine3"], 2])
    return np.array([np.abs(shoulders[:, 0]).mean(), chest, person.back_from_m], np.float32)


def block_boxes(blocks: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """(F, NUM_BLOCKS, 4) int32: first and last column, first and last row of samples that may see a block.

    Args:
        blocks: See `Scene.block_table`.
        projection: See `projections`.
    """
    corners = np.stack(
        [
            np.stack([blocks[:, i], blocks[:, 2 + j], blocks[:, 4] * k], axis=-1)
            for i in range(2)
            for j in range(2)
            for k in range(2)
        ],
        axis=1,
    )
    placed = np.einsum("fij,pcj->fpci", projection[:, :, :3], corners) + projection[:, None, None, :, 3]
    depth = placed[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = placed[..., :2] / depth[..., None]
    crossing = (depth < NEAR_M).any(axis=-1)[..., None]
    low = np.where(crossing, -1, np.clip(across.min(axis=2) - 1, -1, _FARTHEST_SAMPLE))
    high = np.where(crossing, _FARTHEST_SAMPLE, np.clip(across.max(axis=2) + 1, -1, _FARTHEST_SAMPLE))
    bounds = np.stack([low[..., 0], high[..., 0], low[..., 1], high[..., 1]], axis=-1)
    return bounds.astype(np.int32)
