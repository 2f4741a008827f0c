"""Takes as background and as strips: the right frame at the right time, and gone with their files."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FRAMES = range(11, 16)


def code(frame):
    """A colour for each result frame, far from its neighbours', and none that AgX has no way to show."""
    return (90 + 25 * frame, 200 - 25 * frame, 120)


@pytest.fixture
def takes(blender, scene, add_camera, leave_take, tmp_path):
    """Two takes of one shot, which the scene begins before."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene.frame_start, scene.frame_end = 1, 20
    camera = add_camera()
    jobs = [leave_take(camera, paint=code, scene_frames=FRAMES, num_frames=5, seed=seed) for seed in (0, 1)]
    blender.ops.threedimo.reattach()
    return [job.job_id for job in jobs]


def strips(scene):
    editor = scene.sequence_editor
    return [] if editor is None else list(editor.strips if hasattr(editor, "strips") else editor.sequences)


@pytest.mark.parametrize("view", ["Standard", "AgX"])
def test_strip_shows_every_frame_of_the_shot_at_its_time(blender, scene, takes, render, view):
    scene.view_settings.view_transform = view
    assert blender.ops.threedimo.use_take(job_id=takes[0], target="STRIP") == {"FINISHED"}

    (strip,) = strips(scene)
    assert (strip.frame_final_start, strip.frame_final_end) == (FRAMES.start, FRAMES.stop)
    scene.render.use_sequencer = True
    for number, scene_frame in enumerate(FRAMES):
        shown = render(scene_frame, "BLENDER_WORKBENCH")[8, 8]
        np.testing.assert_allclose(shown, code(number), atol=8, err_msg=f"at {scene_frame}")


def test_strips_find_a_channel_that_is_free(blender, scene, takes):
    for job_id in (*takes, takes[0]):
        blender.ops.threedimo.use_take(job_id=job_id, target="STRIP")
    assert sorted(strip.channel for strip in strips(scene)) == [1, 2, 3]


def test_background_plays_in_the_shots_time_and_gives_way_to_another_take(blender, scene, takes):
    camera = scene.camera.data
    for job_id in takes:
        assert blender.ops.threedimo.use_take(job_id=job_id, target="BACKGROUND") == {"FINISHED"}

    (background,) = camera.background_images
    assert camera.show_background_images
    assert takes[1] in background.image.filepath
    user = background.image_user
    assert (user.frame_start, user.frame_duration, user.frame_offset) == (11, 5, -1)
    assert (
        background.image
        != scene.threedimo.shots[0].plane.active_material.node_tree.nodes["Image Texture"].image
    )


def test_uses_go_with_the_files_and_stay_with_them(blender, scene, takes):
    for target in ("BACKGROUND", "STRIP"):
        blender.ops.threedimo.use_take(job_id=takes[1], target=target)
    num_images = len(blender.data.images)
    blender.ops.threedimo.delete_take(job_id=takes[0], files=True)
    assert len(strips(scene)) == len(scene.camera.data.background_images) == 1

    blender.ops.threedimo.delete_take(job_id=takes[1], files=True)
    assert strips(scene) == []
    assert len(scene.camera.data.background_images) == 0
    assert len(blender.data.images) < num_images


def test_a_take_that_is_not_there_is_refused(blender, scene, add_camera, leave_take):
    job = leave_take(add_camera(), scene_frames=FRAMES, num_frames=5, state="sending")
    for target in ("BACKGROUND", "STRIP"):
        with pytest.raises(RuntimeError, match="no frames yet"):
            blender.ops.threedimo.use_take(job_id=job.job_id, target=target)
    assert strips(scene) == []
