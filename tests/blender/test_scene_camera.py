"""The camera conversion against Blender's own projection, and a scene that is left as it was."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def sample(addon, scene):
    """Sample the scene's camera."""
    return lambda camera, subject=None: addon("scene_camera").sample_camera(scene, camera, subject)


def blender_pixels(blender, scene, camera, points, width, height):
    """Project world points by Blender's own `world_to_camera_view`, to pixels from the upper left."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    views = [world_to_camera_view(scene, camera, Vector(point)) for point in points]
    return np.array([(view.x * width, (1 - view.y) * height) for view in views])


def path_pixels(path, frame, points):
    """Project world points (metres) by the camera path."""
    camera_from_world = np.linalg.inv(path.world_from_camera[frame])
    homogeneous = np.column_stack([points, np.ones(len(points))])
    seen = (camera_from_world @ homogeneous.T).T[:, :3]
    assert (seen[:, 2] > 0).all(), "the points of this test lie before the camera"
    projected = seen @ path.intrinsics[frame].T
    return projected[:, :2] / projected[:, 2:]


def points_before(camera_matrix, rng):
    """Random world points in the view of a camera that looks along its -z."""
    local = np.column_stack([rng.uniform(-1, 1, (20, 2)), -rng.uniform(2, 6, 20), np.ones(20)])
    return (np.array(camera_matrix.normalized()) @ local.T).T[:, :3]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.13, -0.08)])
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (512, 512)])
@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
def test_projection_is_blenders_own(blender, scene, add_camera, sample, fit, size, shift):
    rng = np.random.default_rng(3)
    camera = add_camera(
        lens=35.0, sensor_width=30.0, sensor_height=20.0, sensor_fit=fit, shift_x=shift[0], shift_y=shift[1]
    )
    camera.location = (1.0, -4.0, 1.7)
    camera.rotation_euler = (1.3, 0.2, 0.4)
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.frame_end = scene.frame_start
    blender.context.view_layer.update()

    path = sample(camera)

    assert (path.width, path.height) == size
    points = points_before(camera.matrix_world, rng)
    expected = blender_pixels(blender, scene, camera, points, *size)
    np.testing.assert_allclose(path_pixels(path, 0, points), expected, atol=0.01)


def test_resolution_percentage_and_pixel_aspect_keep_the_projection(blender, scene, add_camera, sample):
    camera = add_camera(lens=28.0)
    scene.render.resolution_x, scene.render.resolution_y = 1440, 1080
    scene.render.resolution_percentage = 50
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = 4.0, 3.0
    scene.frame_end = scene.frame_start
    blender.context.view_layer.update()

    path = sample(camera)

    # 720x540 pixels of 4:3 are a picture of 16:9.
    assert (path.width, path.height) == (720, 405)
    points = points_before(camera.matrix_world, np.random.default_rng(4))
    expected = blender_pixels(blender, scene, camera, points, 720, 405)
    np.testing.assert_allclose(path_pixels(path, 0, points), expected, atol=0.05)


def test_intrinsics_agree_with_calc_matrix_camera(blender, scene, add_camera, sample):
    camera = add_camera(lens=50.0, shift_x=0.1, shift_y=0.05)
    scene.render.resolution_x, scene.render.resolution_y = 800, 450
    scene.frame_end = scene.frame_start
    blender.context.view_layer.update()
    depsgraph = blender.context.evaluated_depsgraph_get()
    matrix = np.array(camera.calc_matrix_camera(depsgraph, x=800, y=450))

    (intrinsics,) = sample(camera).intrinsics

    assert intrinsics[0, 0] == pytest.approx(matrix[0, 0] * 400, abs=1e-2)
    assert intrinsics[1, 1] == pytest.approx(matrix[1, 1] * 225, abs=1e-2)
    assert intrinsics[0, 2] == pytest.approx((1 - matrix[0, 2]) * 400, abs=1e-2)
    assert intrinsics[1, 2] == pytest.approx((1 + matrix[1, 2]) * 225, abs=1e-2)


@pytest.fixture
def rig(blender, scene, add_camera):
    """A camera on a scaled, moving parent, tracking a target, with an animated lens."""
    camera = add_camera(lens=24.0)
    dolly = blender.data.objects.new("Dolly", None)
    target = blender.data.objects.new("Target", None)
    for item in (dolly, target):
        scene.collection.objects.link(item)
    dolly.scale = (2.0, 2.0, 2.0)
    target.location = (0.3, 0.2, 1.0)
    camera.parent = dolly
    camera.location = (0.5, -2.0, 0.8)
    camera.constraints.new("TRACK_TO").target = target
    for scene_frame, x, lens in ((1, -2.0, 24.0), (24, 3.0, 70.0)):
        dolly.location = (x, -1.0, 0.5)
        dolly.keyframe_insert("location", frame=scene_frame)
        camera.data.lens = lens
        camera.data.keyframe_insert("lens", frame=scene_frame)
    scene.frame_start, scene.frame_end = 1, 24
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    return camera


def test_constraints_parents_and_lens_animation_are_followed(blender, scene, rig, sample):
    path = sample(rig)

    assert path.num_frames == 24
    assert path.fps == 24.0
    for scene_frame in (1, 9, 24):
        scene.frame_set(scene_frame)
        evaluated = rig.evaluated_get(blender.context.evaluated_depsgraph_get())
        points = points_before(evaluated.matrix_world, np.random.default_rng(scene_frame))
        expected = blender_pixels(blender, scene, evaluated, points, 640, 360)
        np.testing.assert_allclose(path_pixels(path, scene_frame - 1, points), expected, atol=0.02)


def test_unit_scale_makes_metres(blender, scene, rig, sample):
    metres = sample(rig)
    scene.unit_settings.scale_length = 0.01

    centimetres = sample(rig)

    np.testing.assert_allclose(centimetres.positions, metres.positions * 0.01, rtol=1e-6)
    np.testing.assert_allclose(centimetres.rotations, metres.rotations, atol=1e-9)


def test_sampling_leaves_the_scene_as_it_was(blender, scene, rig, sample):
    scene.frame_set(7, subframe=0.25)
    subject = blender.data.objects["Target"]

    def state():
        return (
            scene.frame_current_final,
            tuple(blender.data.objects["Dolly"].location),
            rig.data.lens,
            [tuple(row) for row in rig.matrix_world],
            sorted(
                item.name for collection in (blender.data.scenes, blender.data.objects) for item in collection
            ),
            rig.users,
            blender.context.scene.name,
        )

    before = state()
    sample(rig, subject)

    assert state() == before


def test_heavy_scene_costs_nothing(blender, scene, rig, sample):
    mesh = blender.data.meshes.new("Heavy")
    mesh.from_pydata([(math.sin(i), math.cos(i), 0.0) for i in range(20_000)], [], [])
    heavy = blender.data.objects.new("Heavy", mesh)
    scene.collection.objects.link(heavy)
    heavy.modifiers.new("Subdivide", "SUBSURF")
    heavy.modifiers.new("Wave", "WAVE")
    scene.frame_end = 120
    sample(rig)

    start = time.perf_counter()
    sample(rig)
    elapsed_s = time.perf_counter() - start

    assert elapsed_s < 0.25, "an evaluation of the scene takes seconds for 120 frames"


def test_subject_gives_position_and_facing(blender, scene, rig, sample):
    mesh = blender.data.meshes.new("Person")
    mesh.from_pydata([(-0.3, -0.2, 0.0), (0.3, 0.2, 1.8)], [], [])
    person = blender.data.objects.new("Person", mesh)
    scene.collection.objects.link(person)
    person.rotation_euler.z = math.radians(90)
    for scene_frame, y in ((1, 5.0), (24, 9.0)):
        person.location = (1.0, y, 0.0)
        person.keyframe_insert("location", frame=scene_frame)
    scene.frame_set(20)

    path = sample(rig, person)

    # Where it stands in the first frame, whichever frame the user looks at.
    np.testing.assert_allclose(path.subject_position, (1.0, 5.0, 0.9), atol=1e-5)
    # Blender's figures face -y; turned by 90 degrees that is +x.
    np.testing.assert_allclose(path.subject_forward, (1.0, 0.0, 0.0), atol=1e-6)


def test_without_a_subject_the_person_is_on_the_axis_at_the_cursors_distance(scene, add_camera, sample):
    camera = add_camera()
    camera.location = (0.0, -5.0, 1.0)
    camera.rotation_euler = (math.pi / 2, 0.0, 0.0)
    scene.frame_end = scene.frame_start
    scene.cursor.location = (2.0, 1.0, 0.0)

    path = sample(camera)

    np.testing.assert_allclose(path.subject_position, (0.0, 1.0, 1.0), atol=1e-5)
    np.testing.assert_allclose(path.subject_forward, (0.0, -1.0, 0.0), atol=1e-6)

    scene.cursor.location = (0.0, -9.0, 0.0)
    np.testing.assert_allclose(sample(camera).subject_position, (0.0, -1.0, 1.0), atol=1e-5)


@pytest.mark.parametrize(("kind", "named"), [("ORTHO", "orthographic"), ("PANO", "panoramic")])
def test_cameras_without_a_lens_are_refused(add_camera, sample, kind, named):
    from threedimo.errors import UnsupportedCamera

    camera = add_camera(type=kind)

    with pytest.raises(UnsupportedCamera, match=f"{named}.*Allowed: perspective.*set the camera's type"):
        sample(camera)


def test_parent_that_shears_the_view_is_refused(blender, scene, add_camera, sample):
    from threedimo.errors import InvalidCameraPath

    camera = add_camera()
    parent = blender.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.scale = (1.0, 3.0, 1.0)
    camera.parent = parent
    camera.rotation_euler = (0.4, 0.3, 0.7)

    with pytest.raises(InvalidCameraPath, match="remove scale from the camera and its parents"):
        sample(camera)


def test_marker_binds_the_camera_and_a_cut_inside_the_shot_is_refused(scene, add_camera, addon):
    from threedimo.errors import InvalidCameraPath

    first, second = add_camera("First"), add_camera("Second")
    scene.frame_start, scene.frame_end = 10, 20
    scene.timeline_markers.new("a", frame=12).camera = first
    shot_camera = addon("scene_camera").shot_camera
    assert shot_camera(scene, None) == first, "before the first marker Blender uses its camera, too"

    scene.timeline_markers.new("b", frame=20).camera = second
    with pytest.raises(InvalidCameraPath, match="Second at frame 20"):
        shot_camera(scene, None)
    assert shot_camera(scene, second) == second

    scene.frame_end = 19
    assert shot_camera(scene, None) == first
