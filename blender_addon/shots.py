# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot on its way out: what is to be filmed, and its inputs fixed as an `Order`."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from threedimo.camera import CameraPath, describe
from threedimo.wire.messages import Capabilities, ModelInfo
from threedimo.wire.model_ids import choose_model

from .driving import Driving, read_driving
from .footage_length import check_length
from .orders import Order
from .performer import Performer
from .preferences import takes_folder
from .reference import Reference, check_reference, write_reference
from .result_presets import ResultSettings, result_settings
from .scene_camera import picture_size, sample_camera, scene_fps, shot_camera
from .takes import FOOTAGE_FOLDER
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
class Inputs:
    """What a shot is made of besides its camera.

    Attributes:
        reference: Picture of the character.
        driving: The motion.
    """

    reference: Reference
    driving: Driving


@dataclass(frozen=True)
class FixedShot:
    """A shot as it stands now; nothing that is done to the scene later changes it.

    Attributes:
        performer: Who is to be filmed for it before the order has its driving footage, which is the one
            thing that still comes from the scene.
    """

    shot: Shot
    order: Order
    mapping: FrameMapping
    performer: Performer | None = None


def single_shot(scene: bpy.types.Scene) -> Shot:
    """The whole frame range as one shot.

    Raises:
        InvalidCameraPath: There is no camera, or markers cut to another one.
    """
    camera = shot_camera(scene, scene.threedimo.camera)
    return Shot(scene, camera, camera.name, range(scene.frame_start, scene.frame_end + 1))


def plan_shot(scene: bpy.types.Scene, capabilities: Capabilities) -> FrameMapping:
    """How the scene's frame range maps to frames of its model. Cheap enough to draw.

    Raises:
        ModelNotFound: The server does not have the scene's model.
        UnsupportedFrameCount: The model cannot make such a shot.
    """
    model = scene_model(scene, capabilities)
    return plan_frames(scene, range(scene.frame_start, scene.frame_end + 1), model)


def plan_frames(scene: bpy.types.Scene, scene_frames: range, model: ModelInfo) -> FrameMapping:
    """As `plan_shot`, for these frames and a model of the server."""
    return plan(scene_frames.start, scene_frames.stop - 1, scene_fps(scene), model)


def scene_model(scene: bpy.types.Scene, capabilities: Capabilities) -> ModelInfo:
    """Which of the server's models makes the shots of a scene.

    Raises:
        ModelNotFound: The server does not have the one that the scene names.
    """
    return choose_model(capabilities.models, scene.threedimo.model_id)


def scene_result(scene: bpy.types.Scene, model: ModelInfo) -> ResultSettings:
    """How this model makes the frames of a scene's shots, by what the panel says. Cheap enough to draw.

    Raises:
        InvalidRequest: The model has not the preset that the scene names.
    """
    settings = scene.threedimo
    return result_settings(model, settings.size_preset, settings.preset, picture_size(scene))


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


def read_inputs(scene: bpy.types.Scene) -> Inputs:
    """What the panel names, as it stands now: of several things that are missing the topmost is named.

    Raises:
        MediaError: A file or image is not chosen, missing or empty.
        InvalidScene: There is nobody to film.
    """
    return Inputs(check_reference(scene), read_driving(scene))


def fix_shot(shot: Shot, inputs: Inputs, capabilities: Capabilities) -> FixedShot:
    """Fix a shot as it stands now: camera, text, files, seed and length.

    Raises:
        ThreeDimoError: The camera or the length cannot be used, the footage ends before the shot, or the
            server lacks the scene's model or the model its preset.
    """
    model = scene_model(shot.scene, capabilities)
    mapping = plan_frames(shot.scene, shot.scene_frames, model)
    check_length(inputs.driving, mapping, model)
    order = make_order(shot, inputs, read_camera(shot), model)
    return FixedShot(shot, order, mapping, inputs.driving.performer)


def make_order(shot: Shot, inputs: Inputs, path: CameraPath, model: ModelInfo) -> Order:
    """The inputs of a shot with its camera. Driving footage that is to be filmed first is not in it yet.

    Raises:
        InvalidRequest: The model has not the scene's preset.
        MediaError, UnwritableFolder: The reference is an image that cannot be written as a file.
    """
    driving = inputs.driving
    result = scene_result(shot.scene, model)  # first: nothing is written for a shot that is refused
    return Order(
        reference_image=write_reference(shot.scene, inputs.reference, takes_folder() / FOOTAGE_FOLDER),
        driving_files=driving.files,
        driving_fps=driving.fps,
        driving_start_s=driving.start_s,
        text=shot_text(shot, path),
        camera_path=path,
        seed=shot.scene.threedimo.seed,
        model_id=model.id,
        result=result,
    )
