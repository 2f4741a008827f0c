"""Which pixel shows which part of the body: from true joints and silhouette, not from a network.

Part numbers: 0 is nobody, then `PARTS` from 1. Each part is a bundle of capsules around bones. A pixel of
the silhouette belongs to the nearest-to-camera capsule that it lies in, or else to the nearest one in the
picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from threedimo.camera import CameraPath
from threedimo_training.evaluation.pose_angles import camera_joints
from threedimo_training.motion.skeleton import JOINT

PARTS = ("head", "torso", "arms", "legs")
_RADII_M = {"head": 0.11, "torso": 0.13, "arms": 0.055, "legs": 0.085}
_MIN_DEPTH_M = 0.1
_SIDES = ("left", "right")
_BONES: dict[str, list[tuple[str, str]]] = {
    "torso": [("pelvis", "spine2"), ("spine2", "neck"), ("left_hip", "right_hip")]
    + [("spine3", f"{side}_shoulder") for side in _SIDES],
    "arms": [
        (f"{side}_{start}", f"{side}_{end}")
        for side in _SIDES
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
    ],
    "legs": [
        (f"{side}_{start}", f"{side}_{end}")
        for side in _SIDES
        for start, end in (("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"))
    ],
}


def body_parts(path: CameraPath, joints_world: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """Label the pixels of a clip.

    Args:
        path: The camera, its lens for the silhouette's size.
        joints_world: (F, >=24, 3) metres.
        silhouette: (F, H, W) bool.

    Returns:
        (F, H, W) uint8 part numbers.
    """
    joints = camera_joints(path, joints_world)
    parts = np.zeros(silhouette.shape, np.uint8)
    for frame, mask in enumerate(silhouette):
        rows, columns = np.nonzero(mask)
        if len(rows):
            points = np.stack([columns + 0.5, rows + 0.5], axis=-1)
            parts[frame, rows, columns] = _nearest_parts(points, joints[frame], path.intrinsics[frame])
    return parts


def _nearest_parts(points: np.ndarray, joints: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Part numbers (N,) of pixels (N, 2) of one frame."""
    numbers, scores = [], []
    focal = float(intrinsics[0, 0])
    for number, start, end, radius in _capsules(joints):
        first, last = _project(start, intrinsics), _project(end, intrinsics)
        along = last - first
        share = np.clip((points - first) @ along / max(float(along @ along), 1e-9), 0, 1)
        distance = np.linalg.norm(points - first - share[:, None] * along, axis=1)
        depth = np.maximum(start[2] + share * (end[2] - start[2]), _MIN_DEPTH_M)
        reach = radius * focal / depth
        # inside: by depth of the surface, always before any pixel that is outside
        surface = depth - radius * np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, 1))
        scores.append(np.where(distance < reach, surface - 1e6, distance - reach))
        numbers.append(number)
    return np.array(numbers, np.uint8)[np.argmin(scores, axis=0)]


def _capsules(joints: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray, float]]:
    head, neck = joints[JOINT["head"]], joints[JOINT["neck"]]
    yield PARTS.index("head") + 1, head, head + 1.2 * (head - neck), _RADII_M["head"]
    for name, bones in _BONES.items():
        for start, end in bones:
            yield PARTS.index(name) + 1, joints[JOINT[start]], joints[JOINT[end]], _RADII_M[name]


def _project(point: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    pixel = intrinsics @ (point / max(point[2], _MIN_DEPTH_M))
    return pixel[:2]
