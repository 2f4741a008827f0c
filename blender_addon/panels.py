# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab. Drawing only: nothing here changes anything or asks the server."""

from pathlib import Path

import bpy

from threedimo.errors import ThreeDimoError

from . import runtime, shots
from .preferences import server_python
from .sequence import is_picture
from .session import Session

_WORDS_PER_LINE_PX = 7.0
_REMEDY = "What to do: "


def explain(layout: bpy.types.UILayout, message: str, width_px: float) -> None:
    """Show an error as what is wrong and what to do, in lines that fit the sidebar."""
    problem, _, remedy = message.partition(_REMEDY)
    column = layout.column(align=True)
    for text, icon in ((problem, "ERROR"), (remedy, "INFO")):
        for index, line in enumerate(wrapped(text.strip(), width_px)):
            column.label(text=line, icon=icon if index == 0 else "BLANK1")


def text_width_px(context: bpy.types.Context) -> float:
    """How wide the sidebar is, in pixels of an unscaled interface."""
    return context.region.width / context.preferences.system.ui_scale


def wrapped(text: str, width_px: float) -> list[str]:
    """The text in lines that fit."""
    most = max(20, int(width_px / _WORDS_PER_LINE_PX) - 4)
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


class Tab:
    """Where every panel of ours is."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "3DiMo"


class THREEDIMO_PT_shot(Tab, bpy.types.Panel):
    """Three inputs and one button."""

    bl_idname = "THREEDIMO_PT_shot"
    bl_label = "3DiMo"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the shot."""
        layout = self.layout
        settings = context.scene.threedimo
        width_px = text_width_px(context)
        session = runtime.current_session()
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "reference_image")
        column.prop(settings, "driving_footage")
        if is_picture(Path(settings.driving_footage)):
            column.prop(settings, "driving_fps")
        column.prop(settings, "camera", text="Camera")
        self._draw_text(layout, settings, width_px)
        self._draw_length(layout, context.scene, session, width_px)
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = session is not None and session.connected
        row.operator("threedimo.generate", icon="RENDER_ANIMATION")

    def _draw_text(self, layout: bpy.types.UILayout, settings, width_px: float) -> None:
        box = layout.box()
        row = box.row()
        row.prop(settings, "use_custom_text")
        row.operator("threedimo.read_camera", text="", icon="FILE_REFRESH")
        if settings.use_custom_text:
            box.prop(settings, "camera_text", text="")
            return
        column = box.column(align=True)
        for line in wrapped(settings.camera_text or "Read the camera to see its text.", width_px):
            column.label(text=line)

    def _draw_length(
        self, layout: bpy.types.UILayout, scene: bpy.types.Scene, session: Session | None, width_px: float
    ) -> None:
        if session is None or session.capabilities is None or not session.connected:
            _draw_no_server(layout, session, width_px)
            return
        try:
            sentence = shots.plan_shot(scene, session.capabilities).sentence()
        except ThreeDimoError as error:
            explain(layout, str(error), width_px)
            return
        column = layout.column(align=True)
        for index, line in enumerate(wrapped(sentence, width_px)):
            column.label(text=line, icon="TIME" if index == 0 else "BLANK1")


def _draw_no_server(layout: bpy.types.UILayout, session: Session | None, width_px: float) -> None:
    problem = runtime.local_server.problem or (session.problem if session is not None else None)
    if runtime.local_server.runs:
        layout.label(text="The server starts...", icon="TIME")
    else:
        explain(layout, str(problem) if problem else "Looking for the server...", width_px)
    row = layout.row(align=True)
    row.operator("threedimo.connect", icon="LINKED")
    if server_python():
        row.operator("threedimo.start_server", icon="PLAY")


class THREEDIMO_PT_details(Tab, bpy.types.Panel):
    """What most shots leave as it is."""

    bl_idname = "THREEDIMO_PT_details"
    bl_label = "Details"
    bl_parent_id = "THREEDIMO_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw subject, start and seed, and what the server's model is."""
        layout = self.layout
        settings = context.scene.threedimo
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "subject")
        layout.prop(settings, "driving_start_s")
        layout.prop(settings, "seed")
        session = runtime.current_session()
        if session is not None and session.capabilities is not None:
            model = session.capabilities.models[0]
            layout.label(text=f"Model: {model.id}, {model.width} x {model.height}")
        if runtime.local_server.runs:
            layout.operator("threedimo.stop_server", icon="PAUSE")


CLASSES = (THREEDIMO_PT_shot, THREEDIMO_PT_details)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
