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
    for target in ("BACKGROUND", "STRIP", "IMAGE"):
        blender.ops.threedimo.use_take(job_id=takes[1], target=target)
    num_images = len(blender.data.images)
    blender.ops.threedimo.delete_take(job_id=takes[0], files=True)
    assert len(strips(scene)) == len(scene.camera.data.background_images) == 1

    blender.ops.threedimo.delete_take(job_id=takes[1], files=True)
    assert strips(scene) == []
    assert len(scene.camera.data.background_images) == 0
    assert len(blender.data.images) < num_images
    assert not [image for image in blender.data.images if "threedimo_take" in image]


def test_a_take_that_is_not_there_is_refused(blender, scene, add_camera, leave_take):
    job = leave_take(add_camera(), scene_frames=FRAMES, num_frames=5, state="sending")
    for target in ("BACKGROUND", "STRIP", "IMAGE"):
        with pytest.raises(RuntimeError, match="no frames yet"):
            blender.ops.threedimo.use_take(job_id=job.job_id, target=target)
    assert strips(scene) == []


@pytest.mark.parametrize("view", ["Standard", "AgX"])
def test_image_is_kept_and_shows_every_frame_where_it_is_used(blender, scene, takes, render, view, tmp_path):
    """Used as a person would: in a material of their own, on a plane of their own; and kept with the file."""
    scene.view_settings.view_transform = view
    for _ in range(2):
        assert blender.ops.threedimo.use_take(job_id=takes[0], target="IMAGE") == {"FINISHED"}
    (image,) = [each for each in blender.data.images if each.get("threedimo_take") == takes[0]]
    assert (image.source, image.use_fake_user) == ("SEQUENCE", True)
    assert image.name == "3DiMo Shot take 1"
    blender.ops.threedimo.delete_take(job_id=takes[1])
    blender.ops.threedimo.delete_take(job_id=takes[0])  # from the list alone: the files stay

    mesh = blender.data.meshes.new("Wall")
    mesh.from_pydata([(-9, -9, -2), (9, -9, -2), (9, 9, -2), (-9, 9, -2)], [], [(0, 1, 2, 3)])
    mesh.uv_layers.new()
    material = blender.data.materials.new("Wall")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    picture, shine = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(picture.outputs[0], shine.inputs[0])
    tree.links.new(shine.outputs[0], output.inputs["Surface"])
    picture.image, user = image, picture.image_user
    user.frame_start, user.frame_duration, user.frame_offset = image["threedimo_frames"]
    user.use_auto_refresh = True
    mesh.materials.append(material)
    scene.collection.objects.link(blender.data.objects.new("Wall", mesh))

    for scene_frame, number in ((5, 0), (11, 0), (13, 2), (15, 4), (20, 4)):
        shown = render(scene_frame)[8, 8]
        np.testing.assert_allclose(shown, code(number), atol=8, err_msg=f"at {scene_frame}")
    blender.data.materials.remove(material)
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert blender.data.images["3DiMo Shot take 1"].filepath == f"//threedimo/{takes[0]}/plane/00000.png"
