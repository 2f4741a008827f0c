"""What makes numbers a camera: the checks behind `CameraPath` and `View`."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from threedimo.camera.rotations import Floats
from threedimo.errors import InvalidCameraPath

MAX_FRAMES = 100_000
MAX_SIDE_PX = 16_384
MAX_FPS = 1000.0
# Ten thousand kilometres: far beyond a scene, and small enough for all arithmetic on it to stay finite.
MAX_COORDINATE_M = 1e7
# Single-precision matrices of a modelling program stay well inside this.
ROTATION_TOLERANCE = 1e-4
UNIT_TOLERANCE = 1e-3
# In longer sides of the picture: from a field of view of 179 degrees to one of 20 seconds of arc.
MIN_FOCAL, MAX_FOCAL = 0.01, 10_000.0


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("F" if side is None else str(side) for side in shape) + ")"


def frozen_array(name: str, value: object, shape: tuple[int | None, ...]) -> Floats:
    """Copy into a read-only float64 array of this shape (None: any length from 1), all finite."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidCameraPath(f"{name} is not an array of numbers", allowed=_shape_text(shape)) from error
    fits = len(array.shape) == len(shape) and all(
        have > 0 and want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidCameraPath(f"{name} has the wrong shape", given=array.shape, allowed=_shape_text(shape))
    if not np.isfinite(array).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise InvalidCameraPath(
            f"{name} holds a number that is not finite", given=f"{array[where]} at {where}"
        )
    array.setflags(write=False)
    return array


def _is_a(kind: type, value: object) -> bool:
    # True and False are whole numbers to Python, and a mistake here.
    return isinstance(value, kind) and not isinstance(value, bool)


def check_whole(name: str, value: Any, lowest: int, highest: int) -> int:
    """Accept a whole number within bounds."""
    if _is_a(numbers.Integral, value) and lowest <= value <= highest:
        return int(value)
    raise InvalidCameraPath(
        f"{name} is out of range", given=value, allowed=f"a whole number, {lowest} to {highest}"
    )


def check_number(name: str, value: Any, lowest: float, highest: float) -> float:
    """Accept a number within bounds, both included; NaN is within none."""
    if _is_a(numbers.Real, value) and lowest <= value <= highest:
        return float(value)
    raise InvalidCameraPath(f"{name} is out of range", given=value, allowed=f"{lowest:g} to {highest:g}")


def check_count(num_frames: object) -> int:
    """Accept a number of frames."""
    return check_whole("num_frames", num_frames, 1, MAX_FRAMES)


def check_size(width: object, height: object) -> None:
    """Accept the size of a picture in pixels."""
    check_whole("width", width, 1, MAX_SIDE_PX)
    check_whole("height", height, 1, MAX_SIDE_PX)


def check_fps(fps: object) -> float:
    """Accept a frame rate. The lower bound is one frame in about three hours."""
    return check_number("fps", fps, 1e-4, MAX_FPS)


def check_coordinates(name: str, points: Floats) -> None:
    """Refuse points so far away that nothing sensible can be computed from them."""
    largest = float(np.abs(points).max())
    if largest > MAX_COORDINATE_M:
        raise InvalidCameraPath(
            f"{name} is too far from the origin",
            given=f"{largest:g} m",
            allowed=f"coordinates up to {MAX_COORDINATE_M:g} m",
            remedy="check the scene's units",
        )


def check_poses(poses: Floats) -> None:
    """Refuse anything but rotations and translations, `(F, 4, 4)`."""
    check_count(len(poses))
    rotations = poses[:, :3, :3]
    bad = np.any(np.abs(poses[:, 3] - [0.0, 0.0, 0.0, 1.0]) > UNIT_TOLERANCE, axis=-1)
    if bad.any():
        raise InvalidCameraPath(
            f"the last row of world_from_camera is wrong in frame {int(np.argmax(bad))}",
            given=poses[int(np.argmax(bad)), 3].tolist(),
            allowed="0, 0, 0, 1",
        )
    # Bounded first, so that the products below cannot overflow.
    bad = np.any(np.abs(rotations) > 1 + UNIT_TOLERANCE, axis=(1, 2))
    if not bad.any():
        gram = np.swapaxes(rotations, 1, 2) @ rotations
        bad = np.any(np.abs(gram - np.eye(3)) > ROTATION_TOLERANCE, axis=(1, 2))
    if bad.any():
        raise InvalidCameraPath(
            f"the axes of the camera are not orthonormal in frame {int(np.argmax(bad))}",
            given=rotations[int(np.argmax(bad))].tolist(),
            allowed="a rotation without scale or shear",
            remedy="remove scale from the camera and its parents",
        )
    mirrored = np.linalg.det(rotations) < 0
    if mirrored.any():
        raise InvalidCameraPath(
            f"the camera is mirrored in frame {int(np.argmax(mirrored))}",
            given="determinant -1",
            allowed="determinant +1",
            remedy="remove negative scale, and convert axes by turning, not by mirroring",
        )
    check_coordinates("world_from_camera", poses[:, :3, 3])


def check_intrinsics(intrinsics: Floats, num_frames: int, longer_side_px: int) -> None:
    """Refuse anything but pinhole matrices without skew, one a frame."""
    if len(intrinsics) != num_frames:
        raise InvalidCameraPath(
            "world_from_camera and intrinsics differ in length",
            given=f"{num_frames} poses, {len(intrinsics)} intrinsics",
            allowed="one of each for every frame",
        )
    focal = intrinsics[:, [0, 1], [0, 1]]
    lowest, highest = MIN_FOCAL * longer_side_px, MAX_FOCAL * longer_side_px
    bad = np.any((focal < lowest) | (focal > highest), axis=-1)
    if bad.any():
        raise InvalidCameraPath(
            f"the focal length is out of range in frame {int(np.argmax(bad))}",
            given=f"{focal[int(np.argmax(bad))].tolist()} px",
            allowed=f"{lowest:g} to {highest:g} px for this size of picture",
        )
    rest = intrinsics[:, [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]]
    skewed = np.any(np.abs(rest - [0.0, 0.0, 0.0, 0.0, 1.0]) > 1e-6, axis=-1)
    if skewed.any():
        raise InvalidCameraPath(
            f"the intrinsics are not those of a pinhole camera in frame {int(np.argmax(skewed))}",
            given=intrinsics[int(np.argmax(skewed))].tolist(),
            allowed="[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]",
        )
    centre = float(np.abs(intrinsics[:, :2, 2]).max())
    if centre > highest:
        raise InvalidCameraPath(
            "the principal point is too far outside of the picture",
            given=f"{centre:g} px",
            allowed=f"{highest:g} px",
        )


def check_subject(position: object, forward: object) -> tuple[Floats | None, Floats | None]:
    """Accept a person: nothing, a position, or a position and a horizontal unit direction."""
    if position is None:
        if forward is not None:
            raise InvalidCameraPath(
                "subject_forward is given without subject_position", remedy="give both, or only the position"
            )
        return None, None
    place = frozen_array("subject_position", position, (3,))
    check_coordinates("subject_position", place)
    if forward is None:
        return place, None
    facing = frozen_array("subject_forward", forward, (3,))
    if abs(math.hypot(*facing) - 1) > UNIT_TOLERANCE or abs(facing[2]) > UNIT_TOLERANCE:
        raise InvalidCameraPath(
            "subject_forward is not a horizontal direction of length 1",
            given=facing.tolist(),
            allowed="(x, y, 0) with x² + y² = 1",
            remedy="set z to 0 and divide by the length",
        )
    return place, facing
