# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames as a plane in the scene, fitted to the camera: at the subject, before everything, or upright.

The size comes from the camera path that was sent, not from the camera as it is now, and is keyed where the
lens or the distance changes. The plane follows the camera by a Child Of constraint without scale: a camera's
view has none, but a child would inherit that of the camera's parents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath

from .plane_material import make_material
from .timeline import FrameMapping
from .upright_plane import discard_mesh, is_upright, lie_down, stand_upright, upright_points

COLLECTION_NAME = "3DiMo"

# A plane at the subject that is nearer than this many clip starts would be cut or swallow the view.
_CLEARANCE = 2.0
# One before everything, in clip starts: at 1 rounding would let it flicker.
_FOREMOST = 1.1

PlanePlace = Literal["SUBJECT", "FOREMOST", "UPRIGHT"]
Visibility = Literal["always", "shot", "hidden"]


def make_plane(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    name: str,
) -> bpy.types.Object:
    """A new plane that follows a camera and shows plain grey; it needs to be fitted.

    Args:
        scene: Where the plane goes, into the collection "3DiMo".
        camera: What the plane follows.
        name: Name of the new object, mesh and material.
    """
    plane = bpy.data.objects.new(name, _quad(name))
    _collection(scene).objects.link(plane)
    plane.data.materials.append(make_material(name))
    # It shows light and casts none: the scene's own lighting stays as it is.
    plane.visible_diffuse = plane.visible_glossy = plane.visible_transmission = False
    plane.visible_volume_scatter = plane.visible_shadow = False
    constraint = plane.constraints.new("CHILD_OF")
    constraint.target = camera
    constraint.use_scale_x = constraint.use_scale_y = constraint.use_scale_z = False
    constraint.set_inverse_pending = False
    constraint.inverse_matrix = Matrix.Identity(4)
    return plane


def fit_plane(
    plane: bpy.types.Object,
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    path: CameraPath,
    mapping: FrameMapping,
    place: PlanePlace = "SUBJECT",
) -> None:
    """Fit a plane to the camera as it was sent, in place of what it was fitted to before.

    Args:
        plane: Made by `make_plane`.
        scene: Where it is.
        camera: What it follows.
        path: The camera as it was sent, one pose per scene frame, cropped to the frames' size (`for_size`).
        mapping: Which scene frames the shot has.
        place: As far away as the subject; just beyond the camera's clip start, where nothing hides it; or
            upright where the subject stands, see `upright_plane`.

    Raises:
        InvalidCameraPath: The path has no subject, or looks too steeply at it for an upright plane.
    """
    clip_start, metres = camera.data.clip_start, scene.unit_settings.scale_length
    if place == "UPRIGHT":
        points = upright_points(path, metres)
        _delete_keys(plane, ("location", "scale"), _shot_frames(mapping))
        stand_upright(plane, points, mapping, scene.frame_current)
        return
    if place == "FOREMOST":
        depths = np.full(path.num_frames, _FOREMOST * clip_start)
    else:
        depths = subject_depths(path, metres, _CLEARANCE * clip_start)
    _delete_keys(plane, ("location", "scale"), _shot_frames(mapping))
    if is_upright(plane):
        lie_down(plane, _quad(plane.name))
    _place(plane, *frustum_quad(path, depths), mapping, scene.frame_current)


def set_visibility(
    plane: bpy.types.Object, scene: bpy.types.Scene, mapping: FrameMapping, visibility: Visibility
) -> None:
    """Show a plane of a scene always, in the frames of its shot only, or never."""
    edges = (mapping.frame_start - 1, mapping.frame_start, mapping.frame_end + 1)
    _delete_keys(plane, ("hide_viewport", "hide_render"), edges)
    plane.hide_viewport = plane.hide_render = visibility == "hidden"
    if visibility != "shot":
        return
    for scene_frame in edges:
        plane.hide_viewport = plane.hide_render = scene_frame != mapping.frame_start
        plane.keyframe_insert("hide_viewport", frame=scene_frame)
        plane.keyframe_insert("hide_render", frame=scene_frame)
    inside = mapping.frame_start <= scene.frame_current <= mapping.frame_end
    plane.hide_viewport = plane.hide_render = not inside  # Blender looks at keys when the frame changes


def remove_plane(plane: bpy.types.Object) -> None:
    """Delete a plane and what nothing else uses of it; the files stay."""
    mesh, material = plane.data, plane.active_material
    tree = material.node_tree if material is not None else None
    images = [node.image for node in tree.nodes if node.type == "TEX_IMAGE"] if tree is not None else []
    bpy.data.objects.remove(plane)
    discard_mesh(mesh)
    if material is not None and not material.users:
        bpy.data.materials.remove(material)
    for image in images:
        if image is not None and not image.users:
            bpy.data.images.remove(image)


def subject_depths(path: CameraPath, metres: float, nearest: float) -> np.ndarray:
    """How far away the subject is along the camera's axis, in each frame.

    Args:
        path: With a subject. If the camera comes too near to it or passes it, the first frame's distance
            holds for the whole shot.
        metres: Metres per scene unit.
        nearest: The smallest allowed distance in scene units.

    Raises:
        InvalidCameraPath: The path has no subject.

    Returns:
        Distances `(F,)` in scene units.
    """
    if path.subject_position is None:
        raise InvalidCameraPath("the camera path has no subject, and so the plane no distance")
    to_subject = path.subject_position - path.positions
    depths = np.einsum("fi,fi->f", to_subject, path.rotations[:, :, 2]) / metres
    if depths.min() < nearest:
        return np.full_like(depths, max(float(depths[0]), nearest))
    return depths


def frustum_quad(path: CameraPath, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a unit quad goes in the camera's own Blender axes to fill the picture at these distances.

    Args:
        path: The camera.
        depths: Distances `(F,)` along its axis in scene units.

    Returns:
        Centres `(F, 3)` and sizes `(F, 2)` in scene units.
    """
    focal = path.intrinsics[:, [0, 1], [0, 1]]
    size_px = np.array([path.width, path.height])
    centre = (size_px / 2 - path.intrinsics[:, :2, 2]) / focal * depths[:, None]
    centres = np.column_stack([centre[:, 0], -centre[:, 1], -depths])
    return centres, size_px / focal * depths[:, None]


def _place(
    plane: bpy.types.Object,
    centres: np.ndarray,
    sizes: np.ndarray,
    mapping: FrameMapping,
    frame_current: int,
) -> None:
    rows = np.column_stack([centres, sizes])
    changes = bool(np.any(np.ptp(rows, axis=0) > 1e-6 * np.abs(rows).max()))
    # The frame that is shown comes last: Blender looks at keys when the frame changes, and not before.
    shown = min(max(frame_current - mapping.frame_start, 0), len(rows) - 1)
    for j in (*range(len(rows)), shown) if changes else (0,):
        plane.location = centres[j]
        plane.scale = (*sizes[j], 1.0)
        if changes:
            plane.keyframe_insert("location", frame=mapping.frame_start + j)
            plane.keyframe_insert("scale", frame=mapping.frame_start + j)


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    for child in scene.collection.children:
        if child.name.partition(".")[0] == COLLECTION_NAME:
            return child
    collection = bpy.data.collections.new(COLLECTION_NAME)
    scene.collection.children.link(collection)
    return collection


def _quad(name: str) -> bpy.types.Mesh:
    """A square of side 1 in x and y that faces +z, towards a camera whose child it is."""
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(u - 0.5, v - 0.5, 0.0) for u, v in corners], [], [(0, 1, 2, 3)])
    for loop, corner in zip(mesh.uv_layers.new(name="UVMap").data, corners, strict=True):
        loop.uv = corner
    return mesh


def _shot_frames(mapping: FrameMapping) -> range:
    return range(mapping.frame_start, mapping.frame_end + 1)


def _delete_keys(plane: bpy.types.Object, paths: tuple[str, ...], scene_frames: Iterable[int]) -> None:
    """Take our own keys away, at the frames where we set them; the user's at other frames stay."""
    if plane.animation_data is None or plane.animation_data.action is None:
        return
    for scene_frame in scene_frames:
        for path in paths:
            plane.keyframe_delete(path, frame=scene_frame)
