"""Where a camera move starts: a place, something to look at, and a lens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from threedimo.camera.checks import (
    MAX_FOCAL,
    MAX_SIDE_PX,
    check_coordinates,
    check_intrinsics,
    check_number,
    check_size,
    check_subject,
    frozen_array,
)
from threedimo.camera.rotations import Floats, look_at
from threedimo.errors import InvalidCameraPath

# An upright camera cannot look along the vertical; a line of sight closer to it than this (in radians) is
# refused.
MIN_ANGLE_TO_VERTICAL = 1e-3
MIN_DISTANCE_M = 1e-3
# Where a character faces that nobody turned: towards the front view of a modelling program.
DEFAULT_FORWARD = (0.0, -1.0, 0.0)


@dataclass(frozen=True, eq=False)
class View:
    """An upright camera that looks at a target.

    Args:
        position: Where the camera stands, `(3,)` metres, z up.
        target: What it looks at: a point on the optical axis, `(3,)` metres.
        focal_px: Focal length in pixels of this picture, the same in both directions.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        subject_position: A point in the middle of the person, `(3,)` metres, or None.
        subject_forward: Where the person faces, `(3,)`, unit and horizontal, or None.

    Raises:
        InvalidCameraPath: Numbers are not finite or out of range, the target is at the camera, or the camera
            looks straight up or down.
    """

    position: Floats
    target: Floats
    focal_px: float
    width: int
    height: int
    subject_position: Floats | None = None
    subject_forward: Floats | None = None

    def __post_init__(self):
        position = frozen_array("position", self.position, (3,))
        target = frozen_array("target", self.target, (3,))
        check_coordinates("position", position)
        check_coordinates("target", target)
        check_size(self.width, self.height)
        subject, forward = check_subject(self.subject_position, self.subject_forward)
        checked = {
            "position": position,
            "target": target,
            "subject_position": subject,
            "subject_forward": forward,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        focal = check_number("focal_px", self.focal_px, 0.0, MAX_FOCAL * MAX_SIDE_PX)
        object.__setattr__(self, "focal_px", focal)
        check_intrinsics(self.intrinsics_at(np.array([focal])), 1, max(self.width, self.height))
        line = target - position
        if math.hypot(*line) < MIN_DISTANCE_M:
            raise InvalidCameraPath("the target is where the camera is", given=target.tolist())
        if math.atan2(math.hypot(line[0], line[1]), abs(line[2])) < MIN_ANGLE_TO_VERTICAL:
            raise InvalidCameraPath(
                "the camera looks straight up or down, where upright has no meaning",
                given=line.tolist(),
                remedy="move the camera or its target a little to the side",
            )
        if math.hypot(*(self.pivot - position)) < MIN_DISTANCE_M:
            raise InvalidCameraPath("the subject is where the camera is", given=self.pivot.tolist())

    @classmethod
    def around(
        cls,
        subject_position: ArrayLike,
        azimuth_deg: float = 0.0,
        elevation_deg: float = 0.0,
        distance_m: float = 3.0,
        *,
        subject_forward: ArrayLike = DEFAULT_FORWARD,
        vertical_fov_deg: float = 45.0,
        width: int = 832,
        height: int = 480,
    ) -> View:
        """Look at a person from a direction that is relative to where the person faces.

        Args:
            subject_position: A point in the middle of the person, `(3,)` metres.
            azimuth_deg: 0 is in front of the person, 90 at its left hand, 180 behind, -90 at its right hand.
            elevation_deg: Height of the camera above the horizon as the person sees it, -89 to 89.
            distance_m: From the camera to the subject, in metres.
            subject_forward: Where the person faces, `(3,)`, unit and horizontal.
            vertical_fov_deg: Vertical field of view, 1 to 170 degrees.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
        """
        subject, forward = check_subject(subject_position, subject_forward)
        if subject is None or forward is None:
            raise InvalidCameraPath("a view around a subject needs its position and its direction")
        azimuth = math.radians(check_number("azimuth_deg", azimuth_deg, -3600.0, 3600.0))
        elevation = math.radians(check_number("elevation_deg", elevation_deg, -89.0, 89.0))
        distance = check_number("distance_m", distance_m, MIN_DISTANCE_M, 1e6)
        fov = math.radians(check_number("vertical_fov_deg", vertical_fov_deg, 1.0, 170.0))
        check_size(width, height)
        facing = math.atan2(forward[1], forward[0])
        level = math.cos(elevation)
        towards_camera = np.array(
            [level * math.cos(facing + azimuth), level * math.sin(facing + azimuth), math.sin(elevation)]
        )
        focal = height / 2 / math.tan(fov / 2)
        return cls(subject + distance * towards_camera, subject, focal, width, height, subject, forward)

    @property
    def pivot(self) -> Floats:
        """What moves are measured by and arcs go around: the subject, or else the target, `(3,)` metres."""
        return self.target if self.subject_position is None else self.subject_position

    @property
    def distance_m(self) -> float:
        """From the camera to the pivot, in metres."""
        return math.hypot(*(self.pivot - self.position))

    @property
    def rotation(self) -> Floats:
        """World from camera, `(3, 3)`; the columns are right, down and forward."""
        return look_at(self.position, self.target)

    def intrinsics_at(self, focals_px: Floats) -> Floats:
        """Pinhole matrices `(F, 3, 3)` of a centred lens with these focal lengths `(F,)`."""
        matrices = np.zeros((len(focals_px), 3, 3))
        matrices[:, 0, 0] = matrices[:, 1, 1] = focals_px
        matrices[:, :, 2] = [self.width / 2, self.height / 2, 1.0]
        return matrices
