# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot on its way out: what is to be filmed, and its inputs fixed as an `Order`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from threedimo.camera import CameraPath, describe
from threedimo.errors import EmptyMedia, UnreadableMedia
from threedimo.wire.messages import Capabilities

from .orders import Order
from .scene_camera import sample_camera, scene_fps, shot_camera
from .sequence import is_picture, sequence_from
from .timeline import FrameMapping, plan


@dataclass(frozen=True)
class Shot:
    """What is to be filmed: a camera over some frames of a scene.

    Attributes:
        name: What people call it.
        scene_frames: Its frames, one by one.
        is_cut: One of several shots of its scene: its plane is seen in these frames only.
    """

    scene: bpy.types.Scene
    camera: bpy.types.Object
    name: str
    scene_frames: range
    is_cut: bool = False


@dataclass(frozen=True)
class FixedShot:
    """A shot as it stands now; nothing that is done to the scene later changes it."""

    shot: Shot
    order: Order
    mapping: FrameMapping


def single_shot(scene: bpy.types.Scene) -> Shot:
    """The whole frame range as one shot.

    Raises:
        InvalidCameraPath: There is no camera, or markers cut to another one.
    """
    camera = shot_camera(scene, scene.threedimo.camera)
    return Shot(scene, camera, camera.name, range(scene.frame_start, scene.frame_end + 1))


def plan_shot(scene: bpy.types.Scene, capabilities: Capabilities) -> FrameMapping:
    """How the scene's frame range maps to frames of the server's model. Cheap enough to draw.

    Raises:
        UnsupportedFrameCount: The model cannot make such a shot.
    """
    return plan_frames(scene, range(scene.frame_start, scene.frame_end + 1), capabilities)


def plan_frames(scene: bpy.types.Scene, scene_frames: range, capabilities: Capabilities) -> FrameMapping:
    """As `plan_shot`, for these frames."""
    return plan(scene_frames.start, scene_frames.stop - 1, scene_fps(scene), capabilities.models[0])


def read_camera(shot: Shot) -> CameraPath:
    """The camera's path over the frames of a shot.

    Raises:
        CameraError: The camera cannot be sent.
    """
    return sample_camera(shot.scene, shot.camera, shot.scene.threedimo.subject, shot.scene_frames)


def shot_text(shot: Shot, path: CameraPath) -> str:
    """The text to send: the user's own, or what the camera does."""
    settings = shot.scene.threedimo
    return settings.camera_text if settings.use_custom_text else describe(path)


def fix_shot(shot: Shot, capabilities: Capabilities) -> FixedShot:
    """Fix a shot as it stands now: camera, text, files, seed and length.

    Raises:
        ThreeDimoError: An input is missing or cannot be used.
    """
    mapping = plan_frames(shot.scene, shot.scene_frames, capabilities)
    return FixedShot(shot, make_order(shot, read_camera(shot)), mapping)


def make_order(shot: Shot, path: CameraPath) -> Order:
    """Fix the inputs as they stand now.

    Raises:
        MediaError: A file is not chosen, missing or empty.
    """
    settings = shot.scene.threedimo
    reference = _input_file(settings.reference_image, "reference image")
    footage = _input_file(settings.driving_footage, "driving footage")
    pictures = is_picture(footage)
    return Order(
        reference_image=reference,
        driving_files=tuple(sequence_from(footage)) if pictures else (footage,),
        driving_fps=settings.driving_fps if pictures else None,
        driving_start_s=settings.driving_start_s,
        text=shot_text(shot, path),
        camera_path=path,
        seed=settings.seed,
    )


def _input_file(given: str, what: str) -> Path:
    if not given:
        raise UnreadableMedia(f"no {what} is chosen", remedy="choose a file in the panel")
    path = Path(bpy.path.abspath(given))
    if not path.is_file():
        raise UnreadableMedia(f"the {what} is not there", given=path, remedy="choose the file again")
    if path.stat().st_size == 0:
        raise EmptyMedia(f"the {what} is an empty file", given=path, remedy="choose another file")
    return path
