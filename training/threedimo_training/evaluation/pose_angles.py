"""Skeletons against skeletons, and where a camera stands around a person; all in degrees.

Sizes of bodies do not matter here, only directions. Two skeletons are compared after a rotation that lays
one torso onto the other, so that a wrong view is no wrong pose; the same rotation tells the view.

*View axes* are those of a camera turned to look straight at the pelvis: what a picture of the person shows
depends on them, and not on where in the picture the person is.
"""

from __future__ import annotations

import numpy as np

from threedimo.camera import CameraPath
from threedimo_training.motion.skeleton import JOINT, NUM_BODY_JOINTS

TORSO = [
    JOINT[name]
    for name in (
        *("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck"),
        *("left_collar", "right_collar", "left_shoulder", "right_shoulder"),
    )
]
# Upper arms, forearms, thighs and shins.
LIMBS = [
    (JOINT[f"{side}_{start}"], JOINT[f"{side}_{end}"])
    for side in ("left", "right")
    for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
_MIN_DEPTH_M = 0.1
_TOWARDS_CAMERA = np.array([0.0, 0.0, -1.0])


def torso_rotations(joints: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Rotations (F, 3, 3) that lay the torsos of `joints` (F, >=24, 3) onto those of `onto` (Kabsch 1976)."""
    moved, fixed = (each[:, TORSO] - each[:, TORSO].mean(axis=1, keepdims=True) for each in (joints, onto))
    left, _, right = np.linalg.svd(np.einsum("fki,fkj->fij", fixed, moved))
    mirror = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= mirror[:, None]
    return left @ right


def pose_error_deg(
    joints: np.ndarray, true_joints: np.ndarray, counted: np.ndarray | None = None
) -> np.ndarray:
    """Angles (F,) between limbs, averaged over upper arms, forearms, thighs and shins.

    Args:
        joints: (F, >=24, 3) in any axes.
        true_joints: (F, >=24, 3) in any other axes.
        counted: (F, 8) bool in the order of `LIMBS`, for example `limbs_in_picture`; None counts all.

    Returns:
        Degrees, NaN for a frame of which no limb is counted.
    """
    turned = np.einsum("fij,fkj->fki", torso_rotations(joints, true_joints), joints)
    starts, ends = zip(*LIMBS, strict=True)
    bones, true_bones = (each[:, ends] - each[:, starts] for each in (turned, true_joints))
    angles = angles_deg(bones, true_bones)
    if counted is None:
        return angles.mean(axis=1)
    count = counted.sum(axis=1)
    return np.where(count > 0, (angles * counted).sum(axis=1) / np.maximum(count, 1), np.nan)


def limbs_in_picture(places: np.ndarray) -> np.ndarray:
    """Which limbs (F, 8) bool have both ends in the picture: nobody can tell how the others are held.

    Args:
        places: (F, >=24, 2) from `picture_places`.
    """
    inside = np.all((places > 0) & (places < 1), axis=-1)
    starts, ends = zip(*LIMBS, strict=True)
    return inside[:, starts] & inside[:, ends]


def picture_places(path: CameraPath, joints_world: np.ndarray) -> np.ndarray:
    """Where joints (F, 24, 2) are in the picture, right and down, as shares of its width and height."""
    joints = camera_joints(path, joints_world)
    pixels = np.einsum("fij,fkj->fki", path.intrinsics, joints / np.maximum(joints[..., 2:], _MIN_DEPTH_M))
    return pixels[..., :2] / [path.width, path.height]


def camera_directions(path: CameraPath, joints_world: np.ndarray) -> np.ndarray:
    """(F, 3) unit: from the pelvis towards the camera, in the world."""
    return _unit(path.positions - joints_world[:, 0])


def seen_camera_directions(view_joints: np.ndarray, joints_world: np.ndarray) -> np.ndarray:
    """Where a camera stands that sees a skeleton so.

    Args:
        view_joints: (F, 24, 3) as seen, in view axes.
        joints_world: (F, >=24, 3) how the person truly stands in the world.

    Returns:
        (F, 3) unit: from the pelvis towards the camera, in the world.
    """
    return torso_rotations(view_joints, joints_world) @ _TOWARDS_CAMERA


def view_joints(path: CameraPath, joints_world: np.ndarray) -> np.ndarray:
    """The 24 joints (F, 24, 3) relative to the pelvis, metres, in view axes."""
    in_camera = camera_joints(path, joints_world)
    pelvis = in_camera[:, :1]
    rotations = _rotations_to_axis(_unit(pelvis[:, 0]))
    return np.einsum("fij,fkj->fki", rotations, in_camera - pelvis)


def camera_joints(path: CameraPath, joints_world: np.ndarray) -> np.ndarray:
    """The 24 joints (F, 24, 3) in the camera's axes, metres."""
    relative = joints_world[:, :NUM_BODY_JOINTS] - path.positions[:, None]
    return np.einsum("fji,fkj->fki", path.rotations, relative)


def move_error_deg(directions: np.ndarray, true_directions: np.ndarray) -> np.ndarray:
    """Angles (F,) between two cameras that start in the same place around the person.

    Azimuth and elevation of `directions` are counted from its own first frame and added to those of the
    first true frame: a constant error of the view does not count, only what the camera does.

    Args:
        directions: (F, 3) unit, from the person to the camera, z up.
        true_directions: (F, 3), the same of the camera that was asked for.
    """
    azimuth, elevation = _spherical(directions)
    true_azimuth, true_elevation = _spherical(true_directions)
    azimuth = azimuth - azimuth[0] + true_azimuth[0]
    elevation = elevation - elevation[0] + true_elevation[0]
    moved = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    return angles_deg(moved, true_directions)


def arc_deg(true_directions: np.ndarray) -> float:
    """How far the camera gets around the person from where it began, seen from above; 0 to 180."""
    azimuth, _ = _spherical(true_directions)
    turned = np.angle(np.exp(1j * (azimuth - azimuth[0])))
    return float(np.degrees(np.abs(turned).max()))


def angles_deg(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Angles (...,) between vectors (..., 3)."""
    first, second = _unit(vectors), _unit(others)
    # steadier than the arc cosine for small angles
    return np.degrees(
        2 * np.arctan2(np.linalg.norm(first - second, axis=-1), np.linalg.norm(first + second, axis=-1))
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _spherical(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    azimuth = np.arctan2(directions[:, 1], directions[:, 0])
    return azimuth, np.arcsin(np.clip(directions[:, 2], -1, 1))


def _rotations_to_axis(directions: np.ndarray) -> np.ndarray:
    """The smallest rotations (F, 3, 3) that turn unit vectors (F, 3) in front of a camera onto +z."""
    x, y, z = directions.T
    scale = 1 / (1 + z)
    rows = [
        [1 - x * x * scale, -x * y * scale, -x],
        [-x * y * scale, 1 - y * y * scale, -y],
        [x, y, z],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
