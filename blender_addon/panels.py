# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab. Drawing only: nothing here changes anything or asks the server."""

from pathlib import Path

import bpy

from threedimo.errors import ThreeDimoError

from . import filming, runtime, shots
from .camera_overlay import distance_sentence, is_shown
from .camera_reading import is_stale
from .model_menu import draw_model
from .performer import filmed_sentence
from .preferences import server_python
from .preset_menu import draw_preset
from .properties import DRIVING_INPUTS, FILMED_SOURCES
from .reference import REFERENCE_INPUTS
from .sequence import is_picture
from .session import Session
from .text_lines import wrapped

_REMEDY = "What to do: "
# What the frame of a box takes, and an icon in it.
BOX_PX = 30.0
_STALE = "Camera or frames were changed since this was read. Generate reads them anew"


def explain(layout: bpy.types.UILayout, message: str, width_px: float) -> None:
    """Show an error as what is wrong and what to do, in lines that fit the sidebar."""
    problem, _, remedy = message.partition(_REMEDY)
    column = layout.column(align=True)
    draw_lines(column, problem, width_px, "ERROR")
    draw_lines(column, remedy, width_px, "INFO")


def draw_lines(layout: bpy.types.UILayout, text: str, width_px: float, icon: str) -> None:
    """Draw a text in lines that fit, with an icon before the first."""
    if not text:
        return  # even an empty column takes room
    column = layout.column(align=True)
    for index, line in enumerate(wrapped(text, width_px)):
        column.label(text=line, icon=icon if index == 0 else "BLANK1")


def text_width_px(context: bpy.types.Context) -> float:
    """How wide the sidebar is, in pixels of an unscaled interface."""
    return context.region.width / context.preferences.system.ui_scale


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
        column.prop(settings, "reference_source")
        if REFERENCE_INPUTS[settings.reference_source]:
            _draw_input(column, settings, REFERENCE_INPUTS[settings.reference_source])
        column.prop(settings, "driving_source")
        _draw_input(column, settings, DRIVING_INPUTS[settings.driving_source])
        if settings.driving_source == "FILE" and is_picture(Path(settings.driving_footage)):
            column.prop(settings, "driving_fps")
        if settings.driving_source == "OBJECT" and settings.driving_object is not None:
            sentence = filmed_sentence(context.scene, settings.driving_object)
            draw_lines(column, sentence, width_px, "VIEW_CAMERA")
        column.prop(settings, "camera", text="Camera")
        self._draw_text(layout, context.scene, width_px)
        self._draw_length(layout, context.scene, session, width_px)
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = session is not None and session.connected
        row.operator("threedimo.generate", icon="RENDER_ANIMATION")
        self._draw_filming(layout, context.scene, width_px)

    def _draw_text(self, layout: bpy.types.UILayout, scene: bpy.types.Scene, width_px: float) -> None:
        box, settings = layout.box(), scene.threedimo
        row = box.row()
        row.prop(settings, "use_custom_text")
        row.operator("threedimo.read_camera", text="", icon="FILE_REFRESH")
        shown = is_shown(scene)
        row.operator("threedimo.show_overlay", text="", icon="OVERLAY", depress=shown).show = not shown
        if settings.use_custom_text:
            box.prop(settings, "camera_text", text="")
            return
        stale = is_stale(scene)
        if stale:
            draw_lines(box, _STALE, width_px - BOX_PX, "INFO")
        column = box.column(align=True)
        column.active = not stale
        text = settings.camera_text or "Read the camera to see its text."
        for line in (*wrapped(text, width_px), distance_sentence(scene)):
            if line:
                column.label(text=line)

    def _draw_length(
        self, layout: bpy.types.UILayout, scene: bpy.types.Scene, session: Session | None, width_px: float
    ) -> None:
        if session is None or session.capabilities is None or not session.connected:
            _draw_no_server(layout, session, width_px)
            return
        try:
            shots.single_shot(scene)  # what Generate would refuse is said before
            sentence = shots.plan_shot(scene, session.capabilities).sentence()
            result = shots.scene_result(scene, shots.scene_model(scene, session.capabilities)).sentence()
        except ThreeDimoError as error:
            explain(layout, str(error), width_px)
            return
        draw_lines(layout, sentence, width_px, "TIME")
        draw_lines(layout, result, width_px, "IMAGE_DATA")

    def _draw_filming(self, layout: bpy.types.UILayout, scene: bpy.types.Scene, width_px: float) -> None:
        for clip in filming.waiting():
            row = layout.row(align=True)
            row.progress(factor=clip.fraction, text=f"{clip.label}: {clip.sentence()}", type="BAR")
            row.operator("threedimo.cancel", text="", icon="CANCEL").job_id = clip.job_id
        problem = filming.problem(scene)
        if problem is not None:
            label, error = problem
            explain(layout, f"{label}: {error}", width_px)


def _draw_input(column: bpy.types.UILayout, settings: bpy.types.PropertyGroup, name: str) -> None:
    """An input below the choice of its kind, as wide as the sidebar: the ends of paths tell them apart."""
    row = column.row()
    row.use_property_split = False
    row.prop(settings, name, text="")


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
    else:
        row.operator("preferences.addon_show", text="Set Up", icon="PREFERENCES").module = __package__


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
        if settings.driving_source not in FILMED_SOURCES:  # what is filmed begins with the shot
            layout.prop(settings, "driving_start_s")
        layout.prop(settings, "seed")
        session = runtime.current_session()
        if session is not None and session.capabilities is not None:
            draw_model(layout, context.scene, session.capabilities)
            layout.prop(settings, "size_preset")
            draw_preset(layout, context.scene, session.capabilities)
        if runtime.local_server.runs:
            layout.operator("threedimo.stop_server", icon="PAUSE")


CLASSES = (THREEDIMO_PT_shot, THREEDIMO_PT_details)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
