# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames as a plane in the scene, fitted to the camera's frustum at the subject's distance.

The size comes from the camera path that was sent, not from the camera as it is now, and is keyed where the
lens or the distance changes. The plane follows the camera by a Child Of constraint without scale: a camera's
view has none, but a child would inherit that of the camera's parents.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath

from .timeline import FrameMapping

COLLECTION_NAME = "3DiMo"

# A plane nearer than this many clip starts would be cut or swallow the view.
_CLEARANCE = 2.0


def make_plane(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    frames: Path,
    path: CameraPath,
    mapping: FrameMapping,
    name: str,
) -> bpy.types.Object:
    """Put frames on a plane before the camera, and hide the planes that this camera had before.

    Args:
        scene: Where the plane goes, into the collection "3DiMo".
        camera: What the plane follows.
        frames: Folder with `00000.png` and on, one for every scene frame of the shot.
        path: The camera as it was sent, one pose per scene frame, cropped to the frames' size (`for_size`).
        mapping: Which scene frames the shot has.
        name: Name of the new object, mesh, material and image.
    """
    collection = _collection(scene)
    for other in collection.objects:
        if any(
            constraint.type == "CHILD_OF" and constraint.target == camera for constraint in other.constraints
        ):
            other.hide_viewport = other.hide_render = True
    plane = bpy.data.objects.new(name, _quad(name))
    collection.objects.link(plane)
    plane.data.materials.append(_material(name, frames, mapping))
    # It shows light and casts none: the scene's own lighting stays as it is.
    plane.visible_diffuse = plane.visible_glossy = plane.visible_transmission = False
    plane.visible_volume_scatter = plane.visible_shadow = False
    constraint = plane.constraints.new("CHILD_OF")
    constraint.target = camera
    constraint.use_scale_x = constraint.use_scale_y = constraint.use_scale_z = False
    constraint.set_inverse_pending = False
    constraint.inverse_matrix = Matrix.Identity(4)
    nearest = _CLEARANCE * camera.data.clip_start
    _place(plane, *frustum_quad(path, scene.unit_settings.scale_length, nearest), mapping)
    return plane


def frustum_quad(path: CameraPath, metres: float, nearest: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a unit quad goes in the camera's own Blender axes to fill the picture at the subject's distance.

    Args:
        path: With a subject. If the camera comes too near to it or passes it, the first frame's distance
            holds for the whole shot.
        metres: Metres per scene unit.
        nearest: The smallest allowed distance in scene units.

    Raises:
        InvalidCameraPath: The path has no subject.

    Returns:
        Centres `(F, 3)` and sizes `(F, 2)` in scene units.
    """
    if path.subject_position is None:
        raise InvalidCameraPath("the camera path has no subject, and so the plane no distance")
    to_subject = path.subject_position - path.positions
    depths = np.einsum("fi,fi->f", to_subject, path.rotations[:, :, 2]) / metres
    if depths.min() < nearest:
        depths = np.full_like(depths, max(float(depths[0]), nearest))
    focal = path.intrinsics[:, [0, 1], [0, 1]]
    size_px = np.array([path.width, path.height])
    centre = (size_px / 2 - path.intrinsics[:, :2, 2]) / focal * depths[:, None]
    centres = np.column_stack([centre[:, 0], -centre[:, 1], -depths])
    return centres, size_px / focal * depths[:, None]


def _place(plane: bpy.types.Object, centres: np.ndarray, sizes: np.ndarray, mapping: FrameMapping) -> None:
    rows = np.column_stack([centres, sizes])
    changes = bool(np.any(np.ptp(rows, axis=0) > 1e-6 * np.abs(rows).max()))
    for j in range(len(rows) if changes else 1):
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


def _material(name: str, frames: Path, mapping: FrameMapping) -> bpy.types.Material:
    image = bpy.data.images.load(_stored_path(frames / "00000.png"))
    image.name = name
    image.source = "SEQUENCE"
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # Blender 5 gives every material its nodes
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    picture = tree.nodes.new("ShaderNodeTexImage")
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    picture.location, emission.location = (-600, 0), (-250, 0)
    picture.image = image
    picture.extension = "EXTEND"
    tree.links.new(picture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    tree.nodes.active = picture  # what Workbench shows
    # Before and after the shot Blender clamps to 0 and to the duration. With files from 00000 on and an
    # offset of -1 both ends name a file that is there; any other pair renders magenta on one side.
    user = picture.image_user
    user.frame_start = mapping.frame_start
    user.frame_duration = mapping.num_scene_frames
    user.frame_offset = -1
    user.use_cyclic = False
    user.use_auto_refresh = True
    return material


def _stored_path(path: Path) -> str:
    """Relative to the .blend where that is saved beside the frames, so that both can move together."""
    if bpy.data.is_saved and Path(bpy.data.filepath).parent in path.parents:
        return bpy.path.relpath(str(path))
    return str(path)
