"""Whatever moves a camera is followed: each rig is read as Blender itself shows it, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FRAMES = (1, 2, 9, 16, 24)


@pytest.fixture
def new(blender, scene):
    """Make an object and put it into the scene."""

    def make(name, data=None):
        item = blender.data.objects.new(name, data)
        scene.collection.objects.link(item)
        return item

    return make


def key(item, path, values, index=-1):
    """Key a property at the first and the last frame."""
    for frame, value in zip((1, 24), values, strict=True):
        if index >= 0:
            getattr(item, path)[index] = value
        else:
            setattr(item, path, value)
        item.keyframe_insert(path, index=index, frame=frame)


def on_a_path(blender, scene, camera, new):
    """Follow Path along a curve that moves itself."""
    curve = blender.data.curves.new("Path", "CURVE")
    curve.dimensions, curve.path_duration = "3D", 24
    spline = curve.splines.new("POLY")
    spline.points.add(3)
    for point, place in zip(spline.points, ((0, 0, 0), (4, 0, 1), (4, 4, 2), (0, 6, 0)), strict=True):
        point.co = (*place, 1.0)
    path = new("Path", curve)
    key(path, "location", ((0, 0, 0), (0, 0, 3)))
    constraint = camera.constraints.new("FOLLOW_PATH")
    constraint.target, constraint.use_curve_follow = path, True
    key(constraint, "offset", (0.0, -80.0))


def by_drivers(blender, scene, camera, new):
    """A driver of the frame, one of another object, and one of a property of the scene, on place and lens."""
    other = new("Other")
    key(other, "location", ((0, 0, 0), (0, 3, 0)))
    scene["dolly"] = 1.5
    camera.driver_add("location", 0).driver.expression = "frame * 0.1"
    driven = camera.driver_add("location", 1).driver
    variable = driven.variables.new()
    variable.name, variable.type = "y", "TRANSFORMS"
    variable.targets[0].id, variable.targets[0].transform_type = other, "LOC_Y"
    driven.expression = "2 * y"
    lens = camera.data.driver_add("lens").driver
    variable = lens.variables.new()
    variable.name, variable.targets[0].id_type = "d", "SCENE"
    variable.targets[0].id, variable.targets[0].data_path = scene, '["dolly"]'
    lens.expression = "20 * d + frame"


def on_a_bone(blender, scene, camera, new):
    """A child of a posed bone."""
    armature = blender.data.armatures.new("Rig")
    rig = new("Rig", armature)
    with blender.context.temp_override(active_object=rig, object=rig):
        blender.context.view_layer.objects.active = rig
        blender.ops.object.mode_set(mode="EDIT")
        bone = armature.edit_bones.new("Arm")
        bone.head, bone.tail = (0, 0, 0), (0, 0, 2)
        blender.ops.object.mode_set(mode="OBJECT")
    camera.parent, camera.parent_type, camera.parent_bone = rig, "BONE", "Arm"
    camera.location = (1, 2, 0)
    pose = rig.pose.bones["Arm"]
    pose.rotation_mode = "XYZ"
    for frame, angle in ((1, 0.0), (24, 1.2)):
        pose.rotation_euler.x = angle
        pose.keyframe_insert("rotation_euler", frame=frame)


def on_a_deformed_mesh(blender, scene, camera, new):
    """A child of a vertex of a mesh that a modifier bends."""
    mesh = blender.data.meshes.new("Boat")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    boat = new("Boat", mesh)
    wave = boat.modifiers.new("Wave", "WAVE")
    wave.height, wave.width, wave.speed = 2.0, 1.5, 0.3
    camera.parent, camera.parent_type, camera.parent_vertices = boat, "VERTEX_3", (0, 1, 2)


def by_strips(blender, scene, camera, new):
    """Actions that lie as strips in the NLA, one of them slowed down."""
    key(camera, "location", ((0, 0, 0), (5, 0, 0)))
    animation = camera.animation_data
    action, animation.action = animation.action, None
    strip = animation.nla_tracks.new().strips.new("Walk", 1, action)
    strip.scale = 0.5


def by_keys_of_everything(blender, scene, camera, new):
    """Place, turn, lens, shift and sensor, in rotation by quaternions."""
    camera.rotation_mode = "QUATERNION"
    key(camera, "rotation_quaternion", ((1, 0, 0, 0), (0.7, 0.7, 0, 0)))
    key(camera, "location", ((0, 0, 0), (1, 2, 3)))
    for name, values in (
        ("lens", (20, 80)),
        ("shift_x", (-0.2, 0.2)),
        ("shift_y", (0.1, 0.0)),
        ("sensor_width", (24, 36)),
    ):
        key(camera.data, name, values)


def through_delta_and_constraints(blender, scene, camera, new):
    """Delta transforms, a limit, a damped track and a copy, whose influence is keyed."""
    camera.delta_location, camera.delta_rotation_euler = (0.5, 0, 0), (0.1, 0.2, 0)
    target = new("Target")
    key(target, "location", ((4, 0, 0), (0, 4, 2)))
    key(camera, "location", ((0, 0, 0), (0, 0, 5)))
    camera.constraints.new("LIMIT_LOCATION").use_max_z = True
    camera.constraints["Limit Location"].max_z = 3.0
    track = camera.constraints.new("DAMPED_TRACK")
    track.target, track.track_axis = target, "TRACK_NEGATIVE_Z"
    copy = camera.constraints.new("COPY_LOCATION")
    copy.target = target
    key(copy, "influence", (0.0, 0.7))


RIGS = (
    on_a_path,
    by_drivers,
    on_a_bone,
    on_a_deformed_mesh,
    by_strips,
    by_keys_of_everything,
    through_delta_and_constraints,
)


@pytest.mark.parametrize("rig", RIGS, ids=[rig.__name__ for rig in RIGS])
def test_rig_is_read_as_blender_shows_it(blender, scene, add_camera, addon, new, rig):
    camera = add_camera()
    scene.frame_start, scene.frame_end = 1, 24
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    rig(blender, scene, camera, new)
    scene.frame_set(7)

    path = addon("scene_camera").sample_camera(scene, camera)

    moved = 0.0
    for frame in FRAMES:
        scene.frame_set(frame)
        depsgraph = blender.context.evaluated_depsgraph_get()
        evaluated = camera.evaluated_get(depsgraph)
        pose = np.array(evaluated.matrix_world.normalized()) @ np.diag([1.0, -1.0, -1.0, 1.0])
        np.testing.assert_allclose(path.world_from_camera[frame - 1], pose, atol=1e-5, err_msg=f"at {frame}")
        matrix = np.array(evaluated.calc_matrix_camera(depsgraph, x=640, y=360))
        focal = [matrix[0, 0] * 320, matrix[1, 1] * 180]
        middle = [(1 - matrix[0, 2]) * 320, (1 + matrix[1, 2]) * 180]
        np.testing.assert_allclose(path.intrinsics[frame - 1][[0, 1], [0, 1]], focal, atol=0.01)
        np.testing.assert_allclose(path.intrinsics[frame - 1][:2, 2], middle, atol=0.01)
        moved = max(moved, float(np.abs(pose - path.world_from_camera[0]).max()))
    assert moved > 0.3, "this rig moves its camera"
