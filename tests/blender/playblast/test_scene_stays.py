"""Filming leaves the scene as it was, between turns, after a stop and after a failure."""

from __future__ import annotations

import math

import pytest

from .conftest import choose, make_clip

pytestmark = pytest.mark.blender


def state_of(blender):
    """All that filming must leave alone: settings of all scenes, numbers of datablocks, selection, poses."""
    data = blender.data
    counts = {
        name: len(getattr(data, name))
        for name in dir(data)
        if hasattr(getattr(data, name), "foreach_get") and not name.startswith("all_")
    }
    scenes = {}
    for scene in data.scenes:
        parts = {"scene": scene, "render": scene.render, "output": scene.render.image_settings}
        parts |= {"shading": scene.display.shading, "view": scene.view_settings}
        scenes[scene.name] = {
            f"{key}.{prop.identifier}": repr(getattr(part, prop.identifier))
            for key, part in parts.items()
            for prop in part.bl_rna.properties
            # Blender 5.0 warns of the one that is left out.
            if prop.type in ("INT", "FLOAT", "STRING", "BOOLEAN", "ENUM") and prop.identifier != "use_nodes"
        }
        scenes[scene.name]["camera"] = repr((scene.camera, scene.world))
    view_layer = blender.context.view_layer
    selection = sorted(item.name for item in view_layer.objects if item.select_get())
    active = view_layer.objects.active and view_layer.objects.active.name
    poses = {
        item.name: (
            repr(item.matrix_world),
            tuple(item.location),
            [tuple(bone.rotation_quaternion) for bone in item.pose.bones] if item.pose else [],
        )
        for item in data.objects
    }
    handlers = len(blender.app.handlers.frame_change_post)
    window = blender.context.scene.name, blender.context.view_layer.name
    return counts, scenes, selection, active, poses, handlers, window


def test_scene_is_left_as_it_was(blender, scene, anna, stranger, add_camera, shoot):
    """Even a pose that was not keyed yet, and a camera that a marker would replace."""
    choose(scene, "OBJECT", anna)
    chosen, other = add_camera("Chosen"), add_camera("Other")
    scene.timeline_markers.new("cut", frame=1).camera = other
    scene.frame_set(4)
    scene.camera = chosen
    anna.pose.bones["arm"].rotation_quaternion = (0.0, 1.0, 0.0, 0.0)
    stranger.select_set(True)
    blender.context.view_layer.objects.active = stranger
    blender.context.view_layer.update()
    before = state_of(blender)

    shoot()

    assert state_of(blender) == before
    scene.frame_set(9)
    assert anna.pose.bones["arm"].rotation_quaternion[1] != pytest.approx(1.0), "the scene goes on as usual"


def test_render_result_of_the_user_stays(blender, scene, anna, add_camera, shoot, tmp_path):
    choose(scene, "OBJECT", anna)
    camera = add_camera()
    camera.location, camera.rotation_euler = (3.0, -4.0, 1.0), (math.pi / 2, 0.0, 0.0)
    scene.render.engine = "BLENDER_WORKBENCH"
    blender.ops.render.render()
    result = blender.data.images["Render Result"]
    result.save_render(str(tmp_path / "before.png"), scene=scene)

    shoot(range(1, 3))

    assert [image.name for image in blender.data.images] == ["Render Result"]
    result.save_render(str(tmp_path / "after.png"), scene=scene)
    assert (tmp_path / "before.png").read_bytes() == (tmp_path / "after.png").read_bytes()


def test_nothing_is_left_between_turns_or_after_a_stop(blender, scene, anna, addon, tmp_path):
    choose(scene, "OBJECT", anna)
    before = state_of(blender)
    steps = addon("playblast").film(make_clip(addon, scene, range(1, 5), tmp_path / "footage"), 0.0)

    for _ in range(6):
        next(steps)
        assert state_of(blender) == before
    steps.close()

    assert state_of(blender) == before
    assert not any((tmp_path / "footage").iterdir())


def test_render_that_fails_leaves_nothing(blender, scene, anna, addon, shoot, tmp_path, monkeypatch):
    """A listener of another add-on that breaks everything, in the middle of the clip."""
    from threedimo.errors import JobFailed

    choose(scene, "OBJECT", anna)
    before = state_of(blender)
    playblast = addon("playblast")
    shot, calls = playblast._shoot, []

    def lose_the_camera(stage, *arguments):
        calls.append(1)
        if len(calls) == 3:
            stage.scene.camera = None
        shot(stage, *arguments)

    monkeypatch.setattr(playblast, "_shoot", lose_the_camera)

    with pytest.raises(JobFailed, match=r"could not film the driver.*frame 3.*Workbench") as failed:
        shoot()

    assert failed.value.code == "job.failed"
    assert state_of(blender) == before
    assert not any((tmp_path / "footage").iterdir())


def test_deleted_performer_ends_the_filming(blender, scene, anna, addon, tmp_path):
    from threedimo.errors import InvalidScene

    choose(scene, "OBJECT", anna)
    home = tmp_path / "footage"
    steps = addon("playblast").film(make_clip(addon, scene, range(1, 10), home), 0.0)
    assert [next(steps) for _ in range(11)] == list(range(1, 12)), "a frame a turn"
    assert len(list(next(home.iterdir()).iterdir())) == 2
    blender.data.objects.remove(scene.objects["Anna hat"])

    with pytest.raises(InvalidScene, match="were deleted"):
        next(steps)

    assert not any(home.iterdir())
