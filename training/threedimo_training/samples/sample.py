"""One training sample as the paper has it: a driving clip and a target clip of the same motion.

The reference image is the target's first frame. What only synthetic or calibrated sources know is None
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from threedimo.camera import CameraPath
from threedimo.errors import InvalidShard

Role = Literal["same_view", "cross_view", "moving_camera"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a clip that has them all; see `FilmedClip`."""

    path: CameraPath
    silhouette: np.ndarray
    joints_world: np.ndarray
    hand_boxes: np.ndarray
    smpl_pose: np.ndarray
    mano_pose: np.ndarray


@dataclass(frozen=True, eq=False)
class FilmedClip:
    """One clip of one person; F frames of H x W pixels.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        person_id: Who is seen.
        text: The camera in words, `threedimo.camera.describe(path)` where the path is known.
        path: The camera, with intrinsics for W x H pixels, or None where it is unknown.
        silhouette: (F, H, W) bool, where the person covers at least half of the pixel, or None.
        joints_world: (F, 54, 3) float32 metres in the order of `motion.skeleton.JOINT_NAMES`, or None.
        hand_boxes: (F, 2, 4) float32 left, top, right, bottom in pixels, left hand first, NaN where a hand
            is not seen, or None where nobody looked.
        smpl_pose: (F, 24, 3) float32 axis-angle, SMPL's axes; the root's is relative to a world with z up.
            Performers of one motion differ by a few degrees in the legs, which keep their feet in place.
        mano_pose: (F, 2, 15, 3) float32 axis-angle, MANO's order, relative to the flat hand, left hand first.
    """

    frames: np.ndarray
    person_id: str
    text: str
    path: CameraPath | None = None
    silhouette: np.ndarray | None = None
    joints_world: np.ndarray | None = None
    hand_boxes: np.ndarray | None = None
    smpl_pose: np.ndarray | None = None
    mano_pose: np.ndarray | None = None

    def labels(self) -> Labels:
        """Everything that only synthetic or calibrated sources know.

        Raises:
            InvalidShard: Some of it is unknown; the message says what.
        """
        known = {name: getattr(self, name) for name in Labels.__dataclass_fields__}
        missing = [name for name, value in known.items() if value is None]
        if missing:
            raise InvalidShard(
                "a clip lacks labels",
                given=f"a clip of {self.person_id} without {', '.join(missing)}",
                remedy="use rendered samples",
            )
        return Labels(**known)


@dataclass(frozen=True, eq=False)
class Sample:
    """A driving and a target clip of the same motion, frame by frame.

    Attributes:
        sample_id: Unique name, also the stem of its files in a shard.
        role: "same_view": one still camera for both. "cross_view": two still cameras at unrelated sides.
            "moving_camera": the target's camera moves.
        driving: What the motion encoder sees.
        target: What the generator learns to make.
        fps: Frames per second of both.
        motion_id: Which motion is performed.
        held_out: Whether person or motion are kept for evaluation and must never be trained on.
        seed: The seed that made it; 0 for footage.
        source: Where it comes from: "synthetic", "blender" or "footage".
        hand_crops: (F, 2, C, C, 3) uint8, the driving hands at the crop's own resolution, left hand first;
            black where not seen. None where nobody looked.
    """

    sample_id: str
    role: str
    driving: FilmedClip
    target: FilmedClip
    fps: float
    motion_id: str
    held_out: bool
    seed: int
    source: str
    hand_crops: np.ndarray | None = None
