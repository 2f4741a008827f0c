"""All metrics of one clip.

The first frame counts nowhere: it is the reference image, which every run was given. Frames after it are
averaged.
"""

from __future__ import annotations

import numpy as np

from threedimo.errors import InvalidRequest
from threedimo_training.evaluation.body_parts import body_parts
from threedimo_training.evaluation.held_out_clips import HeldOutClip
from threedimo_training.evaluation.metrics import (
    gmsd,
    identity_agreement,
    part_colours,
    person_psnr,
    psnr,
    silhouette_iou,
    ssim,
)
from threedimo_training.evaluation.pose_angles import (
    angles_deg,
    arc_deg,
    camera_directions,
    limbs_in_picture,
    move_error_deg,
    picture_places,
    pose_error_deg,
    seen_camera_directions,
)
from threedimo_training.evaluation.probe import Probe
from threedimo_training.samples.sample import FilmedClip

METRICS = (
    *("psnr", "person_psnr", "ssim", "gmsd", "silhouette_iou", "pose_error_deg", "camera_error_deg"),
    *("camera_view_error_deg", "arc_camera_error_deg", "identity_agreement"),
)
"""What is measured of every run.

gmsd: a perceptual distance, 0 for equal frames.
pose_error_deg: between limbs that are wholly in the picture (`pose_angles.pose_error_deg`).
camera_error_deg: how far the camera is, around the person, from where it should be by then, counted from its
own first frame (`pose_angles.move_error_deg`). A person who turns otherwise than asked counts as a camera
that moves otherwise.
camera_view_error_deg: the same without that allowance for a constant error of the view.
arc_camera_error_deg: `camera_error_deg` of clips whose camera truly gets around the person by 30 degrees.
"""
LEAST_ARC_DEG = 30.0

Values = dict[str, float | None]


class ClipTruth:
    """What is true of a clip, and the measures against it.

    Args:
        clip: With camera, joints and silhouette of its target.
        probe: Reads what generated frames show.

    Raises:
        InvalidRequest: The clip lacks one of those.
    """

    def __init__(self, clip: HeldOutClip, probe: Probe):
        target = clip.sample.target
        if target.path is None or target.joints_world is None or target.silhouette is None:
            raise InvalidRequest(
                "only clips with camera, joints and silhouette can be measured", given=clip.sample.sample_id
            )
        self._probe, self._frames, self._silhouette = probe, target.frames, target.silhouette
        path = target.path.resampled(len(target.frames), clip.sample.fps)
        self._joints = target.joints_world.astype(np.float64)
        self._directions = camera_directions(path, self._joints)
        self._limbs = limbs_in_picture(picture_places(path, self._joints))
        self._parts = body_parts(path, self._joints, target.silhouette)
        self._reference_colours = part_colours(target.frames[:1], self._parts[:1])[0]
        self.arc_deg = arc_deg(self._directions)

    def measure(self, frames: np.ndarray) -> Values:
        """Measure a run by the names of `METRICS`; None where a metric says nothing about this clip."""
        seen = self._probe.read(frames)
        later, truth, silhouette = frames[1:], self._frames[1:], self._silhouette[1:]
        directions = seen_camera_directions(seen.joints, self._joints)
        move_error = float(move_error_deg(directions, self._directions)[1:].mean())
        colours = part_colours(later, seen.parts[1:])
        return {
            "psnr": psnr(later, truth),
            "person_psnr": person_psnr(later, truth, silhouette),
            "ssim": ssim(later, truth),
            "gmsd": gmsd(later, truth),
            "silhouette_iou": silhouette_iou(seen.silhouette[1:], silhouette),
            "pose_error_deg": self._pose_error(seen.joints),
            "camera_error_deg": move_error,
            "camera_view_error_deg": float(angles_deg(directions, self._directions)[1:].mean()),
            "arc_camera_error_deg": move_error if self.arc_deg >= LEAST_ARC_DEG else None,
            "identity_agreement": identity_agreement(colours, self._reference_colours),
        }

    def stranger_agreement(self, other: FilmedClip) -> float | None:
        """Identity agreement of the true frames with another clip's person: what chance makes of it."""
        if other.path is None or other.joints_world is None or other.silhouette is None:
            return None
        parts = body_parts(other.path, other.joints_world[:1], other.silhouette[:1])
        stranger_colours = part_colours(other.frames[:1], parts)[0]
        colours = part_colours(self._frames[1:], self._parts[1:])
        return identity_agreement(colours, stranger_colours)

    def _pose_error(self, seen_joints: np.ndarray) -> float | None:
        errors = pose_error_deg(seen_joints, self._joints, self._limbs)[1:]
        return None if np.isnan(errors).all() else float(np.nanmean(errors))
