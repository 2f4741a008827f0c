# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plane shows: the frames of a take, one of them while it denoises, or grey where they are gone."""

from __future__ import annotations

from pathlib import Path

import bpy

from threedimo.errors import InvalidScene, UnreadableMedia

from .frame_images import load_frames, match_colours, play_shot
from .timeline import FrameMapping

PICTURE_NODE = "Image Texture"
_EMISSION_NODE = "Emission"
_GREY = (0.05, 0.05, 0.05, 1.0)
_MATCHED_VIEW = "threedimo_view"


def make_material(name: str) -> bpy.types.Material:
    """A material that shines in grey until it is given frames."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # Blender 5 gives every material its nodes
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    picture = tree.nodes.new("ShaderNodeTexImage")
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    # Named here: Blender's own names depend on its language.
    picture.name, emission.name = PICTURE_NODE, _EMISSION_NODE
    picture.location, emission.location = (-600, 0), (-250, 0)
    picture.extension = "EXTEND"
    emission.inputs["Color"].default_value = _GREY
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    tree.nodes.active = picture  # what Workbench shows
    return material


def show_frames(plane: bpy.types.Object, frames: Path, mapping: FrameMapping) -> None:
    """Show other frames on a plane.

    Raises:
        InvalidScene: The material has not the node any more that shows them.
    """
    _, picture = _picture(plane)
    show_image(plane, load_frames(frames, plane.name))
    play_shot(picture.image_user, mapping)


def image_in_memory(jpeg: bytes) -> bpy.types.Image:
    """A picture without a file, packed: a .blend that is saved meanwhile has it, and nothing can go missing.

    Raises:
        UnreadableMedia: It is no picture.
    """
    image = bpy.data.images.new("3DiMo preview", 1, 1)
    image.source = "FILE"
    image.pack(data=jpeg, data_len=len(jpeg))
    image.buffers_free()
    if not all(image.size):
        bpy.data.images.remove(image)
        raise UnreadableMedia("the server's preview is no picture", given=f"{len(jpeg)} bytes")
    return image


def show_image(plane: bpy.types.Object, image: bpy.types.Image) -> None:
    """Show an image on a plane; what it showed before is let go.

    Raises:
        InvalidScene: The material has not the node any more that shows it.
    """
    tree, picture = _picture(plane)
    _swap_image(picture, image)
    emission = tree.nodes.get(_EMISSION_NODE)
    if emission is not None:
        tree.links.new(picture.outputs["Color"], emission.inputs["Color"])


def match_view(plane: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    """Follow the scene's view transform, see `match_colours`.

    A colour space that a person chooses stays until the view transform changes.

    Returns:
        Whether something changed.
    """
    try:
        image = _picture(plane)[1].image
    except InvalidScene:
        return False
    view = scene.view_settings.view_transform
    if image is None or image.get(_MATCHED_VIEW) == view:
        return False
    match_colours(image.colorspace_settings, view)
    image[_MATCHED_VIEW] = view
    return True


def blank_plane(plane: bpy.types.Object) -> None:
    """Show plain grey: files that are gone would render magenta.

    Raises:
        InvalidScene: The material has not the node any more that shows the frames.
    """
    tree, picture = _picture(plane)
    for link in list(picture.outputs["Color"].links):
        tree.links.remove(link)
    _swap_image(picture, None)


def is_blank(plane: bpy.types.Object) -> bool:
    """Whether the plane shows plain grey. One whose material is the user's own is none of ours."""
    try:
        return _picture(plane)[1].image is None
    except InvalidScene:
        return False


def _picture(plane: bpy.types.Object) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    material = plane.active_material
    tree = material.node_tree if material is not None else None
    node = tree.nodes.get(PICTURE_NODE) if tree is not None else None
    if tree is None or node is None or node.type != "TEX_IMAGE":
        raise InvalidScene(
            "the plane's material has no longer the node that shows the frames",
            given=plane.name,
            allowed=f"an image texture named {PICTURE_NODE!r}",
            remedy="delete the plane and show the take again: that makes a new one",
        )
    return tree, node


def _swap_image(picture: bpy.types.Node, image: bpy.types.Image | None) -> None:
    before = picture.image
    picture.image = image
    if before is not None and before != image and not before.users:
        bpy.data.images.remove(before)
