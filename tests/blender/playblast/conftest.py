"""What is filmed: a character with an arm that rises, somebody else, and how pictures are looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest

SKIN = (0.9, 0.3, 0.1)
GREEN = (0.1, 0.8, 0.1)


def box_mesh(blender, name, least, greatest, colour):
    """A mesh of one box, of a material with this viewport colour."""
    corners = [(x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    mesh = blender.data.meshes.new(name)
    span = np.subtract(greatest, least)
    sides = [(0, 3, 2, 1), (4, 5, 6, 7), *((i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4) for i in range(4))]
    mesh.from_pydata((np.array(corners) * span + least).tolist(), [], sides)
    material = blender.data.materials.new(name)
    material.diffuse_color = (*colour, 1.0)
    mesh.materials.append(material)
    return mesh


@pytest.fixture
def add_box(blender, scene):
    """Add a box to the scene, or to a collection of it."""

    def add(name, least, greatest, colour=SKIN, collection=None):
        item = blender.data.objects.new(name, box_mesh(blender, name, least, greatest, colour))
        (collection or scene.collection).objects.link(item)
        return item

    return add


@pytest.fixture
def anna(blender, scene, add_box):
    """A skinned trunk with one arm that rises on the performer's left from frame 1 to 9, and a red hat.

    The arm is only deformed by the armature, trunk and hat are parented to it, all away from the origin.
    """
    from mathutils import Quaternion

    data = blender.data.armatures.new("Anna")
    armature = blender.data.objects.new("Anna", data)
    scene.collection.objects.link(armature)
    blender.context.view_layer.objects.active = armature
    blender.ops.object.mode_set(mode="EDIT")
    for name, head, tail in (("trunk", (0, 0, 0), (0, 0, 1.5)), ("arm", (0.2, 0, 1.3), (0.8, 0, 1.3))):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = head, tail
    blender.ops.object.mode_set(mode="OBJECT")
    for bone, least, greatest in (
        ("trunk", (-0.2, -0.15, 0.0), (0.2, 0.15, 1.5)),
        ("arm", (0.2, -0.07, 1.2), (0.8, 0.07, 1.35)),
    ):
        part = add_box(f"Anna {bone}", least, greatest)
        part.vertex_groups.new(name=bone).add(list(range(8)), 1.0, "REPLACE")
        part.modifiers.new("Armature", "ARMATURE").object = armature
        if bone == "trunk":
            part.parent = armature
        else:
            part.location = (3.0, 2.0, 0.0)
    hat = add_box("Anna hat", (-0.15, -0.15, 1.5), (0.15, 0.15, 1.8), (0.8, 0.0, 0.0))
    hat.parent = armature
    arm = armature.pose.bones["arm"]
    arm.rotation_mode = "QUATERNION"
    rest = arm.bone.matrix_local.to_quaternion()
    for frame, angle in ((1, 0.0), (9, -75.0)):
        arm.rotation_quaternion = rest.inverted() @ Quaternion((0, 1, 0), math.radians(angle)) @ rest
        arm.keyframe_insert("rotation_quaternion", frame=frame)
    armature.location = (3.0, 2.0, 0.0)
    return armature


def carry(scene, anna):
    """Let Anna's arm go with her, too."""
    scene.objects["Anna arm"].parent, scene.objects["Anna arm"].location = anna, (0.0, 0.0, 0.0)


@pytest.fixture
def stranger(add_box):
    """Somebody who stands in the way, and a floor."""
    add_box("Floor", (-9, -9, -0.1), (9, 9, 0.0), GREEN)
    return add_box("Bert", (2.8, 0.5, 0.0), (3.2, 0.7, 1.8), GREEN)


@pytest.fixture
def shoot(addon, scene, tmp_path):
    """Film the driver that the panel names, over some frames; gives the pictures' files."""

    def film(frames=range(1, 10), home=None):
        playblast = addon("playblast")
        return list(playblast.film_now(make_clip(addon, scene, frames, home or tmp_path / "footage")))

    return film


def make_clip(addon, scene, frames, home):
    performer = addon("driving").read_driving(scene).performer
    fps = addon("shots").scene_fps(scene)
    return addon("playblast").Clip(performer, scene.session_uid, frames, fps, home)


def choose(scene, source, value):
    scene.threedimo.driving_source = source
    field = {"OBJECT": "driving_object", "COLLECTION": "driving_collection"}[source]
    setattr(scene.threedimo, field, value)


@pytest.fixture
def read(blender):
    """Read pictures as one array `(frames, height, width, 3)` from 0 to 255, top row first."""

    def pixels(files):
        found = []
        for file in files:
            image = blender.data.images.load(str(file), check_existing=False)
            width, height = image.size
            found.append(np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255)
            blender.data.images.remove(image)
        return np.array(found)

    return pixels


def seen(pictures):
    """Where something else than the background is, `(frames, height, width)`."""
    background = pictures[0, 0, 0]
    return np.abs(pictures - background).max(axis=-1) > 12


def outlines(pictures):
    """Least and greatest column and row of what is seen, `(frames, 4)`."""
    found = []
    for mask in seen(pictures):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        found.append((columns[0], columns[-1], rows[0], rows[-1]))
    return np.array(found)
