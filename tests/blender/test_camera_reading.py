"""The camera's words in the panel: marked once they may be wrong, and only then, without reading it again."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytestmark = pytest.mark.blender

STALE = "Camera or frames were changed since"


@pytest.fixture
def rig(blender, scene, add_camera):
    """A camera that looks at a target and hangs on a pivot that turns, read; and a bystander."""
    camera = add_camera()
    for name in ("Pivot", "Target", "Bystander", "Subject"):
        scene.collection.objects.link(blender.data.objects.new(name, None))
    pivot = scene.objects["Pivot"]
    camera.parent, camera.location = pivot, (0.0, -4.0, 0.0)
    camera.constraints.new("TRACK_TO").target = scene.objects["Target"]
    for frame, angle in ((1, 0.0), (48, np.radians(45))):
        pivot.rotation_euler.z = angle
        pivot.keyframe_insert("rotation_euler", frame=frame)
    scene.objects["Bystander"].location.x = 1.0
    scene.objects["Bystander"].keyframe_insert("location", frame=1)
    scene.frame_start, scene.frame_end = 1, 48
    scene.threedimo.subject = scene.objects["Subject"]
    blender.context.view_layer.update()
    assert blender.ops.threedimo.read_camera() == {"FINISHED"}
    return camera


@pytest.fixture
def stale(blender, addon, drawn):
    """Whether the panel marks the words, once Blender has evaluated what was changed."""

    def shown():
        blender.context.view_layer.update()
        found = addon("camera_reading").is_stale(blender.context.scene)
        assert found == (STALE in drawn("panels", "THREEDIMO_PT_shot").text)
        return found

    return shown


def curve_of(addon, item):
    return next(iter(addon("camera_reading")._curves(item.animation_data.action)))


@pytest.fixture
def change(blender, scene, addon, rig):
    """Change something by its name."""
    item = scene.objects.get

    def move(name):
        item(name).location.x = 5.0

    def move_key():
        curve_of(addon, item("Pivot")).keyframe_points[1].co[1] = 2.0
        item("Pivot").animation_data.action.update_tag()

    def cut_to_another():
        other = blender.data.objects.new("Other", blender.data.cameras.new("Other"))
        scene.collection.objects.link(other)
        scene.camera = other

    changes = {
        "camera": lambda: move("Camera"),
        "lens": lambda: setattr(rig.data, "lens", 35.0),
        "parent": lambda: move("Pivot"),
        "target": lambda: move("Target"),
        "subject": lambda: move("Subject"),
        "key elsewhere": lambda: item("Pivot").keyframe_insert("location", frame=30),
        "key moved": move_key,
        "frames": lambda: setattr(scene, "frame_end", 40),
        "size": lambda: setattr(scene.render, "resolution_x", 200),
        "rate": lambda: setattr(scene.render, "fps", 30),
        "no subject": lambda: setattr(scene.threedimo, "subject", None),
        "other camera": cut_to_another,
        "no camera": lambda: setattr(scene, "camera", None),
        "bystander": lambda: move("Bystander"),
        "bystander's key": lambda: item("Bystander").keyframe_insert("location", frame=30),
        "frame": lambda: scene.frame_set(20),
        "selection": lambda: rig.select_set(True),
        "new object": lambda: scene.collection.objects.link(blender.data.objects.new("New", None)),
        "seed": lambda: setattr(scene.threedimo, "seed", 4),
    }
    return lambda what: changes[what]()


@pytest.mark.parametrize(
    "what",
    [
        *("camera", "lens", "parent", "target", "subject", "key elsewhere", "key moved"),
        *("frames", "size", "rate", "no subject", "other camera", "no camera"),
    ],
)
def test_words_are_marked_after_a_change_until_they_are_read_again(blender, change, stale, what):
    assert not stale()

    change(what)

    assert stale()
    if what != "no camera":
        blender.ops.threedimo.read_camera()
        assert not stale()


def test_keys_of_a_path_that_the_camera_follows_count(blender, scene, rig, addon, stale):
    """Blender's own Animate Path keys the curve and not the camera."""
    curve = blender.data.curves.new("Path", "CURVE")
    curve.dimensions = "3D"
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[1].co = (3.0, 0.0, 0.0, 1.0)
    path = blender.data.objects.new("Path", curve)
    scene.collection.objects.link(path)
    rig.constraints.new("FOLLOW_PATH").target = path
    for frame, place in ((5, 0.0), (40, 100.0)):
        curve.eval_time = place
        curve.keyframe_insert("eval_time", frame=frame)
    blender.context.view_layer.update()
    blender.ops.threedimo.read_camera()
    assert not stale()
    assert {5, 40} <= set(addon("camera_reading").keyed_frames(scene, rig))

    curve_of(addon, curve).keyframe_points[1].co[1] = 60.0
    curve.animation_data.action.update_tag()

    assert stale()


@pytest.mark.parametrize("what", ["bystander", "bystander's key", "frame", "selection", "new object", "seed"])
def test_words_that_still_hold_are_not_marked(change, stale, what):
    change(what)

    assert not stale()


def test_undo_of_something_else_marks_nothing(blender, rig, stale):
    blender.ops.ed.undo_push(message="read")
    blender.data.objects["Bystander"].location.x = 9.0
    blender.context.view_layer.update()
    blender.ops.ed.undo_push(message="moved")

    assert blender.ops.ed.undo() == {"FINISHED"}
    assert not stale()


def test_mark_is_kept_with_the_file(blender, scene, addon, rig, stale, tmp_path):
    file = str(tmp_path / "shot.blend")
    blender.ops.wm.save_as_mainfile(filepath=file)
    blender.ops.wm.open_mainfile(filepath=file)
    assert not addon("camera_reading").is_stale(blender.context.scene)

    blender.data.objects["Camera"].location.x = 1.0
    blender.context.view_layer.update()
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=file)

    assert addon("camera_reading").is_stale(blender.context.scene)


def test_custom_text_and_words_that_were_never_read_are_not_marked(scene, rig, stale):
    rig.location.x = 1.0
    scene.threedimo.use_custom_text = True
    assert not stale()
    scene.threedimo.use_custom_text, scene.threedimo.camera_text = False, ""
    assert not stale()


def test_question_is_cheap_enough_to_draw(scene, rig, addon):
    is_stale, took_s = addon("camera_reading").is_stale, []
    for _ in range(100):
        start_s = time.perf_counter()
        is_stale(scene)
        took_s.append(time.perf_counter() - start_s)

    assert np.median(took_s) < 0.001
