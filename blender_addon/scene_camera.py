# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's camera as a `CameraPath`: the one place where Blender's coordinates become the library's.

Blender: scene units, camera looks along its -z with +y up, scale anywhere in the parents, lens in millimetres
of a sensor. The library: metres, OpenCV camera (+z forward, +y down), no scale, lens in square pixels.

The camera is read in a temporary scene that holds nothing else. Constraints, parents and drivers are
evaluated in full, what they depend on comes along by itself, and the heavy rest of the user's scene is never
evaluated; the user's own frame is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath, UnsupportedCamera

# Where the person is thought to be if neither a subject nor the 3D cursor says so.
DEFAULT_DISTANCE_M = 4.0
NEAREST_SUBJECT_M = 0.1

_OPENCV_FROM_BLENDER = np.diag([1.0, -1.0, -1.0])
_KINDS_WITHOUT_LENS = {"ORTHO": "orthographic", "PANO": "panoramic", "CUSTOM": "custom"}


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene."""
    return scene.render.fps / scene.render.fps_base


def shot_camera(scene: bpy.types.Scene, chosen: bpy.types.Object | None) -> bpy.types.Object:
    """The camera of the shot: the chosen one, else the one that markers bind, else the scene's.

    Raises:
        InvalidCameraPath: There is none, or markers cut to another camera inside the shot.
    """
    if chosen is not None:
        return chosen
    cuts = sorted(
        (marker for marker in scene.timeline_markers if marker.camera), key=lambda marker: marker.frame
    )
    inside = [marker for marker in cuts if scene.frame_start < marker.frame <= scene.frame_end]
    # Blender uses the first marker's camera before that marker, too.
    first = ([marker for marker in cuts if marker.frame <= scene.frame_start][-1:] or cuts[:1] or [None])[0]
    camera = scene.camera if first is None else first.camera
    if camera is None:
        raise InvalidCameraPath("the scene has no camera", remedy="add a camera, or choose one in the panel")
    for marker in inside:
        if marker.camera != camera:
            raise InvalidCameraPath(
                "a marker cuts to another camera inside the shot",
                given=f"{marker.camera.name} at frame {marker.frame}",
                allowed="one camera a shot",
                remedy="queue it under Batch, or end the frame range before the cut, or choose a camera",
            )
    return camera


def sample_camera(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    subject: bpy.types.Object | None = None,
    scene_frames: range | None = None,
) -> CameraPath:
    """Read a camera over the frames of a shot, one pose per scene frame.

    The size of the picture is the render's, in square pixels: a pixel aspect other than 1 changes the height.

    Args:
        scene: Gives frame range, rate, picture size, units and 3D cursor.
        camera: A perspective camera.
        subject: The person: the middle of its bounding box (an empty: its origin) and its -y axis at the
            first frame are position and facing. None means a point on the first frame's optical axis, as far
            away as the 3D cursor or else 4 m, facing the camera.
        scene_frames: The frames of the shot; None means the scene's frame range.

    Raises:
        UnsupportedCamera: The camera is orthographic, panoramic or custom.
        InvalidCameraPath: Scale in its parents shears or mirrors it, or its lens is out of range.
    """
    if camera.data.type != "PERSP":
        raise UnsupportedCamera(
            "this kind of camera cannot be sent",
            given=f"{camera.name}: {_KINDS_WITHOUT_LENS.get(camera.data.type, camera.data.type)}",
            allowed="perspective",
            remedy="set the camera's type to Perspective",
        )
    if scene_frames is None:
        scene_frames = range(scene.frame_start, scene.frame_end + 1)
    metres = scene.unit_settings.scale_length
    width, height = picture_size(scene)
    exact_size = _exact_size(scene)
    poses, intrinsics = [], []
    subject_pose: np.ndarray | None = None
    with _only(scene, camera, subject) as (stage, stand_in):
        for scene_frame in scene_frames:
            stage.frame_set(scene_frame)
            depsgraph = stage.view_layers[0].depsgraph
            evaluated = camera.evaluated_get(depsgraph)
            poses.append(_pose(evaluated.matrix_world, metres))
            intrinsics.append(_intrinsics(evaluated.data, exact_size, height))
            if stand_in is not None and subject_pose is None:
                subject_pose = np.array(stand_in.evaluated_get(depsgraph).matrix_world)
    if subject is None or subject_pose is None:
        position, forward = _assumed_subject(poses[0], np.array(scene.cursor.location) * metres)
    else:
        position, forward = _subject(subject, subject_pose, metres)
    return CameraPath(
        np.array(poses), np.array(intrinsics), width, height, scene_fps(scene), position, forward
    )


@contextmanager
def _only(
    scene: bpy.types.Scene, camera: bpy.types.Object, subject: bpy.types.Object | None
) -> Iterator[tuple[bpy.types.Scene, bpy.types.Object | None]]:
    """A temporary scene with the camera, and with an empty that follows the subject without its geometry."""
    stage = bpy.data.scenes.new("3DiMo sampling")
    stand_in = None
    try:
        stage.render.frame_map_old = scene.render.frame_map_old
        stage.render.frame_map_new = scene.render.frame_map_new
        stage.collection.objects.link(camera)
        if subject is not None:
            stand_in = bpy.data.objects.new("3DiMo subject", None)
            stage.collection.objects.link(stand_in)
            stand_in.constraints.new("COPY_TRANSFORMS").target = subject
        yield stage, stand_in
    finally:
        if stand_in is not None:
            bpy.data.objects.remove(stand_in)
        bpy.data.scenes.remove(stage)


def picture_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height of a scene's render in square pixels: another pixel aspect changes the height."""
    width, height = _exact_size(scene)
    return width, max(1, round(height))


def _exact_size(scene: bpy.types.Scene) -> tuple[int, float]:
    """As `picture_size`, with the height that another pixel aspect really gives."""
    render = scene.render
    width = int(render.resolution_x * render.resolution_percentage / 100)
    height = int(render.resolution_y * render.resolution_percentage / 100)
    return width, height * render.pixel_aspect_y / render.pixel_aspect_x


def _pose(matrix_world: np.ndarray, metres: float) -> np.ndarray:
    matrix = np.array(matrix_world)
    pose = np.eye(4)
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    pose[:3, :3] = axes @ _OPENCV_FROM_BLENDER
    pose[:3, 3] = matrix[:3, 3] * metres
    return pose


def _intrinsics(lens: bpy.types.Camera, size: tuple[int, float], num_rows: int) -> np.ndarray:
    """Sensor and shift count along the fitted side; "auto" fits the longer one, by the sensor's width.

    Args:
        lens: The camera's data.
        size: Width and height of the picture in square pixels.
        num_rows: The height as a whole number: the rows are that much closer to each other or farther apart.
    """
    width, height = size
    fits_width = lens.sensor_fit == "HORIZONTAL" or (lens.sensor_fit == "AUTO" and width >= height)
    side = width if fits_width else height
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    focal, rows = lens.lens / sensor * side, num_rows / height
    return np.array(
        [
            [focal, 0.0, width / 2 - lens.shift_x * side],
            [0.0, focal * rows, (height / 2 + lens.shift_y * side) * rows],
            [0.0, 0.0, 1.0],
        ]
    )


def _subject(subject: bpy.types.Object, pose: np.ndarray, metres: float) -> tuple[np.ndarray, np.ndarray]:
    has_extent = subject.type not in {"EMPTY", "CAMERA", "LIGHT", "SPEAKER"}
    centre = (
        np.mean([tuple(Vector(corner)) for corner in subject.bound_box], axis=0)
        if has_extent
        else np.zeros(3)
    )
    position = (pose[:3, :3] @ centre + pose[:3, 3]) * metres
    forward = -pose[:2, 1]
    length = float(np.linalg.norm(forward))
    if length < 1e-3 * float(np.linalg.norm(pose[:3, 1])):
        raise InvalidCameraPath(
            "the subject's -y axis, which says where the person faces, points straight up or down",
            given=subject.name,
            allowed="a horizontal direction",
            remedy="choose an object that is turned as the person is, or no subject",
        )
    return position, np.array([*(forward / length), 0.0])


def _assumed_subject(first_pose: np.ndarray, cursor_m: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    axis = first_pose[:3, 2]
    depth = float((cursor_m - first_pose[:3, 3]) @ axis)
    position = first_pose[:3, 3] + axis * (depth if depth > NEAREST_SUBJECT_M else DEFAULT_DISTANCE_M)
    level = float(np.linalg.norm(axis[:2]))
    # A camera that looks straight down sees no front: the facing stays unknown.
    forward = np.array([*(-axis[:2] / level), 0.0]) if level > 1e-3 else None
    return position, forward
