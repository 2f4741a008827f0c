"""What scripts and buttons meet: the camera's text, clear refusals, records that outlive undo and saving."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def arc(scene, blender, add_camera):
    """A camera that arcs around the middle of the scene."""
    camera = add_camera()
    pivot = blender.data.objects.new("Pivot", None)
    scene.collection.objects.link(pivot)
    camera.parent = pivot
    camera.location = (0.0, -4.0, 0.0)
    camera.rotation_euler = (np.pi / 2, 0.0, 0.0)
    for scene_frame, angle in ((1, 0.0), (48, np.radians(-45))):
        pivot.rotation_euler.z = angle
        pivot.keyframe_insert("rotation_euler", frame=scene_frame)
    scene.frame_end = 48
    return camera


def test_text_says_what_the_camera_does(blender, scene, arc):
    assert blender.ops.threedimo.read_camera() == {"FINISHED"}

    assert scene.threedimo.camera_text.startswith("Front view.")
    assert "arcs left 45 degrees" in scene.threedimo.camera_text


def test_custom_text_is_sent_as_written_until_the_camera_is_read_again(blender, scene, arc, addon):
    settings = scene.threedimo
    settings.use_custom_text = True
    settings.camera_text = "Back view."
    shot = addon("shots").single_shot(scene)

    assert addon("shots").shot_text(shot, addon("shots").read_camera(shot)) == "Back view."
    blender.ops.threedimo.read_camera()
    assert settings.camera_text != "Back view."
    assert not settings.use_custom_text


def test_generate_without_a_server_says_how_to_start_one(blender, arc, no_server):
    with pytest.raises(
        RuntimeError, match=r"no server is running here.*start a server with `threedimo serve`"
    ):
        blender.ops.threedimo.generate()


def test_connect_without_a_server_says_how_to_start_one(blender, scene, no_server):
    with pytest.raises(RuntimeError, match="threedimo serve"):
        blender.ops.threedimo.connect()


def test_server_elsewhere_is_not_asked_while_blender_is_offline(blender, addon, no_server):
    from threedimo.errors import AccessRefused

    preferences = blender.context.preferences.addons[addon("preferences").__package__].preferences
    preferences.server = "tcp://192.0.2.1:7000"
    online = blender.context.preferences.system.use_online_access
    try:
        blender.context.preferences.system.use_online_access = False
        with pytest.raises(AccessRefused, match="allow online access in Preferences"):
            addon("preferences").server_connection()
        preferences.server = "tcp://127.0.0.1:7000"
        assert addon("preferences").server_connection().data == "tcp://127.0.0.1:7001"
    finally:
        preferences.server = ""
        blender.context.preferences.system.use_online_access = online


@pytest.mark.parametrize(("kind", "named"), [("ORTHO", "orthographic"), ("PANO", "panoramic")])
def test_camera_that_cannot_be_sent_is_refused(blender, scene, arc, kind, named):
    arc.data.type = kind

    with pytest.raises(RuntimeError, match=f"{named}.*set the camera's type to Perspective"):
        blender.ops.threedimo.read_camera()


def test_scene_without_a_camera_is_refused(blender, scene):
    with pytest.raises(RuntimeError, match=r"the scene has no camera.*add a camera"):
        blender.ops.threedimo.read_camera()


@pytest.mark.parametrize(
    ("reference", "driving", "says"),
    [
        ("", "walk.mp4", "no reference image is chosen"),
        ("woman.png", "", "no driving footage is chosen"),
        ("gone.png", "walk.mp4", "the reference image is not there"),
        ("woman.png", "empty.mp4", "the driving footage is an empty file"),
        ("woman.png", "single_01.png", "single picture"),
    ],
)
def test_inputs_are_checked_before_anything_is_sent(scene, arc, addon, tmp_path, reference, driving, says):
    from threedimo.errors import MediaError

    for name in ("woman.png", "walk.mp4", "single_01.png"):
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "empty.mp4").touch()
    settings = scene.threedimo
    settings.reference_image = str(tmp_path / reference) if reference else ""
    settings.driving_footage = str(tmp_path / driving) if driving else ""

    with pytest.raises(MediaError, match=says):
        addon("shots").read_inputs(scene)


def test_first_missing_input_of_the_panel_is_named(blender, scene, addon, server_says, tmp_path):
    """People fill it in from the top: reference, driver, camera, frame range."""

    def refusal():
        with pytest.raises(ThreeDimoError) as refused:
            addon("dispatch").begin(scene, str(uuid.uuid4()))
        return str(refused.value)

    from threedimo.errors import ThreeDimoError

    settings = scene.threedimo
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    scene.frame_end = scene.frame_start

    assert "no reference image is chosen" in refusal()
    settings.reference_image = str(tmp_path / "woman.png")
    assert "no driving footage is chosen" in refusal()
    settings.driving_footage = str(tmp_path / "walk.mp4")
    assert "the scene has no camera" in refusal()
    camera = blender.data.objects.new("Camera", blender.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    assert "the shot is too short" in refusal()


def test_sequence_is_sent_whole_with_its_rate(scene, arc, addon, server_says, tmp_path):
    for name in ("woman.png", "walk_1.png", "walk_2.png", "walk_3.png"):
        (tmp_path / name).write_bytes(b"content")
    settings = scene.threedimo
    settings.reference_image = str(tmp_path / "woman.png")
    settings.driving_footage = str(tmp_path / "walk_1.png")
    settings.driving_fps = 30.0
    shot = addon("shots").single_shot(scene)

    inputs = addon("shots").read_inputs(scene)
    order = addon("shots").make_order(
        shot, inputs, addon("shots").read_camera(shot), addon("dispatch")._capabilities().models[0]
    )

    assert [file.name for file in order.driving_files] == ["walk_1.png", "walk_2.png", "walk_3.png"]
    assert order.driving_fps == 30.0


@pytest.fixture
def finished_job(blender, arc, leave_take, tmp_path):
    """A job of an earlier session whose result is on disk, known by its record in the scene alone."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return leave_take(arc)


def test_reattach_places_the_frames_of_a_job_from_disk(blender, scene, arc, finished_job, render):
    assert blender.ops.threedimo.reattach() == {"FINISHED"}

    (shot,) = scene.threedimo.shots
    (take,) = shot.takes
    assert (take.state, take.placed, take.model_id) == ("ready", True, "tiny")
    assert shot.plane.constraints[0].target == arc
    assert len(blender.data.images) == 1, "nothing but the plane's own image stays"
    np.testing.assert_allclose(render(48)[8, 8], (160, 0, 0), atol=3)


def test_opening_the_file_takes_its_jobs_up(blender, scene, finished_job, addon, tmp_path):
    blender.ops.wm.save_mainfile()
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert addon("runtime").session().jobs == {}

    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    jobs = list(addon("runtime").session().jobs.values())
    assert [job.job_id for job in jobs] == [finished_job.job_id]
    addon("waiting").wait_for_jobs(jobs)

    (shot,) = blender.context.scene.threedimo.shots
    assert shot.takes[0].placed
    image = shot.plane.active_material.node_tree.nodes["Image Texture"].image
    assert image.filepath == f"//threedimo/{finished_job.job_id}/plane/00000.png", "they can move together"


def test_renamed_camera_and_scene_are_still_found(blender, scene, arc, finished_job):
    arc.name, scene.name = "Other", "Elsewhere"

    blender.ops.threedimo.reattach()

    assert scene.threedimo.shots[0].plane.constraints[0].target == arc


def test_deleted_camera_leaves_a_message_and_the_frames(blender, scene, arc, finished_job):
    blender.data.objects.remove(arc)

    blender.ops.threedimo.reattach()

    (take,) = scene.threedimo.shots[0].takes
    assert not take.placed
    assert "the camera of this job is no longer in the file" in take.message
    assert str(finished_job.plane_folder) in take.message


def test_record_that_undo_took_away_comes_back(blender, scene, arc, finished_job, addon):
    addon("runtime").reattach(again=True)
    scene.threedimo.shots.clear()  # what an undo to before Generate does

    addon("waiting").wait_for_jobs(list(addon("runtime").session().jobs.values()))

    (shot,) = scene.threedimo.shots
    assert (shot.takes[0].job_id, shot.takes[0].placed) == (finished_job.job_id, True)
    assert shot.camera == arc


def test_deleted_scene_is_no_trouble(blender, scene, arc, finished_job, addon):
    jobs = addon("runtime").reattach(again=True)
    blender.data.scenes.new("Left over")
    blender.data.scenes.remove(scene)

    addon("waiting").wait_for_jobs(jobs)

    assert jobs[0].state == "ready"


def test_cancel_of_a_job_that_does_not_run_is_harmless(blender, scene, no_server):
    assert blender.ops.threedimo.cancel(job_id="nothing") == {"CANCELLED"}
