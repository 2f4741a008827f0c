# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots that a person lists one by one, where neither markers nor the frame range say what they are."""

import bpy
from bpy.props import IntProperty, StringProperty

from threedimo.errors import InvalidCameraPath, InvalidRequest, ThreeDimoError

from .operators import report
from .scene_camera import shot_camera


def draw_list(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Draw the listed shots of a scene, and the button that adds one."""
    for index, listed in enumerate(scene.threedimo.listed_shots):
        box = layout.box().column(align=True)
        row = box.row(align=True)
        row.prop(listed, "name", text="")
        row.prop(listed, "camera", text="")
        row.operator("threedimo.unlist_shot", text="", icon="X").index = index
        row = box.row(align=True)
        row.prop(listed, "frame_start")
        row.prop(listed, "frame_end")
    layout.operator("threedimo.list_shot", icon="ADD")


class THREEDIMO_OT_list_shot(bpy.types.Operator):
    """Add a shot to the list of the scene."""

    bl_idname = "threedimo.list_shot"
    bl_label = "Add Shot to List"
    bl_description = (
        "Add the scene's frame range and camera, as they are now, to the list of shots. A scene with a list "
        "is cut by it instead of by its markers"
    )
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(name="Name", description="Empty for the camera's", options={"SKIP_SAVE"})
    camera: StringProperty(
        name="Camera", description="An object's name; empty for the one of the panel", options={"SKIP_SAVE"}
    )
    frame_start: IntProperty(name="Start", description="First frame", options={"SKIP_SAVE"})
    frame_end: IntProperty(name="End", description="Last frame", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add it; what is not given is the scene's own."""
        scene = context.scene
        given = self.properties.is_property_set
        try:
            camera = _camera_named(scene, self.camera)
        except ThreeDimoError as error:
            return report(self, error)
        listed = scene.threedimo.listed_shots.add()
        listed.name, listed.camera = self.name or camera.name, camera
        listed.frame_start = self.frame_start if given("frame_start") else scene.frame_start
        listed.frame_end = self.frame_end if given("frame_end") else scene.frame_end
        return {"FINISHED"}


class THREEDIMO_OT_unlist_shot(bpy.types.Operator):
    """Take a shot off the list of the scene."""

    bl_idname = "threedimo.unlist_shot"
    bl_label = "Take Shot off List"
    bl_description = "Take this shot off the list. What was made of it stays"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Index", description="Its place in the list", min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it off."""
        shots = context.scene.threedimo.listed_shots
        if self.index >= len(shots):
            error = InvalidRequest(
                "the list has no such shot", given=self.index, allowed=f"less than {len(shots)}"
            )
            return report(self, error)
        shots.remove(self.index)
        return {"FINISHED"}


def _camera_named(scene: bpy.types.Scene, name: str) -> bpy.types.Object:
    if not name:
        return shot_camera(scene, scene.threedimo.camera)
    camera = scene.objects.get(name)
    if camera is None or camera.type != "CAMERA":
        raise InvalidCameraPath("the scene has no such camera", given=name)
    return camera


CLASSES = (THREEDIMO_OT_list_shot, THREEDIMO_OT_unlist_shot)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
