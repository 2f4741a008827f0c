# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent of the camera, shown in the 3D view: its path, the keyed views, the person and the words.

The lines are made when the camera is read, never while Blender draws, and kept by the scene's session-wide
id. Without a window nothing is drawn and no handler is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from bpy.props import BoolProperty
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from threedimo.camera import CameraPath
from threedimo.errors import ThreeDimoError

from .camera_reading import is_stale, keyed_frames
from .overlay_lines import OverlayLines, overlay_lines
from .redraw import redraw_views
from .shots import Shot, read_camera, single_shot
from .text_lines import wrapped

_PATH, _VIEWS, _PERSON = (0.25, 0.75, 1.0), (1.0, 0.65, 0.2), (0.45, 0.9, 0.45)
_FRESH, _STALE = 0.9, 0.35
_LINE_PX, _TEXT_PX, _MARGIN_PX = 1.5, 12, 18
_CHANGED = "Camera or frames were changed since this was read"


@dataclass
class _Held:
    """The lines of a scene's camera, and what the graphics card has of them once they were drawn."""

    lines: OverlayLines
    batches: list[tuple[Any, tuple[float, float, float]]] | None = None


_held: dict[int, _Held] = {}
_handlers: list[Any] = []


def hold(shot: Shot, path: CameraPath) -> None:
    """Show a camera that was just read from now on, in its scene.

    Args:
        shot: What was read.
        path: One pose per scene frame of the shot.
    """
    scene = shot.scene
    keyed = keyed_frames(scene, shot.camera)
    metres = scene.unit_settings.scale_length
    _held[scene.session_uid] = _Held(overlay_lines(path, shot.scene_frames.start, keyed, metres))
    redraw_views()


def is_shown(scene: bpy.types.Scene) -> bool:
    """Whether the views of a scene show its camera: it is wanted, and was read since the file was opened."""
    return scene.threedimo.show_overlay and scene.session_uid in _held


def held_lines(scene: bpy.types.Scene) -> OverlayLines | None:
    """The lines that the views of a scene show; None before its camera was read."""
    held = _held.get(scene.session_uid)
    return None if held is None else held.lines


def distance_sentence(scene: bpy.types.Scene) -> str:
    """How far away the person is sent to be, in words: "person 4.2 m away (1 unit is 0.01 m)".

    "" before the camera was read. It shows at a glance a scene whose units are not what they should be.
    """
    lines = held_lines(scene)
    if lines is None or lines.distance_m is None:
        return ""
    metres = scene.unit_settings.scale_length
    units = "" if metres == 1.0 else f" (1 unit is {metres:g} m)"
    return f"person {lines.distance_m:.3g} m away{units}"


def _shown(context: bpy.types.Context) -> _Held | None:
    """What is to be drawn in the view that is being drawn; None also where overlays are off."""
    scene, space = context.scene, context.space_data
    if not scene.threedimo.show_overlay or not space.overlay.show_overlays:
        return None
    return _held.get(scene.session_uid)


def _draw_lines() -> None:
    context = bpy.context
    held, view = _shown(context), context.region_data
    # Through the camera its own path is a line into the eye.
    if held is None or view is None or view.view_perspective == "CAMERA":
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    if held.batches is None:
        held.batches = _batches(shader, held.lines)
    alpha = _STALE if is_stale(context.scene) else _FRESH
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("viewportSize", (context.region.width, context.region.height))
    shader.uniform_float("lineWidth", _LINE_PX * context.preferences.system.ui_scale)
    for batch, colour in held.batches:
        shader.uniform_float("color", (*colour, alpha))
        batch.draw(shader)
    gpu.state.blend_set("NONE")


def _batches(shader: Any, lines: OverlayLines) -> list[tuple[Any, tuple[float, float, float]]]:
    wanted = (("LINE_STRIP", lines.path, _PATH), ("LINES", lines.views, _VIEWS))
    if len(lines.person):
        wanted += (("LINES", lines.person, _PERSON),)
    return [
        (batch_for_shader(shader, kind, {"pos": points.astype(np.float32)}), colour)
        for kind, points, colour in wanted
        if len(points) > 1
    ]


def _draw_words() -> None:
    context = bpy.context
    held, view = _shown(context), context.region_data
    if held is None or view is None:
        return
    scene, scale = context.scene, context.preferences.system.ui_scale
    stale = is_stale(scene)
    alpha = _STALE if stale else _FRESH
    font = 0
    blf.size(font, _TEXT_PX * scale)
    blf.enable(font, blf.SHADOW)
    blf.shadow(font, 3, 0.0, 0.0, 0.0, 0.8)
    if view.view_perspective != "CAMERA":
        for place, frame in held.lines.labels:
            seen = location_3d_to_region_2d(context.region, view, Vector(place))
            if seen is not None:
                _write(font, frame, seen.x - 20 * scale, seen.y + 6 * scale, (*_VIEWS, alpha))
    left, width = _free_part(context)
    lines = wrapped(scene.threedimo.camera_text, width / scale) + ([_CHANGED] if stale else [])
    for row, line in enumerate(reversed(lines)):
        below = (_MARGIN_PX + 1.5 * _TEXT_PX * row) * scale
        _write(font, line, left + _MARGIN_PX * scale, below, (1.0, 1.0, 1.0, alpha))
    blf.disable(font, blf.SHADOW)


def _write(font: int, text: str, x: float, y: float, colour: tuple[float, float, float, float]) -> None:
    blf.color(font, *colour)
    blf.position(font, x, y, 0.0)
    blf.draw(font, text)


def _free_part(context: bpy.types.Context) -> tuple[float, float]:
    """Where the view is not under the toolbar and the sidebar: its left edge and its width, in pixels."""
    widths = {region.type: region.width for region in context.area.regions}
    overlap = context.preferences.system.use_region_overlap
    left, right = (widths.get(kind, 0) if overlap else 0 for kind in ("TOOLS", "UI"))
    return left, context.region.width - left - right


class THREEDIMO_OT_show_overlay(bpy.types.Operator):
    """Show in the 3D view what is sent of the camera, or hide it."""

    bl_idname = "threedimo.show_overlay"
    bl_label = "Show What Is Sent"
    bl_description = (
        "Show in the 3D view what is sent of the camera: its path, the keyed views, where the person stands "
        "and faces, and the words"
    )
    bl_options = {"REGISTER", "UNDO"}

    show: BoolProperty(name="Show", default=True, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show it, reading the camera where it was not read since the file was opened; or hide it."""
        scene = context.scene
        if self.show and held_lines(scene) is None:
            try:
                _read(scene)
            except ThreeDimoError as error:
                self.report({"ERROR"}, str(error))
                return {"CANCELLED"}
        scene.threedimo.show_overlay = self.show
        redraw_views()
        return {"FINISHED"}


def _read(scene: bpy.types.Scene) -> None:
    shot = single_shot(scene)
    hold(shot, read_camera(shot))


@persistent
def _on_load(_file: str | Path) -> None:
    """Another file: its cameras are read when somebody asks, for one on a heavy rig can take long."""
    _held.clear()


def register() -> None:
    """Draw from now on, where there is a window."""
    bpy.utils.register_class(THREEDIMO_OT_show_overlay)
    bpy.app.handlers.load_post.append(_on_load)
    if not bpy.app.background:
        add = bpy.types.SpaceView3D.draw_handler_add
        _handlers.append(add(_draw_lines, (), "WINDOW", "POST_VIEW"))
        _handlers.append(add(_draw_words, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Draw no more, and give back what the graphics card holds."""
    while _handlers:
        bpy.types.SpaceView3D.draw_handler_remove(_handlers.pop(), "WINDOW")
    _held.clear()
    bpy.app.handlers.load_post.remove(_on_load)
    bpy.utils.unregister_class(THREEDIMO_OT_show_overlay)
