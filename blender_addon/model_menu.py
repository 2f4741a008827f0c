# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the server's models makes the shots of a scene: shown, and chosen where there are several."""

import bpy
from bpy.props import StringProperty

from threedimo.wire.messages import Capabilities, ModelInfo

from . import runtime


def draw_model(layout: bpy.types.UILayout, scene: bpy.types.Scene, capabilities: Capabilities) -> None:
    """Draw the scene's model, as a menu if there is something to choose."""
    model_id = scene.threedimo.model_id or capabilities.models[0].id
    found = [words(model) for model in capabilities.models if model.id == model_id]
    text = found[0] if found else f"{model_id} (not on this server)"
    if found and len(capabilities.models) == 1:
        layout.label(text=f"Model: {text}")
        return
    # Below each other: beside its heading only the beginning of a name would be seen.
    column = layout.column(align=True)
    column.label(text="Model:")
    column.menu("THREEDIMO_MT_model", text=text)


def words(model: ModelInfo) -> str:
    """A model in a line."""
    untrained = "" if model.trained else " (not trained)"
    return f"{model.id}, {model.width} x {model.height}{untrained}"


class THREEDIMO_OT_choose_model(bpy.types.Operator):
    """Let one of the server's models make the shots of this scene."""

    bl_idname = "threedimo.choose_model"
    bl_label = "Choose Model"
    bl_description = "Let this model make the next shots of this scene"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    model_id: StringProperty(name="Model", description="One of the server's models; empty means its first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Note it in the scene."""
        context.scene.threedimo.model_id = self.model_id
        return {"FINISHED"}


class THREEDIMO_MT_model(bpy.types.Menu):
    """The models of the server that is connected."""

    bl_idname = "THREEDIMO_MT_model"
    bl_label = "Model"

    def draw(self, _context: bpy.types.Context) -> None:
        """List them."""
        session = runtime.current_session()
        if session is None or session.capabilities is None:
            return
        for model in session.capabilities.models:
            self.layout.operator("threedimo.choose_model", text=words(model)).model_id = model.id


CLASSES = (THREEDIMO_OT_choose_model, THREEDIMO_MT_model)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
