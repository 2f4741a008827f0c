"""Runs inside Blender: who is in the file, what moves them, and where their joints are.

Knows Blender's actions of all versions: before 4.4 an action holds curves, since then it holds slots, each
with the curves of one object.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import re

import bpy
import numpy as np
from mathutils import Matrix

GEOMETRY = {"MESH", "CURVE", "CURVES", "SURFACE", "META", "FONT", "POINTCLOUD", "VOLUME"}
# An action that names many bones that this rig lacks was made for another one.
SHARE_OF_KNOWN_BONES = 0.8
_BONE_PATH = re.compile(r'^pose\.bones\["((?:[^"\\]|\\.)+)"\]')
# Directions whose farthest vertices stand for a body's outline.
_DIRECTIONS = np.array(
    [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)], float
)


class SceneProblem(Exception):
    """Something about the file that the user must know; the keywords are those of the project's errors."""

    def __init__(self, problem: str, **details: str):
        super().__init__(problem)
        self.details = {"problem": problem, **details}


def armatures() -> list[bpy.types.Object]:
    """All armature objects of the view layer, by name."""
    found = [item for item in bpy.context.view_layer.objects if item.type == "ARMATURE"]
    return sorted(found, key=lambda item: item.name)


def _owners(item: bpy.types.Object) -> set[bpy.types.Object]:
    """Armatures that carry an object: by a modifier, as a parent, or as a parent of either."""
    owners: set[bpy.types.Object] = set()
    waiting = [item]
    while waiting:
        current = waiting.pop()
        following = [current.parent] if current.parent else []
        following += [
            modifier.object
            for modifier in current.modifiers
            if modifier.type == "ARMATURE" and modifier.object
        ]
        for owner in following:
            if owner not in owners:
                owners.add(owner)
                waiting.append(owner)
    return {owner for owner in owners if owner.type == "ARMATURE"}


def bound_objects(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """What is rendered of a character: all that its armature deforms or carries, props in hand too."""
    return [
        item
        for item in bpy.context.view_layer.objects
        if item.type in GEOMETRY and not item.hide_render and armature in _owners(item)
    ]


def surroundings() -> list[bpy.types.Object]:
    """Rendered geometry that no armature carries."""
    return [
        item
        for item in bpy.context.view_layer.objects
        if item.type in GEOMETRY and not item.hide_render and not _owners(item)
    ]


def _slot(action: bpy.types.Action, armature: bpy.types.Object):
    """The slot of an armature: the one that is called like it, else the first that moves bones."""
    fitting = [slot for slot in action.slots if slot.target_id_type in {"OBJECT", "UNSPECIFIED"}]
    moving = [
        slot for slot in fitting if any(_BONE_PATH.match(curve.data_path) for curve in _bag(action, slot))
    ]
    named = [slot for slot in moving if slot.identifier == f"OB{armature.name}"]
    return (named or moving or [None])[0]


def _bag(action: bpy.types.Action, slot) -> list:
    bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips]
    return [curve for bag in bags if bag for curve in bag.fcurves]


def _curves(action: bpy.types.Action, armature: bpy.types.Object) -> list:
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    slot = _slot(action, armature)
    return _bag(action, slot) if slot else []


def playable_actions(armature: bpy.types.Object) -> list[dict]:
    """Actions that move this armature's bones: name, first and last scene frame."""
    bones = set(armature.data.bones.keys())
    found = []
    for action in bpy.data.actions:
        curves = _curves(action, armature)
        matches = [_BONE_PATH.match(curve.data_path) for curve in curves]
        named = {bpy.utils.unescape_identifier(match[1]) for match in matches if match}
        if not named or len(named & bones) < SHARE_OF_KNOWN_BONES * len(named):
            continue
        ranges = np.array([curve.range() for curve in curves])
        start, end = float(ranges[:, 0].min()), float(ranges[:, 1].max())
        if action.use_frame_range:
            start, end = action.frame_start, action.frame_end
        found.append({"name": action.name, "start": start, "end": end})
    return found


class Performer:
    """One character: plays actions from the same beginning each time, whatever it played before."""

    def __init__(self, name: str, bones: dict[str, str]):
        self.armature = bpy.data.objects[name]
        self.bones = bones
        self.objects = bound_objects(self.armature)
        self._saved_matrix = self.armature.matrix_basis.copy()
        self._saved_pose = {bone.name: bone.matrix_basis.copy() for bone in self.armature.pose.bones}
        self._saved_settings = [
            (bone, key, bone[key])
            for bone in (self.armature, *self.armature.pose.bones)
            for key in bone.keys()  # noqa: SIM118 (a bone is no dictionary)
            if isinstance(bone[key], int | float)
        ]
        self.armature.data.pose_position = "POSE"

    def play(self, action_name: str) -> None:
        """Let one action alone move the character; "" is the pose that the file was saved in.

        Bones without keys rest: what they last did in the file would depend on who saved it when.
        """
        data = self.armature.animation_data or self.armature.animation_data_create()
        data.use_tweak_mode = False
        data.use_nla = False
        data.action = None
        self.armature.matrix_basis = self._saved_matrix
        for bone in self.armature.pose.bones:
            bone.matrix_basis = Matrix() if action_name else self._saved_pose[bone.name]
        for bone, key, value in self._saved_settings:
            bone[key] = value
        if not action_name:
            return
        action = bpy.data.actions[action_name]
        data.action = action
        data.action_influence, data.action_blend_type = 1.0, "REPLACE"
        if hasattr(action, "slots"):
            data.action_slot = _slot(action, self.armature)

    def joints(self, joint_names: list[str], metres: float) -> np.ndarray:
        """(J, 3) metres in the world, NaN where no bone is the joint."""
        evaluated = self.armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        places = np.full((len(joint_names), 3), np.nan)
        for index, joint in enumerate(joint_names):
            if joint in self.bones:
                places[index] = evaluated.matrix_world @ evaluated.pose.bones[self.bones[joint]].head
        return places * metres

    def outline(self, metres: float) -> np.ndarray:
        """(26, 3) metres: the body's farthest points in as many directions."""
        depsgraph = bpy.context.evaluated_depsgraph_get()
        farthest = []
        for item in self.objects:
            if item.type != "MESH":
                continue
            evaluated = item.evaluated_get(depsgraph)
            vertices = evaluated.data.vertices
            if not len(vertices):
                continue
            local = np.empty(len(vertices) * 3, np.float32)
            vertices.foreach_get("co", local)
            matrix = np.array(evaluated.matrix_world)
            world = local.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
            farthest.append(world[np.argmax(world @ _DIRECTIONS.T, axis=0)])
        points = np.concatenate(farthest)
        return points[np.argmax(points @ _DIRECTIONS.T, axis=0)] * metres
