"""Builds a .blend for the tests; runs in a Python with the module bpy: build_scene.py FILE [VARIANT...].

Two people of boxes with Mixamo's bone names, of different sizes and standing apart, one with a bone-parented
hat; the actions "wave" (frames 1 to 49) and "squat" (10 to 40), which leave different bones without keys.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import bpy
from mathutils import Quaternion, Vector

TRUNK = [
    ("Hips", "", (0, 0, 0.95), (0, 0, 1.05), 0.13),
    ("Spine", "Hips", (0, 0, 1.05), (0, 0, 1.17), 0.12),
    ("Spine1", "Spine", (0, 0, 1.17), (0, 0, 1.29), 0.13),
    ("Spine2", "Spine1", (0, 0, 1.29), (0, 0, 1.45), 0.14),
    ("Neck", "Spine2", (0, 0, 1.45), (0, 0, 1.53), 0.06),
    ("Head", "Neck", (0, 0, 1.53), (0, 0, 1.74), 0.1),
]
LIMBS = [
    ("UpLeg", "Hips", (0.1, 0, 0.93), (0.1, 0, 0.5), 0.08),
    ("Leg", "UpLeg", (0.1, 0, 0.5), (0.1, 0.02, 0.09), 0.06),
    ("Foot", "Leg", (0.1, 0.02, 0.09), (0.1, -0.1, 0.04), 0.05),
    ("ToeBase", "Foot", (0.1, -0.1, 0.04), (0.1, -0.18, 0.04), 0.04),
    ("Shoulder", "Spine2", (0.03, 0, 1.42), (0.17, 0, 1.42), 0.06),
    ("Arm", "Shoulder", (0.17, 0, 1.42), (0.44, 0, 1.42), 0.055),
    ("ForeArm", "Arm", (0.44, 0, 1.42), (0.69, 0, 1.42), 0.045),
    ("Hand", "ForeArm", (0.69, 0, 1.42), (0.78, 0, 1.42), 0.035),
]
FINGERS = {"Thumb": -0.05, "Index": -0.03, "Middle": -0.01, "Ring": 0.01, "Pinky": 0.03}
# Viewport colours; the left side differs from the right.
PAINTS = {"": (0.1, 0.2, 0.7), "Left": (0.8, 0.1, 0.1), "Right": (0.1, 0.6, 0.2), "Head": (0.9, 0.35, 0.15)}


def bone_table() -> list[tuple]:
    """(name, parent, head, tail, thickness) of all bones; a negative x is the person's right."""
    table = list(TRUNK)
    for side, sign in (("Left", 1), ("Right", -1)):
        limbs = list(LIMBS)
        for finger, y in FINGERS.items():
            for number in (1, 2, 3):
                x = 0.77 + 0.028 * (number - 1)
                parent = "Hand" if number == 1 else f"Hand{finger}{number - 1}"
                limbs.append((f"Hand{finger}{number}", parent, (x, y, 1.42), (x + 0.028, y, 1.42), 0.011))
        names = {name for name, *_ in limbs}
        for name, parent, head, tail, radius in limbs:
            above = f"{side}{parent}" if parent in names else parent
            mirrored = [(sign * x, y, z) for x, y, z in (head, tail)]
            table.append((f"{side}{name}", above, *mirrored, radius))
    return table


def build_person(name: str, place: tuple, size: float, prefix: str = "mixamorig:") -> bpy.types.Object:
    """An armature with a skinned mesh of one box a bone."""
    table = bone_table()
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for bone_name, parent, head, tail, _ in table:
        bone = data.edit_bones.new(prefix + bone_name)
        bone.head, bone.tail = Vector(head) * size, Vector(tail) * size
        if parent:
            bone.parent = data.edit_bones[prefix + parent]
    bpy.ops.object.mode_set(mode="OBJECT")
    armature.location = place
    bind_boxes(armature, table, size, prefix)
    return armature


def bind_boxes(armature: bpy.types.Object, table: list[tuple], size: float, prefix: str) -> None:
    """A mesh of one box a bone, moved by an armature modifier."""
    vertices, faces, paints, groups = [], [], [], []
    for name, _, head, tail, radius in table:
        start, end = Vector(head) * size, Vector(tail) * size
        turn = (end - start).to_track_quat("Z", "Y")
        length, radius = (end - start).length, radius * size
        first = len(vertices)
        for z in (-0.3 * radius, length + 0.3 * radius):
            for x, y in ((-radius, -radius), (radius, -radius), (radius, radius), (-radius, radius)):
                vertices.append(start + turn @ Vector((x, y, z)))
        sides = [(i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4) for i in range(4)]
        faces += [[first + i for i in face] for face in [(3, 2, 1, 0), (4, 5, 6, 7), *sides]]
        part = next((key for key in ("Left", "Right", "Head") if name.startswith(key)), "")
        paints += [list(PAINTS).index(part)] * 6
        groups.append((prefix + name, list(range(first, first + 8))))
    mesh = bpy.data.meshes.new(f"{armature.name} body")
    mesh.from_pydata(vertices, [], faces)
    for part, colour in PAINTS.items():
        material = bpy.data.materials.new(f"{armature.name} {part}")
        material.diffuse_color = (*colour, 1.0)
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", paints)
    body = bpy.data.objects.new(mesh.name, mesh)
    bpy.context.scene.collection.objects.link(body)
    for name, indices in groups:
        body.vertex_groups.new(name=name).add(indices, 1.0, "REPLACE")
    body.parent = armature
    body.modifiers.new("Armature", "ARMATURE").object = armature


def add_hat(armature: bpy.types.Object, prefix: str = "mixamorig:") -> None:
    """A cone that is parented to the head's bone."""
    bpy.ops.mesh.primitive_cone_add(radius1=0.12, depth=0.18)
    hat = bpy.context.object
    hat.name = f"{armature.name} hat"
    hat.parent, hat.parent_type, hat.parent_bone = armature, "BONE", f"{prefix}Head"
    hat.location = (0.0, 0.05, 0.0)
    hat.rotation_euler.x = -math.pi / 2
    material = bpy.data.materials.new(hat.name)
    material.diffuse_color = (0.6, 0.1, 0.6, 1.0)
    hat.data.materials.append(material)


def key_turn(armature: bpy.types.Object, bone_name: str, frame: int, axis: tuple, degrees: float) -> None:
    """Key a bone's turn about an axis of the body."""
    bone = armature.pose.bones[f"mixamorig:{bone_name}"]
    rest = bone.bone.matrix_local.to_quaternion()
    bone.rotation_mode = "QUATERNION"
    bone.rotation_quaternion = rest.inverted() @ Quaternion(axis, math.radians(degrees)) @ rest
    bone.keyframe_insert("rotation_quaternion", frame=frame)


def start_action(armature: bpy.types.Object, name: str) -> None:
    """Begin a new action on an armature at rest."""
    data = armature.animation_data or armature.animation_data_create()
    data.action = bpy.data.actions.new(name)
    data.action.use_fake_user = True
    for bone in armature.pose.bones:
        bone.rotation_quaternion = (1, 0, 0, 0)
        bone.location = (0, 0, 0)


def add_actions(armature: bpy.types.Object) -> None:
    """The actions "wave" and "squat"."""
    start_action(armature, "wave")
    for frame in range(1, 50, 12):
        swing = 1 if (frame // 12) % 2 else -1
        key_turn(armature, "RightArm", frame, (0, 1, 0), 75)
        key_turn(armature, "LeftArm", frame, (0, 1, 0), -40 - 10 * swing)
        key_turn(armature, "LeftForeArm", frame, (0, 1, 0), -45 - 35 * swing)
        key_turn(armature, "Spine1", frame, (0, 0, 1), 12 * swing)
    start_action(armature, "squat")
    hips = armature.pose.bones["mixamorig:Hips"]
    for frame, depth in ((10, 0.0), (25, 1.0), (40, 0.0)):
        hips.location = (0.0, -0.33 * depth, 0.12 * depth)
        hips.keyframe_insert("location", frame=frame)
        for side in ("Left", "Right"):
            key_turn(armature, f"{side}UpLeg", frame, (1, 0, 0), -85 * depth)
            key_turn(armature, f"{side}Leg", frame, (1, 0, 0), 115 * depth)
            key_turn(armature, f"{side}Foot", frame, (1, 0, 0), -30 * depth)
            key_turn(armature, f"{side}Arm", frame, (0, 1, 0), (70 if side == "Left" else -70) * (1 - depth))


def build(file: Path, variants: set[str]) -> None:
    """Save the file; variants leave things out or add them."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps = 24
    people = []
    if "no-armature" in variants:
        bpy.ops.mesh.primitive_cube_add()
    else:
        prefix = "qwertz" if "odd-names" in variants else "mixamorig:"
        people.append(build_person("Anna", (0.4, 0.3, 0.0), 1.0, prefix))
    if people and not variants & {"one-person", "odd-names"}:
        people.append(build_person("Bert", (4.0, -1.0, 0.2), 1.15))
        add_hat(people[1])
    if people and not variants & {"no-action", "odd-names"}:
        add_actions(people[0])
    if "no-mesh" in variants:
        for item in [item for item in bpy.data.objects if item.type == "MESH"]:
            bpy.data.objects.remove(item)
    if "centimetres" in variants:
        scene.unit_settings.scale_length = 0.01
        for person in people:
            person.scale = (100.0, 100.0, 100.0)
            person.location *= 100
    if "giant" in variants:
        # wrong units, a lost texture and a driver in Python
        people[0].scale = (9.0, 9.0, 9.0)
        image = bpy.data.images.new("lost", 8, 8)
        image.source, image.filepath, image.use_fake_user = "FILE", "//lost.png", True
        people[0].driver_add("location", 2).driver.expression = "[frame for _ in '1'][0]"
    if "room" in variants:
        bpy.ops.mesh.primitive_plane_add(size=30)
    if "script" in variants:
        text = bpy.data.texts.new("autorun.py")
        text.write(f"open({str(file) + '.ran'!r}, 'w').close()")
        text.use_module = True
    bpy.ops.wm.save_as_mainfile(filepath=str(file), compress=False)


if __name__ == "__main__":
    build(Path(sys.argv[1]), set(sys.argv[2:]))
