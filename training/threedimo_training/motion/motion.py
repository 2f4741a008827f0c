"""What a person does, free of who does it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.skeleton import NUM_JOINTS


@dataclass(frozen=True, eq=False)
class Motion:
    """Joint rotations and the way over the floor, for a performer of any size.

    Attributes:
        motion_id: "procedural-<seed>", "bvh:<file stem>:<first frame>" or "amass:<file stem>:<first frame>".
        fps: Frames per second.
        joint_rotations: (F, 54, 3, 3) relative to the parent; the pelvis's is relative to the world, heading
            included.
        root_path: (F, 3) where the pelvis goes, in hip heights of the performer (pelvis above the soles at
            rest), z up from the floor.
        planted: (F, 2) bool, whether the left and the right foot stands still on the ball of the foot.
    """

    motion_id: str
    fps: float
    joint_rotations: np.ndarray
    root_path: np.ndarray
    planted: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.joint_rotations)
        wanted = ((count, NUM_JOINTS, 3, 3), (count, 3), (count, 2))
        given = (self.joint_rotations.shape, self.root_path.shape, self.planted.shape)
        if given != wanted or not count:
            raise InvalidMotion(
                "rotations, path and planted feet do not fit together", given=given, allowed=f"{wanted}"
            )
        if not (np.isfinite(self.joint_rotations).all() and np.isfinite(self.root_path).all()):
            raise InvalidMotion(f"{self.motion_id} has values that are no numbers")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InvalidMotion("the frame rate is no rate", given=self.fps, allowed="above 0")

    @property
    def num_frames(self) -> int:
        """Number of poses."""
        return len(self.joint_rotations)

    def stretch(self, start: int, stop: int) -> Motion:
        """Frames `start` up to but without `stop`, under the same name.

        Raises:
            InvalidMotion: The stretch is empty or reaches beyond the motion.
        """
        if not 0 <= start < stop <= self.num_frames:
            raise InvalidMotion(
                f"{self.motion_id} has no such stretch",
                given=f"{start} to {stop}",
                allowed=f"0 <= start < stop <= {self.num_frames}",
            )
        return replace(
            self,
            joint_rotations=self.joint_rotations[start:stop],
            root_path=self.root_path[start:stop],
            planted=self.planted[start:stop],
        )
