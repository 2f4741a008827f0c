# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene remembers: the inputs of its shot, and what was made of them.

Blender reads these annotations as they stand: no `from __future__ import annotations` here.
"""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .result_presets import SIZE_PRESETS

# Paths beside the .blend start with //; from 4.5 on Blender asks for such a property to say so.
_PATH_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()

# The input that each choice of where the motion comes from asks for.
DRIVING_INPUTS = {
    "FILE": "driving_footage",
    "OBJECT": "driving_object",
    "COLLECTION": "driving_collection",
    "CLIP": "driving_clip",
}
FILMED_SOURCES = frozenset({"OBJECT", "COLLECTION"})

# As `image_plane.PlanePlace`.
PLANE_PLACES = (
    ("SUBJECT", "At the Subject", "As far away as the subject; what stands before it hides it"),
    (
        "FOREMOST",
        "Before Everything",
        "Just beyond the camera's clip start: nothing hides it, it hides all else, depth of field blurs it",
    ),
    (
        "UPRIGHT",
        "Upright",
        "Stands upright where the subject stands, to be looked at from anywhere; through the camera it fills "
        "the picture",
    ),
)


def _is_picture(_settings: bpy.types.PropertyGroup, candidate: bpy.types.Image) -> bool:
    return candidate.type not in {"RENDER_RESULT", "COMPOSITING"}


def _is_camera(_settings: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.type == "CAMERA"


class ThreeDimoTake(bpy.types.PropertyGroup):
    """A job of this scene: enough to ask for it again, to place its frames, and to make another like it."""

    job_id: StringProperty()
    label: StringProperty()
    number: IntProperty(description="Counts the takes of a shot; never given twice")
    # In full, so that it stays right when the file is saved elsewhere while the job runs.
    folder: StringProperty(description="Where its files are")
    state: StringProperty()
    message: StringProperty(description="What is wrong with it")
    seq: IntProperty(description="The last event of the server that was seen")
    scene_fps: FloatProperty(min=0.0001, default=24.0)
    num_frames: IntProperty(min=1, default=1)
    placed: BoolProperty(description="The frames were put into the scene once")
    queued_at: StringProperty(description="When it was queued (UTC)")
    seed: IntProperty()
    text: StringProperty()
    camera_hash: StringProperty(description="Equal for equal camera work")
    model_id: StringProperty(description="Which model made it; empty until it is done")
    made_as: StringProperty(description="Size of its frames, preset and denoising steps, in words")
    same_as: IntProperty(
        description="Number of the take of its shot that was asked for exactly so; 0 for none"
    )


class ThreeDimoShot(bpy.types.PropertyGroup):
    """A camera over some scene frames, and everything that was made for it."""

    camera: PointerProperty(type=bpy.types.Object)
    frame_start: IntProperty()
    num_scene_frames: IntProperty(min=1, default=1)
    is_cut: BoolProperty(description="One of several shots: its plane is seen in its own frames only")
    plane: PointerProperty(type=bpy.types.Object)
    plane_place: EnumProperty(name="Plane", description="How far away the plane is", items=PLANE_PLACES)
    shown: StringProperty(description="Job id of the take on the plane")
    previewed: StringProperty(description="Job id of the take that is on the plane as it denoises")
    plane_hidden: BoolProperty(description="A shot of its camera with some of its frames is shown instead")
    fitted: StringProperty(description="Camera work, picture size and place that the plane was fitted to")
    chosen: StringProperty(description="Job id of the take that later ones do not displace")
    last_number: IntProperty()
    expanded: BoolProperty(name="All Takes", description="List the takes and how they were made")
    takes: CollectionProperty(type=ThreeDimoTake)


class ThreeDimoListedShot(bpy.types.PropertyGroup):
    """A shot of a scene's list; its name is Blender's own `name`."""

    camera: PointerProperty(name="Camera", type=bpy.types.Object, poll=_is_camera)
    frame_start: IntProperty(name="Start", description="First frame")
    frame_end: IntProperty(name="End", description="Last frame")


class ThreeDimoSettings(bpy.types.PropertyGroup):
    """The shot of a scene."""

    reference_source: EnumProperty(
        name="Reference",
        description="Where the picture of the character comes from, as it shall look in the first frame",
        items=(
            ("FILE", "File", "A picture on disk"),
            ("IMAGE", "Image", "An image of this .blend, also one that was painted or is packed"),
            ("RENDER", "Render", "What was rendered last, as it is seen, when you press Generate"),
        ),
        default="FILE",
    )
    reference_datablock: PointerProperty(
        name="Image",
        description="Picture of the character, as it shall look in the first frame",
        type=bpy.types.Image,
        poll=_is_picture,
    )
    reference_image: StringProperty(
        name="File",
        description="Picture of the character, as it shall look in the first frame",
        subtype="FILE_PATH",
        options=_PATH_OPTIONS,
    )
    driving_source: EnumProperty(
        name="Driving",
        description="Where the motion comes from",
        items=(
            ("FILE", "File", "A video, or the first picture of a numbered sequence"),
            (
                "OBJECT",
                "Object",
                "An animated object of this scene with all that belongs to it: of a rigged character all "
                "that its armature deforms or carries. It is filmed from the front, over the shot's frames",
            ),
            ("COLLECTION", "Collection", "The objects of a collection of this scene, filmed likewise"),
            ("CLIP", "Movie Clip", "A movie clip of this file"),
        ),
        default="FILE",
    )
    driving_footage: StringProperty(
        name="File",
        description="Footage of the motion: a video, or the first picture of a numbered sequence",
        subtype="FILE_PATH",
        options=_PATH_OPTIONS,
    )
    driving_fps: FloatProperty(
        name="Sequence fps",
        description="Frames per second of a picture sequence",
        default=24.0,
        min=1.0,
        max=1000.0,
    )
    driving_object: PointerProperty(
        name="Object",
        description=(
            "Who performs; it faces along its -Y axis. Of a rigged character choose the armature or any mesh "
            "that it deforms: all that the armature deforms or carries is filmed. Another object is filmed "
            "with its children"
        ),
        type=bpy.types.Object,
    )
    driving_collection: PointerProperty(
        name="Collection",
        description="Who performs; it faces along the -Y axis of its first armature",
        type=bpy.types.Collection,
    )
    driving_clip: PointerProperty(
        name="Movie Clip",
        description="Footage of the motion, at its own frame rate; one of pictures has the scene's",
        type=bpy.types.MovieClip,
    )
    driving_start_s: FloatProperty(
        name="Start",
        description="Where in the footage the motion begins",
        default=0.0,
        min=0.0,
        max=86400.0,
        unit="TIME_ABSOLUTE",
    )
    camera: PointerProperty(
        name="Camera",
        description="The camera to match; empty means the scene's own, or the one that a marker binds",
        type=bpy.types.Object,
        poll=_is_camera,
    )
    subject: PointerProperty(
        name="Subject",
        description=(
            "The object that stands for the person: the middle of its bounds and its -Y axis are position "
            "and facing. Empty means a point on the camera's axis, as far away as the 3D cursor, facing the "
            "camera"
        ),
        type=bpy.types.Object,
    )
    camera_text: StringProperty(
        name="Text",
        description="What the camera sees and does, in words that the model was trained with",
        maxlen=2000,
    )
    camera_read: StringProperty(
        description="What the text was read from; empty once the camera has moved since"
    )
    show_overlay: BoolProperty(
        name="Show What Is Sent",
        description="Show in the 3D view what is sent of the camera, once it was read",
        default=True,
    )
    use_custom_text: BoolProperty(
        name="Custom text",
        description="Send the text as written here instead of reading the camera",
        default=False,
    )
    model_id: StringProperty(
        name="Model", description="Which of the server's models makes the shots; empty means its first"
    )
    size_preset: EnumProperty(
        name="Size", description="How large the frames are", items=SIZE_PRESETS, default="MODEL"
    )
    preset: StringProperty(
        name="Preset",
        description="Which of the model's presets makes the shots; empty means the model's own numbers",
    )
    seed: IntProperty(name="Seed", description="The same seed gives the same frames", default=0, min=0)
    in_batch: BoolProperty(
        name="In the batch", description="Queue All Shots takes this scene along", default=True
    )
    listed_shots: CollectionProperty(
        type=ThreeDimoListedShot, description="Shots of a batch, in place of those that markers make"
    )
    shots: CollectionProperty(type=ThreeDimoShot)


CLASSES = (ThreeDimoTake, ThreeDimoShot, ThreeDimoListedShot, ThreeDimoSettings)


def register() -> None:
    """Give every scene its settings."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.threedimo = PointerProperty(type=ThreeDimoSettings)


def unregister() -> None:
    """Take the settings off; what they hold stays in the file."""
    del bpy.types.Scene.threedimo
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
