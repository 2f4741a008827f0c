"""A camera over time: where it stands, where it looks, and through which lens.

Everything is converted to this form once, at the door of whoever holds another convention: right-handed
metres with z up, and the OpenCV camera (+x right, +y down, +z forward).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from threedimo.camera import storage
from threedimo.camera.checks import (
    check_count,
    check_fps,
    check_intrinsics,
    check_poses,
    check_size,
    check_subject,
    frozen_array,
)
from threedimo.camera.rotations import Floats, slerp
from threedimo.errors import InvalidCameraPath

# Times are quotients of frame numbers and rates: this absorbs their rounding, far below any frame.
TIME_TOLERANCE_S = 1e-6


@dataclass(frozen=True, eq=False)
class CameraPath:
    """A perspective camera at evenly spaced times: frame i at `i / fps` seconds. One frame means static.

    Arrays are copied, checked and made read-only.

    Args:
        world_from_camera: Poses, `(F, 4, 4)` float64, metres, without scale or shear.
        intrinsics: Pinhole matrices, `(F, 3, 3)` float64, pixels, no skew. The picture spans 0 to width and
            0 to height, so that the middle of a symmetric lens lies at `(width / 2, height / 2)`.
        width: Width of the picture that the intrinsics refer to, 1 to 16384 pixels.
        height: Its height, 1 to 16384 pixels.
        fps: Frames a second, 0.0001 to 1000.
        subject_position: A point in the middle of the person, `(3,)` metres, or None where there is none.
        subject_forward: Where the person faces, `(3,)`, unit and horizontal, or None where unknown.

    Raises:
        InvalidCameraPath: Numbers are missing, not finite, out of range, or contradict each other.
    """

    world_from_camera: Floats
    intrinsics: Floats
    width: int
    height: int
    fps: float
    subject_position: Floats | None = None
    subject_forward: Floats | None = None

    def __post_init__(self):
        poses = frozen_array("world_from_camera", self.world_from_camera, (None, 4, 4))
        intrinsics = frozen_array("intrinsics", self.intrinsics, (None, 3, 3))
        check_size(self.width, self.height)
        fps = check_fps(self.fps)
        check_poses(poses)
        check_intrinsics(intrinsics, len(poses), max(self.width, self.height))
        position, forward = check_subject(self.subject_position, self.subject_forward)
        checked = {
            "world_from_camera": poses,
            "intrinsics": intrinsics,
            "width": int(self.width),
            "height": int(self.height),
            "fps": fps,
            "subject_position": position,
            "subject_forward": forward,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def num_frames(self) -> int:
        """Number of frames, at least 1."""
        return len(self.world_from_camera)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last frame; 0 for a static camera of one frame."""
        return (self.num_frames - 1) / self.fps

    @property
    def positions(self) -> Floats:
        """Camera centres in the world, `(F, 3)` metres."""
        return self.world_from_camera[:, :3, 3]

    @property
    def rotations(self) -> Floats:
        """World-from-camera rotations, `(F, 3, 3)`; the columns are the camera's right, down and forward."""
        return self.world_from_camera[:, :3, :3]

    @property
    def first_from_camera(self) -> Floats:
        """Poses relative to the first frame, `(F, 4, 4)`, metres in the first camera's axes."""
        first = self.world_from_camera[0]
        relative = np.broadcast_to(np.eye(4), self.world_from_camera.shape).copy()
        relative[:, :3, :3] = first[:3, :3].T @ self.rotations
        relative[:, :3, 3] = (self.positions - first[:3, 3]) @ first[:3, :3]
        return relative

    def resampled(self, num_frames: int, fps: float) -> CameraPath:
        """Read the path at the times of another clip: turns by slerp, positions and lens linearly.

        A path of one frame is a static camera and lasts as long as asked. The last frame of a longer path is
        held for at most half of one of its own frames.

        Raises:
            InvalidCameraPath: The path ends too early; the error names how many frames fit.
        """
        check_count(num_frames)
        fps = check_fps(fps)
        times = np.arange(num_frames) / fps
        if self.num_frames > 1:
            self._check_covers(num_frames, fps)
        at = np.clip(times * self.fps, 0, self.num_frames - 1)
        before = np.minimum(np.floor(at).astype(np.int64), max(self.num_frames - 2, 0))
        after = np.minimum(before + 1, self.num_frames - 1)
        share = at - before
        weight = share[:, None, None]
        poses = (1 - weight) * self.world_from_camera[before] + weight * self.world_from_camera[after]
        poses[:, :3, :3] = slerp(self.rotations[before], self.rotations[after], share)
        intrinsics = (1 - weight) * self.intrinsics[before] + weight * self.intrinsics[after]
        return replace(self, world_from_camera=poses, intrinsics=intrinsics, fps=fps)

    def _check_covers(self, num_frames: int, fps: float) -> None:
        end_s = self.duration_s + 0.5 / self.fps + TIME_TOLERANCE_S
        if (num_frames - 1) / fps <= end_s:
            return
        fits = math.floor(end_s * fps) + 1
        raise InvalidCameraPath(
            f"the camera path of {self.num_frames} frames at {self.fps:g} fps ends before the clip does",
            given=f"{num_frames} frames at {fps:g} fps, {(num_frames - 1) / fps:.3f} s",
            allowed=f"at most {fits} frames at {fps:g} fps ({(fits - 1) // 4 * 4 + 1} where 4k+1 are needed)",
            remedy="ask for fewer frames, or make the camera path longer",
        )

    def for_size(self, width: int, height: int) -> CameraPath:
        """The same path for a picture of another size: centre-cropped to the new aspect, then scaled.

        Nothing is stretched. The poses stay as they are; the focal length and the principal point change just
        as they do when a picture is cropped about its middle to the new aspect and then resized.
        """
        check_size(width, height)
        scale = max(width / self.width, height / self.height)
        intrinsics = self.intrinsics.copy()
        intrinsics[:, 0, 0] *= scale
        intrinsics[:, 1, 1] *= scale
        intrinsics[:, 0, 2] = (intrinsics[:, 0, 2] - self.width / 2) * scale + width / 2
        intrinsics[:, 1, 2] = (intrinsics[:, 1, 2] - self.height / 2) * scale + height / 2
        return replace(self, intrinsics=intrinsics, width=width, height=height)

    def to_json(self, path: Path | str) -> None:
        """Write the path to a file in the format of `threedimo.camera.storage`.

        Raises:
            UnwritableFolder: The file cannot be written.
        """
        document = storage.Document(
            fps=self.fps,
            width=self.width,
            height=self.height,
            world_from_camera=self.world_from_camera.tolist(),
            intrinsics=self.intrinsics.tolist(),
            subject_position=None if self.subject_position is None else self.subject_position.tolist(),
            subject_forward=None if self.subject_forward is None else self.subject_forward.tolist(),
        )
        storage.write_document(Path(path), document)

    @classmethod
    def from_json(cls, path: Path | str) -> CameraPath:
        """Read a file that `to_json` wrote.

        Raises:
            InvalidCameraPath: The file is missing, too large, not of this format, or holds an impossible
                path. The message names the file. Or its content was given instead of its name.
        """
        if str(path).lstrip().startswith("{"):
            raise InvalidCameraPath(
                "from_json takes the name of a file, not what is in it",
                given=f"{str(path)[:40]}...",
                remedy="give the file's path",
            )
        file = Path(path)
        document = storage.read_document(file)
        try:
            return cls(**document)
        except InvalidCameraPath as error:
            raise storage.error_in_file(file, error) from error

    def to_bytes(self) -> bytes:
        """The numbers as the wire carries them (see `threedimo.wire`, Camera)."""
        return storage.pack(
            self.world_from_camera, self.intrinsics, self.subject_position, self.subject_forward
        )

    @classmethod
    def from_bytes(
        cls, body: bytes, *, num_frames: int, fps: float, width: int, height: int, has_subject: bool
    ) -> CameraPath:
        """Read what `to_bytes` wrote; the keywords are the fields of `CameraTrack`.

        Raises:
            InvalidCameraPath: The length contradicts the counts, or the numbers are not a camera path.
        """
        check_count(num_frames)
        poses, intrinsics, position, forward = storage.unpack(body, num_frames, has_subject)
        return cls(poses, intrinsics, width, height, fps, position, forward)
