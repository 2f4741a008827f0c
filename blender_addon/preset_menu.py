# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of its model's presets makes the shots of a scene: shown, and chosen from what the server tells."""

import bpy
from bpy.props import StringProperty
from msgspec.structs import replace

from threedimo.errors import ModelNotFound
from threedimo.wire.messages import Capabilities, ModelInfo, Preset
from threedimo.wire.preset_names import own_numbers

from . import runtime
from .result_presets import preset_words
from .shots import scene_model


def draw_preset(layout: bpy.types.UILayout, scene: bpy.types.Scene, capabilities: Capabilities) -> None:
    """Draw the scene's preset as a menu, if the server has the scene's model."""
    try:
        model = scene_model(scene, capabilities)
    except ModelNotFound:
        return  # the menu of models says so
    name = scene.threedimo.preset
    found = [words(preset) for preset in (own_numbers(model), *model.presets) if preset.name == name]
    row = layout.row(heading="Preset")
    row.menu("THREEDIMO_MT_preset", text=found[0] if found else f"{name} (not of this model)")


def words(preset: Preset) -> str:
    """A preset in a line."""
    return preset_words(preset.name or "Model's Own", preset.num_inference_steps, preset.step_cache)


def offered(model: ModelInfo) -> list[Preset]:
    """The model's own numbers and its presets, without one that only gives those numbers a name."""
    own = own_numbers(model)
    return [own, *(preset for preset in model.presets if replace(preset, name="") != own)]


class THREEDIMO_OT_choose_preset(bpy.types.Operator):
    """Let the shots of this scene be made by a preset of its model."""

    bl_idname = "threedimo.choose_preset"
    bl_label = "Choose Preset"
    bl_description = "Make the next shots of this scene so"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    preset: StringProperty(name="Preset", description="One of the model's; empty means its own numbers")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Note it in the scene."""
        context.scene.threedimo.preset = self.preset
        return {"FINISHED"}


class THREEDIMO_MT_preset(bpy.types.Menu):
    """The presets of the scene's model."""

    bl_idname = "THREEDIMO_MT_preset"
    bl_label = "Preset"

    def draw(self, context: bpy.types.Context) -> None:
        """List them."""
        session = runtime.current_session()
        if session is None or session.capabilities is None:
            return
        for preset in offered(scene_model(context.scene, session.capabilities)):
            self.layout.operator("threedimo.choose_preset", text=words(preset)).preset = preset.name


CLASSES = (THREEDIMO_OT_choose_preset, THREEDIMO_MT_preset)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
