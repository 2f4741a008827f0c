"""The plane: the right frame at every scene frame, never magenta, and exactly in the camera's frustum."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 200)


def code(frame: int) -> tuple[int, int, int]:
    """A colour for each result frame, far from its neighbours' and from magenta."""
    return (20 + 40 * (frame % 6), 230 - 20 * frame, 0)


@pytest.fixture
def place(addon, scene, tmp_path, write_picture):
    """Place a result of coded frames before a camera, and give mapping and plane."""

    def put(camera, num_frames=5, size=(16, 16), paint=code):
        mapping = addon("timeline").FrameMapping(
            scene.frame_start, scene.frame_end - scene.frame_start + 1, 24.0, num_frames
        )
        for frame in range(num_frames):
            write_picture(tmp_path / "frames" / f"{frame:05d}.png", paint(frame), *size)
        addon("sequence").spread_frames(tmp_path / "frames", tmp_path / "plane", mapping.result_frames())
        path = addon("scene_camera").sample_camera(scene, camera).for_size(*size)
        plane = addon("image_plane").make_plane(scene, camera, "Result")
        addon("image_plane").fit_plane(plane, scene, camera, path, mapping)
        addon("plane_material").show_frames(plane, tmp_path / "plane", mapping)
        return mapping, plane

    return put


@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
@pytest.mark.parametrize(
    ("frame_start", "frame_end", "num_frames"), [(10, 21, 5), (1, 5, 5), (-3, 13, 9), (1001, 1007, 5)]
)
def test_every_scene_frame_shows_its_result_frame(
    scene, add_camera, place, render, engine, frame_start, frame_end, num_frames
):
    scene.frame_start, scene.frame_end = frame_start, frame_end
    mapping, _ = place(add_camera(), num_frames)

    # All of the shot in Workbench, which is fast; its ends, its middle and what lies outside in both.
    middle = (frame_start + frame_end) // 2
    wanted = {
        frame_start - 30,
        frame_start - 1,
        frame_start,
        middle,
        frame_end,
        frame_end + 1,
        frame_end + 100,
    }
    if engine == "BLENDER_WORKBENCH":
        wanted |= set(range(frame_start, frame_end + 1))
    for scene_frame in sorted(wanted):
        expected = code(mapping.result_frame_at(scene_frame))
        np.testing.assert_allclose(
            render(scene_frame, engine)[8, 8], expected, atol=3, err_msg=f"at scene frame {scene_frame}"
        )


@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
@pytest.mark.parametrize(
    ("fps", "fps_base", "model_fps", "num_scene_frames", "num_frames"),
    [(24, 1.0, 8.0, 25, 9), (30, 1.0, 16.0, 17, 9), (24, 1.001, 16.0, 13, 9), (60, 1.0, 12.5, 43, 9)],
)
def test_planned_rates_show_what_is_on_at_that_time(
    blender,
    scene,
    add_camera,
    addon,
    place,
    render,
    engine,
    fps,
    fps_base,
    model_fps,
    num_scene_frames,
    num_frames,
):
    """Start, middle, end, before and after of a shot whose length the server's model decides."""
    import msgspec

    scene.render.fps, scene.render.fps_base = fps, fps_base
    scene.frame_start, scene.frame_end = 101, 100 + num_scene_frames
    scene_fps = addon("scene_camera").scene_fps(scene)
    model = msgspec.defstruct("Model", [("fps", float), ("frame_step", int), ("max_frames", int)])
    planned = addon("timeline").plan(101, 100 + num_scene_frames, scene_fps, model(model_fps, 4, 241))
    assert planned.num_frames == num_frames
    place(add_camera(), num_frames)

    middle = 101 + num_scene_frames // 2
    for scene_frame in (
        80,
        100,
        101,
        102,
        middle - 1,
        middle,
        middle + 1,
        scene.frame_end,
        scene.frame_end + 1,
        300,
    ):
        inside = min(max(scene_frame - 101, 0), num_scene_frames - 1)
        # By the clock, and not by the code under test: the frame that has begun by then and not ended.
        on = int(inside / scene_fps / (num_scene_frames / scene_fps) * num_frames + 1e-9)
        shown = render(scene_frame, engine)[8, 8]
        np.testing.assert_allclose(shown, code(on), atol=3, err_msg=f"at scene frame {scene_frame}")


def border_is_inside(picture, background):
    """Whether the picture shows the plane, and nothing beside it, right up to its edges."""
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return not np.any(np.all(np.abs(edge - background) < 3, axis=-1))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.2, -0.1)])
@pytest.mark.parametrize("fit", ["AUTO", "VERTICAL"])
def test_plane_fills_the_picture_exactly(blender, scene, add_camera, place, render, fit, shift):
    scene.frame_start, scene.frame_end = 1, 5
    camera = add_camera(lens=40.0, sensor_fit=fit, shift_x=shift[0], shift_y=shift[1])
    parent = blender.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.scale = (3.0, 3.0, 3.0)
    parent.rotation_euler = (0.2, 0.1, 0.9)
    camera.parent = parent
    camera.location = (1.0, -2.0, 0.5)
    camera.rotation_euler = (1.2, 0.3, 0.4)
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    _, plane = place(camera, size=(64, 36))
    black = (0, 0, 0)

    assert border_is_inside(render(1, size=(64, 36)), black)
    # At the distance of the 3D cursor, which the parent's scale does not touch.
    depsgraph = blender.context.evaluated_depsgraph_get()
    from_camera = camera.evaluated_get(depsgraph).matrix_world.normalized().inverted()
    centre = (from_camera @ plane.evaluated_get(depsgraph).matrix_world).translation
    assert centre.z == pytest.approx((from_camera @ scene.cursor.location).z, abs=1e-3)
    # Not larger either: a plane smaller by 4 % leaves the edges free.
    for axis in (0, 1):
        plane.scale[axis] *= 0.96
    assert not border_is_inside(render(1, size=(64, 36)), black)


def test_square_result_covers_the_middle_of_a_wide_picture(scene, add_camera, place, render):
    scene.frame_start, scene.frame_end = 1, 5
    scene.render.resolution_x, scene.render.resolution_y = 64, 32
    place(add_camera(), size=(16, 16))

    row = render(1, size=(64, 32))[16]

    lit = np.flatnonzero(row[:, 1] > 100)
    assert (lit[0], lit[-1]) == (16, 47)


def test_plane_follows_lens_and_distance(blender, scene, add_camera, place, render):
    """A vertigo move: camera and lens both change, the plane fills every frame and stays at the subject."""
    scene.frame_start, scene.frame_end = 1, 9
    camera = add_camera()
    camera.rotation_euler = (np.pi / 2, 0.0, 0.0)
    for scene_frame, y, lens in ((1, -3.0, 30.0), (9, -8.0, 80.0)):
        camera.location = (0.0, y, 0.0)
        camera.keyframe_insert("location", frame=scene_frame)
        camera.data.lens = lens
        camera.data.keyframe_insert("lens", frame=scene_frame)
    _, plane = place(camera, size=(16, 16))

    for scene_frame in (1, 3, 6, 9):
        assert border_is_inside(render(scene_frame), (0, 0, 0))
        evaluated = plane.evaluated_get(blender.context.evaluated_depsgraph_get())
        # The subject is at the cursor, the origin.
        np.testing.assert_allclose(evaluated.matrix_world.translation, (0, 0, 0), atol=1e-4)


@pytest.mark.parametrize("where", ["SUBJECT", "UPRIGHT"])
@pytest.mark.parametrize(("shown", "keyed"), [(3, 3), (40, 9)])
def test_plane_is_where_it_belongs_before_the_frame_changes(
    blender, scene, add_camera, place, addon, where, shown, keyed
):
    """Blender looks at keys when the frame changes; until then the plane stood as in the last one."""
    camera = add_camera()
    camera.rotation_euler = (np.pi / 2, 0.0, 0.0)
    for scene_frame, y in ((1, -3.0), (9, -8.0)):
        camera.location = (0.0, y, 0.0)
        camera.keyframe_insert("location", frame=scene_frame)
    scene.frame_start, scene.frame_end = 1, 9
    scene.frame_set(shown)
    mapping, plane = place(camera)
    path = addon("scene_camera").sample_camera(scene, camera).for_size(16, 16)
    addon("image_plane").fit_plane(plane, scene, camera, path, mapping, where)
    addon("image_plane").set_visibility(plane, scene, mapping, "shot")

    def stands():
        mesh = plane.evaluated_get(blender.context.evaluated_depsgraph_get()).to_mesh()
        return plane.matrix_world.copy(), [vertex.co.copy() for vertex in mesh.vertices]

    blender.context.view_layer.update()
    matrix, corners = stands()
    hidden = plane.hide_render
    scene.frame_set(keyed + 1)
    scene.frame_set(shown)

    np.testing.assert_allclose(matrix, stands()[0], atol=1e-5)
    np.testing.assert_allclose(corners, stands()[1], atol=1e-5)
    assert hidden == plane.hide_render == (shown > 9)


def test_frames_are_the_right_way_round(blender, scene, add_camera, addon, place, render, tmp_path):
    scene.frame_start, scene.frame_end = 1, 5
    camera = add_camera()
    camera.rotation_euler = (1.0, 0.5, 0.3)
    _, plane = place(camera, size=(16, 16))
    image = plane.active_material.node_tree.nodes["Image Texture"].image
    # Quadrants: red upper left, green upper right, blue lower left, white lower right. Blender starts below.
    upper = [*[RED] * 8, *[GREEN] * 8]
    lower = [*[BLUE] * 8, *[WHITE] * 8]
    quadrants = blender.data.images.new("Quadrants", 16, 16)
    rows = [lower] * 8 + [upper] * 8
    quadrants.pixels = [value / 255 for row in rows for rgb in row for value in (*rgb, 255)]
    quadrants.filepath_raw = str(tmp_path / "plane" / "00000.png")
    quadrants.file_format = "PNG"
    quadrants.save()
    image.reload()

    picture = render(1)

    for (y, x), colour in (((4, 4), RED), ((4, 12), GREEN), ((12, 4), BLUE), ((12, 12), WHITE)):
        np.testing.assert_allclose(picture[y, x], colour, atol=3)


def test_saved_file_shows_the_same_frames_after_loading(blender, scene, add_camera, place, render, tmp_path):
    scene.frame_start, scene.frame_end = 10, 21
    place(add_camera())
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    loaded = blender.context.scene

    (plane,) = loaded.collection.children["3DiMo"].objects
    user = plane.active_material.node_tree.nodes["Image Texture"].image_user
    assert (user.frame_start, user.frame_duration, user.frame_offset) == (10, 12, -1)
    image = plane.active_material.node_tree.nodes["Image Texture"].image
    assert blender.path.abspath(image.filepath) == str(tmp_path / "plane" / "00000.png")


def test_plane_casts_no_light_and_no_shadow(scene, add_camera, place):
    _, plane = place(add_camera())

    assert not plane.visible_shadow
    assert not plane.visible_diffuse
    assert plane.visible_camera
