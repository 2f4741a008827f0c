"""The film of the GUI run, built inside Blender: a meadow with a house and trees, a dancer, two cameras.

`build(FOLDER)` expects `dancer.npz` there (`write_dancer` in tests/gui/conftest.py) and saves `film.blend`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np

NUM_FRAMES = 48
_SIZE_PX = 512


def build(folder: Path) -> None:
    """Build the film in an empty file and save it."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    (scene,) = bpy.data.scenes
    scene.name = "Meadow"
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 1, NUM_FRAMES
    scene.render.resolution_x = scene.render.resolution_y = _SIZE_PX
    scene.eevee.taa_samples = 2  # software rendering takes its time
    _light(scene)
    _add_ground(scene)
    _add_house(scene)
    for place, height in (((-5.5, 7.0), 4.2), ((-2.6, 9.0), 5.0), ((7.5, 12.0), 5.5), ((-9.0, 11.0), 5.0)):
        _add_tree(scene, place, height)
    _add_dancer(scene, folder / "dancer.npz")
    scene.camera = _add_arc(scene, "Arc")
    _add_push_in(scene, "Close")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "film.blend"))


def _light(scene: Any) -> None:
    world = bpy.data.worlds.new("Sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.42, 0.62, 0.9, 1.0)
    scene.world = world
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy = 3.0
    sun.rotation_euler = (math.radians(40), math.radians(15), 0.0)
    scene.collection.objects.link(sun)


def _paint(name: str, rgb: tuple[float, float, float]) -> Any:
    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*rgb, 1.0)
    shader.inputs["Roughness"].default_value = 0.9
    material.diffuse_color = (*rgb, 1.0)
    return material


def _mesh(scene: Any, name: str, vertices: Any, faces: Any, material: Any) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(vertices).tolist(), [], np.asarray(faces).tolist())
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(item)
    return item


def _box(scene: Any, name: str, low: tuple, high: tuple, material: Any) -> Any:
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return _mesh(scene, name, corners, faces, material)


def _add_ground(scene: Any) -> None:
    for index in range(-12, 24):
        shade = _paint(*(("Grass", (0.10, 0.25, 0.06)) if index % 2 else ("Mown grass", (0.13, 0.31, 0.08))))
        near, far = 1.5 * index, 1.5 * (index + 1)
        corners = [(-40, near, 0), (40, near, 0), (40, far, 0), (-40, far, 0)]
        _mesh(scene, "Ground", corners, [(0, 1, 2, 3)], shade)


def _add_house(scene: Any) -> None:
    _box(scene, "House", (1.5, 9.0, 0.0), (11.0, 14.0, 5.5), _paint("Wall", (0.45, 0.42, 0.52)))
    for row in range(3):
        for column in range(5):
            left, low = 2.0 + 1.8 * column, 0.7 + 1.6 * row
            _box(
                scene,
                "Window",
                (left, 8.9, low),
                (left + 1.0, 9.0, low + 0.9),
                _paint("Glass", (0.1, 0.14, 0.3)),
            )


def _add_tree(scene: Any, place: tuple[float, float], height_m: float) -> None:
    x, y = place
    _box(
        scene,
        "Trunk",
        (x - 0.2, y - 0.2, 0),
        (x + 0.2, y + 0.2, height_m / 2),
        _paint("Bark", (0.15, 0.08, 0.04)),
    )
    crown = _mesh(scene, "Crown", [], [], _paint("Leaves", (0.06, 0.2, 0.05)))
    ball = bmesh.new()
    bmesh.ops.create_icosphere(ball, subdivisions=3, radius=height_m / 3)
    ball.to_mesh(crown.data)
    ball.free()
    crown.location = (x, y, 0.7 * height_m)


def _add_dancer(scene: Any, file: Path) -> None:
    """One shape key a frame: the same as an imported cache of points."""
    held = np.load(file)
    points, faces, colours = held["points"], held["faces"], held["colours"]
    material = _paint("Clothes", (0.8, 0.8, 0.8))
    tree = material.node_tree
    attribute = tree.nodes.new("ShaderNodeVertexColor")
    attribute.layer_name = "Colour"
    tree.links.new(attribute.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    dancer = _mesh(scene, "Dancer", points[0], faces, material)
    painted = dancer.data.color_attributes.new("Colour", "BYTE_COLOR", "POINT")
    painted.data.foreach_set("color_srgb", np.column_stack([colours, np.ones(len(colours))]).ravel())
    dancer.location = (-1.9, 0.7, 0.0)
    dancer.shape_key_add(name="Basis")
    for index, pose in enumerate(points, start=1):
        key = dancer.shape_key_add(name=f"{index:03d}", from_mix=False)
        key.data.foreach_set("co", pose.ravel())
        for frame in (index - 1, index, index + 1):
            key.value = float(frame == index)
            key.keyframe_insert("value", frame=frame)
    for polygon in dancer.data.polygons:
        polygon.use_smooth = True


def _add_camera(scene: Any, name: str, lens_mm: float) -> tuple[Any, Any]:
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera.data.lens = lens_mm
    target = bpy.data.objects.new(f"{name} target", None)
    target.location, target.empty_display_size = (0.0, 0.0, 0.95), 0.2
    for item in (camera, target):
        scene.collection.objects.link(item)
    camera.constraints.new("TRACK_TO").target = target
    return camera, target


def _add_arc(scene: Any, name: str) -> Any:
    """From the front, 45 degrees round the dancer."""
    camera, target = _add_camera(scene, name, 35.0)
    camera.parent, camera.location = target, (0.0, -3.2, 0.35)
    for frame, turn_deg in ((1, 0.0), (NUM_FRAMES, 45.0)):
        target.rotation_euler.z = math.radians(turn_deg)
        target.keyframe_insert("rotation_euler", frame=frame)
    return camera


def _add_push_in(scene: Any, name: str) -> Any:
    camera, _ = _add_camera(scene, name, 50.0)
    for frame, distance_m in ((1, 3.4), (NUM_FRAMES, 2.2)):
        camera.location = (1.7, -distance_m, 1.3)
        camera.keyframe_insert("location", frame=frame)
    return camera
