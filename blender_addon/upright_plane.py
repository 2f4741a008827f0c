# SPDX-License-Identifier: GPL-3.0-or-later
"""A plane that stands upright where the subject stands, with the result thrown onto it from the camera.

Through the camera it fills the picture as any other plane does, whatever the camera does: each corner of its
grid lies where the camera's ray meets the upright. From anywhere else the performer is seen to stand at its
place in the set. Its shape, one for each frame, is kept in absolute shape keys.
"""

from __future__ import annotations

import bpy
import numpy as np

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath

from .timeline import FrameMapping

# Inside a cell the picture is stretched evenly, which it is not quite: so many cells keep that below a pixel.
CELLS = 16
# A ray that meets the upright farther away than this many distances hardly meets it at all.
_FARTHEST = 20.0
_MARK = "threedimo_upright"


def upright_points(path: CameraPath, metres: float) -> np.ndarray:
    """Where the corners of the grid are in each frame.

    Args:
        path: With a subject.
        metres: Metres per scene unit.

    Returns:
        Points `(F, (CELLS + 1) ** 2, 3)` in scene units, row by row from the picture's lower left.

    Raises:
        InvalidCameraPath: There is no subject, or the camera looks so steeply that an upright plane does not
            fill its picture.
    """
    if path.subject_position is None:
        raise InvalidCameraPath("the camera path has no subject where a plane could stand")
    sides = np.linspace(0.0, 1.0, CELLS + 1)
    across, up = np.meshgrid(sides * path.width, (1.0 - sides) * path.height)
    pixels = np.column_stack([across.ravel(), up.ravel(), np.ones(across.size)])
    rays = np.einsum("fij,fjk,nk->fni", path.rotations, np.linalg.inv(path.intrinsics), pixels)
    to_subject = path.subject_position - path.positions
    towards = to_subject * [1.0, 1.0, 0.0]
    distance = np.linalg.norm(to_subject, axis=1)[:, None]
    ahead = np.einsum("fni,fi->fn", rays, towards)
    reach = np.linalg.norm(towards, axis=1)[:, None] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = reach / ahead
    far = lengths * np.linalg.norm(rays, axis=2)
    meets = ((ahead > 0) & (far < _FARTHEST * distance)).all(axis=1)
    if not meets.all():
        raise InvalidCameraPath(
            "the camera looks too steeply at the subject for a plane that stands upright",
            given=f"frame {int(np.argmin(meets))} of the shot, counted from 0",
            remedy="place the plane at the subject instead",
        )
    return (path.positions[:, None] + rays * lengths[..., None]) / metres


def stand_upright(
    plane: bpy.types.Object, points: np.ndarray, mapping: FrameMapping, frame_current: int
) -> None:
    """Give a plane the shape of these points, frame by frame; it follows no camera any more.

    Args:
        plane: Made by `make_plane`, without keys of its place.
        points: As `upright_points` gives them.
        mapping: Which scene frames the shot has.
        frame_current: The scene frame that is shown.
    """
    origin = points[0].mean(axis=0)
    mesh = _grid(plane.name, points[0] - origin)
    replace_mesh(plane, mesh)
    _follow_camera(plane, follow=False)
    plane.location, plane.scale = origin, (1.0, 1.0, 1.0)
    if np.ptp(points, axis=0).max() < 1e-6 * np.abs(points).max():
        return
    for shape in points - origin:
        key = plane.shape_key_add(name="Frame", from_mix=False)
        key.data.foreach_set("co", shape.astype(np.float32).ravel())
        key.interpolation = "KEY_LINEAR"
    keys = mesh.shape_keys
    keys.use_relative = False
    for j, key in enumerate(keys.key_blocks):
        keys.eval_time = key.frame
        keys.keyframe_insert("eval_time", frame=mapping.frame_start + j)
    # Blender looks at keys when the frame changes, and not before.
    shown = min(max(frame_current - mapping.frame_start, 0), len(points) - 1)
    keys.eval_time = keys.key_blocks[shown].frame


def is_upright(plane: bpy.types.Object) -> bool:
    """Whether a plane has the shape of `stand_upright`."""
    return _MARK in plane.data


def lie_down(plane: bpy.types.Object, mesh: bpy.types.Mesh) -> None:
    """Give a plane a plain mesh again, and let it follow its camera."""
    replace_mesh(plane, mesh)
    _follow_camera(plane, follow=True)


def replace_mesh(plane: bpy.types.Object, mesh: bpy.types.Mesh) -> None:
    """Give a plane another mesh with the same material; the one before goes if nothing else uses it."""
    before = plane.data
    for material in before.materials:
        mesh.materials.append(material)
    plane.data = mesh
    discard_mesh(before)


def discard_mesh(mesh: bpy.types.Mesh) -> None:
    """Remove a mesh that nothing uses, and the keys of its shapes."""
    if mesh.users:
        return
    animation = mesh.shape_keys.animation_data if mesh.shape_keys is not None else None
    action = animation.action if animation is not None else None
    bpy.data.meshes.remove(mesh)
    if action is not None and not action.users:
        bpy.data.actions.remove(action)


def _follow_camera(plane: bpy.types.Object, *, follow: bool) -> None:
    for constraint in plane.constraints:
        if constraint.type == "CHILD_OF":
            constraint.mute = not follow


def _grid(name: str, points: np.ndarray) -> bpy.types.Mesh:
    wide = CELLS + 1
    corners = [row * wide + column for row in range(CELLS) for column in range(CELLS)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points.tolist(), [], [(i, i + 1, i + wide + 1, i + wide) for i in corners])
    uvs = mesh.uv_layers.new(name="UVMap").data
    for loop, uv in zip(mesh.loops, uvs, strict=True):
        row, column = divmod(loop.vertex_index, wide)
        uv.uv = (column / CELLS, row / CELLS)
    mesh[_MARK] = True
    return mesh
