# SPDX-License-Identifier: GPL-3.0-or-later
"""Who performs: the objects that are filmed as driving footage, and which way they face."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Matrix, Vector

from threedimo.errors import InvalidScene

# What can have a surface, in the names of all versions of Blender.
SURFACES = frozenset(
    {"MESH", "CURVE", "CURVES", "SURFACE", "META", "FONT", "POINTCLOUD", "VOLUME", "GPENCIL", "GREASEPENCIL"}
)
# An axis that is steeper than this points up or down rather than forward.
_STEEP = 0.7


@dataclass(frozen=True)
class Performer:
    """Who is filmed. Ids of this session, because undo moves the objects themselves in memory.

    Attributes:
        name: What people call it.
        uids: Of all objects that are filmed.
        front_uid: Of the object whose axes say where the performer faces; 0 for the world's.
    """

    name: str
    uids: tuple[int, ...]
    front_uid: int

    def objects(self) -> list[bpy.types.Object]:
        """The objects as they are now.

        Raises:
            InvalidScene: Some were deleted, or are being edited.
        """
        known = {item.session_uid: item for item in bpy.data.objects}
        found = [known[uid] for uid in self.uids if uid in known]
        if len(found) < len(self.uids):
            raise InvalidScene(
                "objects of the performer were deleted", given=self.name, remedy="press Generate again"
            )
        edited = [item.name for item in found if item.mode == "EDIT"]
        if edited:
            raise InvalidScene(
                "the performer is in Edit Mode, where it does not move",
                given=", ".join(edited),
                remedy="leave Edit Mode and press Generate again",
            )
        return found


def performer_of_object(scene: bpy.types.Scene, chosen: bpy.types.Object | None) -> Performer:
    """An object and all that belongs to it: its children, and what an armature among them deforms.

    A mesh that an armature deforms stands for that armature, because a click on a character gives its mesh.

    Raises:
        InvalidScene: None is chosen, it is not in the scene, or nothing of it can be seen.
    """
    if chosen is None:
        raise InvalidScene("no object is chosen as the driver", remedy="choose one under Driving")
    if chosen not in set(scene.objects):
        raise _not_in_scene(scene, chosen.name)
    lead = _armature_of(scene, chosen) or chosen
    return _performer(scene, lead.name, _belongings(scene, lead), lead)


def filmed_sentence(scene: bpy.types.Scene, chosen: bpy.types.Object) -> str:
    """What is filmed with an object as the driver, in a few words. Cheap enough to draw."""
    armature = _armature_of(scene, chosen)
    if armature is not None:
        return f"Films all that {armature.name} deforms or carries"
    return f"Films {chosen.name} with its children"


def performer_of_collection(scene: bpy.types.Scene, chosen: bpy.types.Collection | None) -> Performer:
    """The objects of a collection. It faces as its first armature by name does, without one along -Y.

    Raises:
        InvalidScene: None is chosen, it is not in the scene, or nothing of it can be seen.
    """
    if chosen is None:
        raise InvalidScene("no collection is chosen as the driver", remedy="choose one under Driving")
    inside = set(chosen.all_objects) & set(scene.objects)
    if not inside:
        raise _not_in_scene(scene, chosen.name)
    armatures = sorted((item for item in inside if item.type == "ARMATURE"), key=lambda item: item.name)
    return _performer(scene, chosen.name, inside, armatures[0] if armatures else None)


def facing(axes: Matrix) -> float:
    """How far a performer is turned about z, in radians; 0 faces along the world's -Y.

    The performer faces along -Y. An object whose Y axis points up or down comes from a program where Y is
    up, and there people face along +Z.
    """
    rotation = axes.to_3x3().normalized()
    forward = rotation @ Vector((0.0, -1.0, 0.0))
    if abs(forward.z) > _STEEP:
        forward = rotation @ Vector((0.0, 0.0, 1.0))
    return math.atan2(forward.x, -forward.y)


def with_uid(items: Iterable[Any], uid: int) -> Any | None:
    """The datablock with this session-wide id, which outlives undo and renaming."""
    return next((item for item in items if item.session_uid == uid), None)


def _not_in_scene(scene: bpy.types.Scene, name: str) -> InvalidScene:
    return InvalidScene(
        "the driver is not in this scene",
        given=name,
        allowed=f"what is in {scene.name}",
        remedy="choose another one under Driving, or link it into the scene",
    )


def _performer(
    scene: bpy.types.Scene, name: str, inside: set[bpy.types.Object], front: bpy.types.Object | None
) -> Performer:
    kinds = ", ".join(sorted({item.type.lower() for item in inside}))
    seen = [item for item in inside if item.type in SURFACES or item.is_instancer]
    if not seen:
        raise InvalidScene(
            "nothing of the driver can be seen in a render",
            given=f"{name}: {kinds}",
            allowed="objects with a surface, such as a mesh, or an armature that deforms one",
            remedy="choose the character's armature, or the collection that holds all of it",
        )
    shown = _shown(scene)
    if not any(item in shown and not _stays_hidden(item) for item in seen):
        raise hidden_for_render(name)
    # In one order always: nothing may depend on how a set is laid out.
    kept = sorted(inside & shown, key=lambda item: item.session_uid)
    return Performer(
        name, tuple(item.session_uid for item in kept), 0 if front is None else front.session_uid
    )


def hidden_for_render(name: str) -> InvalidScene:
    """The error for a performer that no frame shows."""
    return InvalidScene(
        "everything of the driver is hidden for render",
        given=name,
        remedy="show it in renders (the camera icon in the Outliner), also its collections",
    )


def _belongings(scene: bpy.types.Scene, chosen: bpy.types.Object) -> set[bpy.types.Object]:
    found = {chosen}
    while True:
        more = {
            item
            for item in scene.objects
            if item not in found and (item.parent in found or _deformers(item) & found)
        }
        if not more:
            return found
        found |= more


def _armature_of(scene: bpy.types.Scene, chosen: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that moves a whole character: the object itself, or the first one that deforms it."""
    if chosen.type == "ARMATURE":
        return chosen
    # Parented with its deformation but without a modifier, as older files have it.
    parents = [chosen.parent] if chosen.parent_type == "ARMATURE" else []
    modifiers = [modifier.object for modifier in chosen.modifiers if modifier.type == "ARMATURE"]
    found = [item for item in modifiers + parents if item is not None]
    return next((item for item in found if scene.objects.get(item.name) == item), None)


def _deformers(item: bpy.types.Object) -> set[bpy.types.Object]:
    return {modifier.object for modifier in item.modifiers if modifier.type == "ARMATURE" and modifier.object}


def _stays_hidden(item: bpy.types.Object) -> bool:
    """Hidden for render, and not by a key or a driver that may show it at another frame."""
    return item.hide_render and item.animation_data is None


def _shown(scene: bpy.types.Scene) -> set[bpy.types.Object]:
    """The objects whose collections let them render, in any view layer that is rendered."""
    shown: set[bpy.types.Object] = set()
    waiting = [layer.layer_collection for layer in scene.view_layers if layer.use]
    while waiting:
        layer = waiting.pop()
        if not layer.exclude and not layer.collection.hide_render:
            shown.update(layer.collection.objects)
            waiting.extend(layer.children)
    return shown
