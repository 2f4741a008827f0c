"""What the 3D view shows of a camera that is sent: its lines, when they are made, and what they cost.

Blender without a window draws nothing, so that what is drawn is looked at in `make gui-test`; here is what
the drawing is given.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def camera(blender, scene, add_camera):
    """A camera that is keyed at frames 11, 20 and 40, looks along +y, and passes a person."""
    camera = add_camera(lens=50.0)
    camera.rotation_euler = (np.pi / 2, 0.0, 0.0)
    for frame, x in ((11, -1.0), (20, 0.0), (40, 2.0)):
        camera.location = (x, -4.0, 1.0)
        camera.keyframe_insert("location", frame=frame)
    person = blender.data.objects.new("Person", None)
    person.location = (0.0, 0.0, 1.0)
    scene.collection.objects.link(person)
    scene.threedimo.subject = person
    scene.frame_start, scene.frame_end = 11, 50
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    blender.context.view_layer.update()
    return camera


def frames_of(lines):
    """The numbers of the drawn frames; those of one place share a label."""
    return [int(frame) for _, frames in lines.labels for frame in frames.split(", ")]


@pytest.fixture
def lines(blender, scene, camera, addon):
    """The lines once the camera was read."""
    assert blender.ops.threedimo.read_camera() == {"FINISHED"}
    return addon("camera_overlay").held_lines(scene)


def test_path_goes_where_the_camera_goes(scene, camera, lines):
    assert len(lines.path) == 40
    for frame in (11, 27, 50):
        scene.frame_set(frame)
        np.testing.assert_allclose(lines.path[frame - 11], camera.matrix_world.translation, atol=1e-5)


def test_keyed_views_are_what_the_camera_sees(blender, scene, camera, lines):
    """The corners of each drawn view lie in the corners of the picture, by Blender's own projection."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    assert [names for _, names in lines.labels] == ["11", "20", "40, 50"], "one label a place"
    places = [(place, int(name)) for place, names in lines.labels for name in names.split(", ")]
    views = lines.views.reshape(4, 10, 2, 3)
    for view, (place, frame) in zip(views, places, strict=True):
        scene.frame_set(frame)
        np.testing.assert_allclose(place, camera.matrix_world.translation, atol=1e-5)
        corners = [world_to_camera_view(scene, camera, Vector(point)) for point in view[:4, 0]]
        expected = [(0, 1), (1, 1), (1, 0), (0, 0)]
        np.testing.assert_allclose([(seen.x, seen.y) for seen in corners], expected, atol=1e-4)
        up = world_to_camera_view(scene, camera, Vector(view[8, 1]))
        assert up.y > 1.05, "the tick says which way is up"


def test_person_stands_and_faces_as_it_is_sent(lines):
    np.testing.assert_allclose(lines.person[:6].mean(axis=0), (0.0, 0.0, 1.0), atol=1e-5)
    arrow = lines.person[7] - lines.person[6]
    np.testing.assert_allclose(arrow / np.linalg.norm(arrow), (0.0, -1.0, 0.0), atol=1e-5)


def test_lines_are_in_the_units_of_the_scene(blender, scene, camera, lines, addon):
    scene.unit_settings.scale_length = 0.01
    blender.ops.threedimo.read_camera()

    in_centimetres = addon("camera_overlay").held_lines(scene)

    np.testing.assert_allclose(in_centimetres.path, lines.path, atol=1e-4)
    np.testing.assert_allclose(in_centimetres.views, lines.views, atol=1e-4)


def test_panel_says_how_far_away_the_person_is_sent_to_be(blender, scene, camera, drawn):
    """A scene that is modelled in centimetres, and whose units do not say so, shows at once."""
    assert "away" not in drawn("panels", "THREEDIMO_PT_shot").text
    blender.ops.threedimo.read_camera()
    assert "person 4.12 m away" in drawn("panels", "THREEDIMO_PT_shot").labels

    scene.unit_settings.scale_length = 0.01
    blender.ops.threedimo.read_camera()

    assert "person 0.0412 m away (1 unit is 0.01 m)" in drawn("panels", "THREEDIMO_PT_shot").labels


def test_baked_camera_shows_some_views_evenly(blender, scene, camera, addon):
    for frame in range(11, 51):
        camera.keyframe_insert("location", frame=frame)
    blender.ops.threedimo.read_camera()

    shown = frames_of(addon("camera_overlay").held_lines(scene))

    assert len(shown) == addon("overlay_lines").MAX_VIEWS
    assert (shown[0], shown[-1]) == (11, 50)
    assert set(np.diff(shown)) <= {3, 4}


def test_keys_of_the_person_are_no_views_and_those_of_a_parent_are(blender, scene, camera, addon):
    scene.threedimo.subject.keyframe_insert("location", frame=33)
    crane = blender.data.objects.new("Crane", None)
    scene.collection.objects.link(crane)
    camera.parent = crane
    crane.keyframe_insert("location", frame=44)
    blender.ops.threedimo.read_camera()

    shown = frames_of(addon("camera_overlay").held_lines(scene))

    assert shown == [11, 20, 40, 44, 50]


def test_lines_of_a_still_camera_without_a_person(addon):
    from threedimo.camera import CameraPath

    intrinsics = np.array([[[50.0, 0, 32], [0, 50, 32], [0, 0, 1]]])
    path = CameraPath(np.eye(4)[None], intrinsics, 64, 64, 24.0)

    lines = addon("overlay_lines").overlay_lines(path, 7, [], 1.0)

    assert (lines.path.shape, lines.person.shape) == ((1, 3), (0, 3))
    assert [name for _, name in lines.labels] == ["7"]


def test_what_generate_sends_is_shown_also_with_a_custom_text(
    blender, scene, camera, lines, addon, server_says, tmp_path
):
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    settings = scene.threedimo
    settings.reference_image = str(tmp_path / "woman.png")
    settings.driving_footage = str(tmp_path / "walk.mp4")
    settings.use_custom_text, settings.camera_text = True, "Back view."
    scene.frame_end = 30

    addon("dispatch").begin(scene, "0f0e0d0c-1111-4222-8333-000000000001")

    assert len(addon("camera_overlay").held_lines(scene).path) == 20
    assert settings.camera_text == "Back view."


def test_lines_stay_as_they_were_read_and_ticks_do_not_touch_them(blender, scene, camera, lines, addon):
    camera.location.x = 9.0
    blender.context.view_layer.update()
    for _ in range(5):
        addon("runtime").tick()

    assert addon("camera_overlay").held_lines(scene) is lines
    assert addon("camera_reading").is_stale(scene), "and the view draws them faint"


def test_renamed_scene_keeps_its_lines_and_another_scene_has_none(blender, scene, lines, addon):
    scene.name = "Elsewhere"
    other = blender.data.scenes.new("Other")

    assert addon("camera_overlay").held_lines(scene) is lines
    assert addon("camera_overlay").held_lines(other) is None


def test_overlay_is_hidden_and_shown_by_a_script(blender, scene, camera, addon, drawn):
    assert blender.ops.threedimo.show_overlay(show=False) == {"FINISHED"}
    assert not scene.threedimo.show_overlay
    assert addon("camera_overlay").held_lines(scene) is None
    button = drawn("panels", "THREEDIMO_PT_shot").operators["threedimo.show_overlay"]
    assert button.show is True

    assert blender.ops.threedimo.show_overlay() == {"FINISHED"}

    assert scene.threedimo.show_overlay
    assert len(addon("camera_overlay").held_lines(scene).path) == 40
    assert scene.threedimo.camera_text == "", "shown without touching the words"


def test_camera_that_cannot_be_sent_is_not_shown(blender, scene, camera):
    camera.data.type = "ORTHO"
    scene.threedimo.show_overlay = False

    with pytest.raises(RuntimeError, match="orthographic"):
        blender.ops.threedimo.show_overlay()

    assert not scene.threedimo.show_overlay


def test_file_that_is_opened_shows_its_camera_when_asked(blender, scene, lines, addon, drawn, tmp_path):
    """And not before: a camera on a heavy rig would make opening the file slow."""
    held = addon("camera_overlay").held_lines
    assert drawn("panels", "THREEDIMO_PT_shot").operators["threedimo.show_overlay"].show is False
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert held(blender.context.scene) is None
    assert drawn("panels", "THREEDIMO_PT_shot").operators["threedimo.show_overlay"].show is True

    text = blender.context.scene.threedimo.camera_text
    assert blender.ops.threedimo.show_overlay() == {"FINISHED"}

    np.testing.assert_allclose(held(blender.context.scene).path, lines.path, atol=1e-6)
    assert blender.context.scene.threedimo.camera_text == text != "", "the words are as they were saved"


def test_nothing_is_drawn_or_listened_for_without_a_window(installed, blender, addon):
    assert blender.app.background
    assert addon("camera_overlay")._handlers == []


def test_hidden_overlay_costs_next_to_nothing(blender, scene, lines, addon):
    """What Blender would call whenever it draws a view."""
    from types import SimpleNamespace

    scene.threedimo.show_overlay = False
    space = SimpleNamespace(overlay=SimpleNamespace(show_overlays=True))
    context, took_s = SimpleNamespace(scene=scene, space_data=space), []
    for _ in range(200):
        start_s = time.perf_counter()
        assert addon("camera_overlay")._shown(context) is None
        took_s.append(time.perf_counter() - start_s)

    assert np.median(took_s) < 0.0001


def test_undo_and_deleted_scenes_leave_the_overlay_in_peace(blender, scene, camera, addon):
    """What is held is plain numbers, by ids that outlive undo."""
    held = addon("camera_overlay").held_lines
    blender.ops.ed.undo_push(message="before")
    blender.ops.threedimo.read_camera()
    blender.ops.ed.undo_push(message="read")
    lines = held(scene)

    assert blender.ops.ed.undo() == {"FINISHED"}

    assert blender.context.scene.threedimo.camera_text == ""
    assert held(blender.context.scene) is lines
    other = blender.data.scenes.new("Left over")
    blender.data.scenes.remove(blender.context.scene)
    assert held(other) is None
    addon("runtime").tick()
