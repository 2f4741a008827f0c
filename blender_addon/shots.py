# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene's shot on its way out and back: inputs to an `Order`, frames to a plane, records in between."""

from __future__ import annotations

from pathlib import Path

import bpy

from threedimo.camera import CameraPath, describe
from threedimo.errors import EmptyMedia, InvalidCameraPath, InvalidRequest, UnreadableMedia, UnwritableFolder
from threedimo.wire.messages import Capabilities

from .image_plane import make_plane
from .jobs import Job
from .orders import Order
from .properties import ThreeDimoJobRecord
from .scene_camera import sample_camera, scene_fps, shot_camera
from .sequence import is_picture, sequence_from
from .timeline import FrameMapping, plan

CAMERA_FILE = "camera.json"


def plan_shot(scene: bpy.types.Scene, capabilities: Capabilities) -> FrameMapping:
    """How the scene's frame range maps to frames of the server's model. Cheap enough to draw.

    Raises:
        UnsupportedFrameCount: The model cannot make such a shot.
    """
    return plan(scene.frame_start, scene.frame_end, scene_fps(scene), capabilities.models[0])


def read_camera(scene: bpy.types.Scene) -> tuple[bpy.types.Object, CameraPath]:
    """The shot's camera and its path over the scene's frame range.

    Raises:
        CameraError: There is no camera that can be sent.
    """
    settings = scene.threedimo
    camera = shot_camera(scene, settings.camera)
    return camera, sample_camera(scene, camera, settings.subject)


def refresh_text(scene: bpy.types.Scene, path: CameraPath) -> str:
    """The text to send: the user's own, or what the camera does, which is then shown too."""
    settings = scene.threedimo
    if settings.use_custom_text:
        return settings.camera_text
    settings.camera_text = describe(path)
    return settings.camera_text


def make_order(scene: bpy.types.Scene, path: CameraPath) -> Order:
    """Fix the inputs as they stand now.

    Raises:
        MediaError: A file is not chosen, missing or empty.
    """
    settings = scene.threedimo
    reference = _input_file(settings.reference_image, "reference image")
    footage = _input_file(settings.driving_footage, "driving footage")
    pictures = is_picture(footage)
    return Order(
        reference_image=reference,
        driving_files=tuple(sequence_from(footage)) if pictures else (footage,),
        driving_fps=settings.driving_fps if pictures else None,
        driving_start_s=settings.driving_start_s,
        text=refresh_text(scene, path),
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


def add_record(scene: bpy.types.Scene, job: Job, camera: bpy.types.Object | None) -> ThreeDimoJobRecord:
    """Write a job into its scene."""
    record = scene.threedimo.jobs.add()
    record.job_id, record.label = job.job_id, job.label
    record.folder = str(job.folder)
    record.frame_start = job.mapping.frame_start
    record.num_scene_frames = job.mapping.num_scene_frames
    record.scene_fps = job.mapping.scene_fps
    record.num_frames = job.mapping.num_frames
    record.camera = camera
    update_record(record, job)
    return record


def update_record(record: ThreeDimoJobRecord, job: Job) -> None:
    """Bring a record up to date."""
    record.state, record.seq = job.state, job.seq
    record.message = "" if job.error is None else str(job.error)


def find_record(job_id: str) -> tuple[bpy.types.Scene, ThreeDimoJobRecord] | None:
    """The record of a job, in whichever scene has it."""
    for scene in bpy.data.scenes:
        for record in scene.threedimo.jobs:
            if record.job_id == job_id:
                return scene, record
    return None


def remove_record(job_id: str) -> None:
    """Take a job off its scene's list; files and plane stay."""
    for scene in bpy.data.scenes:
        index = next((i for i, record in enumerate(scene.threedimo.jobs) if record.job_id == job_id), None)
        if index is not None:
            scene.threedimo.jobs.remove(index)


def record_folder(record: ThreeDimoJobRecord) -> Path:
    """Where the files of a job are."""
    return Path(record.folder)


def record_mapping(record: ThreeDimoJobRecord) -> FrameMapping:
    """The frame mapping of a job."""
    return FrameMapping(record.frame_start, record.num_scene_frames, record.scene_fps, record.num_frames)


def keep_camera(folder: Path, path: CameraPath) -> None:
    """Write the camera beside the frames; the plane is fitted to it, not to the camera of later.

    Raises:
        UnwritableFolder: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFolder(
            f"the job's folder cannot be made: {error.strerror}",
            given=folder,
            remedy="choose another output folder in the add-on's preferences",
        ) from error
    path.to_json(folder / CAMERA_FILE)


def place_frames(scene: bpy.types.Scene, record: ThreeDimoJobRecord, job: Job) -> bpy.types.Object:
    """Put the frames of a ready job on a plane before the camera.

    Raises:
        InvalidCameraPath: The camera was deleted, or its path is not on disk any more.
    """
    if record.camera is None:
        raise InvalidCameraPath(
            "the camera of this job is no longer in the file",
            given=record.label,
            remedy=f"take the frames from {job.plane_folder}",
        )
    width, height = _frame_size(job)
    path = CameraPath.from_json(job.folder / CAMERA_FILE).for_size(width, height)
    plane = make_plane(scene, record.camera, job.plane_folder, path, job.mapping, f"3DiMo {job.label}")
    record.plane, record.placed = plane, True
    return plane


def _frame_size(job: Job) -> tuple[int, int]:
    image = bpy.data.images.load(str(job.plane_folder / "00000.png"), check_existing=False)
    try:
        width, height = image.size
    finally:
        bpy.data.images.remove(image)
    if not width or not height:
        raise InvalidRequest("a frame of the result cannot be read", given=job.plane_folder)
    return width, height
