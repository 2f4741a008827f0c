"""How far away the plane is: at the subject, among what else is there, or before everything."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FLOOR = (0, 0, 0)
FRAMES = range(1, 6)


def code(frame):
    """A colour for each frame, far from its neighbours'."""
    return (20 + 40 * frame, 230 - 40 * frame, 0)


@pytest.fixture
def camera(blender, scene, add_camera, tmp_path):
    """A camera four metres before the subject, with a floor in between that fills the picture."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene.frame_start, scene.frame_end = FRAMES.start, FRAMES.stop - 1
    camera = add_camera(clip_start=0.5)
    camera.location, camera.rotation_euler = (0.0, -4.0, 0.0), (np.pi / 2, 0.0, 0.0)
    mesh = blender.data.meshes.new("Floor")
    mesh.from_pydata([(-9, -2, -9), (9, -2, -9), (9, -2, 9), (-9, -2, 9)], [], [(0, 1, 2, 3)])
    material = blender.data.materials.new("Floor")
    material.diffuse_color = (0.0, 0.0, 0.0, 1.0)
    mesh.materials.append(material)
    scene.collection.objects.link(blender.data.objects.new("Floor", mesh))
    return camera


@pytest.fixture
def arrive(blender, camera, leave_take):
    """Let a take arrive."""

    def come(**facts):
        job = leave_take(camera, paint=code, scene_frames=FRAMES, num_frames=5, **facts)
        blender.ops.threedimo.reattach()
        return job

    return come


@pytest.fixture
def plane(scene, arrive):
    """The plane of a take, at the subject."""
    arrive()
    return scene.threedimo.shots[0].plane


def place(blender, where):
    assert blender.ops.threedimo.place_plane(shot=0, place=where) == {"FINISHED"}


def test_plane_before_everything_is_seen_and_fills_every_frame(blender, scene, plane, render):
    np.testing.assert_allclose(render(3)[8, 8], FLOOR, atol=3)

    place(blender, "FOREMOST")

    assert -plane.location.z == pytest.approx(0.55)
    for frame in FRAMES:
        shown = render(frame)
        expected = np.broadcast_to(code(frame - 1), shown.shape)
        np.testing.assert_allclose(shown, expected, atol=3, err_msg=f"at scene frame {frame}")
    plane.scale[0] *= 0.9
    np.testing.assert_allclose(render(3)[8, 0], FLOOR, atol=3, err_msg="not larger than the picture")


def test_plane_goes_back_to_the_subject(blender, plane):
    place_before, size_before = plane.location.copy(), plane.scale.copy()

    place(blender, "FOREMOST")
    assert plane.location != place_before
    place(blender, "SUBJECT")

    assert (plane.location, plane.scale) == (place_before, size_before)


def test_plane_before_everything_follows_the_lens(blender, scene, camera, arrive, render):
    for frame, lens in ((1, 50.0), (5, 100.0)):
        camera.data.lens = lens
        camera.data.keyframe_insert("lens", frame=frame)
    arrive()

    place(blender, "FOREMOST")

    plane, sizes = scene.threedimo.shots[0].plane, []
    for frame in (1, 5):
        np.testing.assert_allclose(render(frame)[0, 0], code(frame - 1), atol=3)
        assert -plane.location.z == pytest.approx(0.55)
        sizes.append(plane.scale.x)
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=1e-3)


def test_later_takes_come_to_the_same_place_and_own_changes_last(blender, scene, plane, arrive):
    place(blender, "FOREMOST")
    plane.location.x += 0.01
    moved = plane.location.copy()

    arrive(seed=1)
    blender.ops.threedimo.step_take(shot=0, step=-1)

    assert plane.location == moved
    place(blender, "FOREMOST")
    assert plane.location.x == pytest.approx(0.0), "chosen again it is fitted anew"


def test_place_can_be_chosen_before_there_is_a_plane(blender, scene, camera, leave_take):
    leave_take(camera, paint=code, scene_frames=FRAMES, num_frames=5)

    place(blender, "FOREMOST")
    blender.ops.threedimo.reattach()

    assert -scene.threedimo.shots[0].plane.location.z == pytest.approx(0.55)


def test_place_that_cannot_be_had_changes_nothing(blender, scene, plane, addon):
    shot = scene.threedimo.shots[0]
    before = plane.location.copy(), shot.plane_place, shot.fitted
    (addon("take_records").take_folder(shot.takes[0]) / "camera.json").write_text(json.dumps({}))

    with pytest.raises(RuntimeError):
        blender.ops.threedimo.place_plane(shot=0, place="FOREMOST")
    with pytest.raises(RuntimeError, match="the scene has no such shot"):
        blender.ops.threedimo.place_plane(shot=4, place="FOREMOST")

    assert (plane.location, shot.plane_place, shot.fitted) == before


def test_panel_names_the_place(blender, scene, plane, drawn):
    scene.threedimo.shots[0].expanded = True

    place(blender, "FOREMOST")

    panel = drawn("take_panels", "THREEDIMO_PT_takes")
    assert "Plane: Before Everything" in panel.labels
    assert panel.operators["threedimo.place_plane"].shot == 0
