"""Takes of a shot: compared, chosen, deleted, made again, and never lost, overwritten or magenta."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytestmark = pytest.mark.blender

GREEN, BLUE = (0, 200, 0), (0, 0, 200)


@pytest.fixture
def two_takes(blender, camera, leave_take):
    """A green and then a blue take of one shot, both arrived."""
    jobs = [
        leave_take(
            camera, paint=lambda _, colour=colour: colour, scene_frames=range(1, 6), num_frames=5, seed=i
        )
        for i, colour in enumerate((GREEN, BLUE))
    ]
    assert blender.ops.threedimo.reattach() == {"FINISHED"}
    return jobs


def colour_on(render):
    """What the plane shows in the middle of the shot, to the nearest ten."""
    return colour_at(render, 3)


def colour_at(render, scene_frame):
    return tuple(int(value) for value in np.round(render(scene_frame, "BLENDER_WORKBENCH")[8, 8], -1))


def test_takes_share_one_plane_and_are_compared_on_it(blender, scene, two_takes, render):
    (shot,) = scene.threedimo.shots
    assert [take.number for take in shot.takes] == [1, 2]
    assert len(scene.collection.children["3DiMo"].objects) == 1
    assert colour_on(render) == BLUE

    for step, expected in ((-1, GREEN), (1, BLUE), (1, GREEN)):
        assert blender.ops.threedimo.step_take(shot=0, step=step) == {"FINISHED"}
        assert colour_on(render) == expected
    assert blender.ops.threedimo.show_take(job_id=two_takes[1].job_id) == {"FINISHED"}
    assert colour_on(render) == BLUE
    sequences = [image for image in blender.data.images if image.source == "SEQUENCE"]
    assert len(sequences) == 1, "the images of takes that are not shown are let go"


@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
@pytest.mark.parametrize("view", ["AgX", "Filmic", "Khronos PBR Neutral", "Standard"])
def test_what_the_model_made_is_what_is_seen_under_every_view(
    scene, camera, blender, leave_take, render, engine, view
):
    scene.view_settings.view_transform = view
    leave_take(camera, paint=lambda _: (190, 150, 120), scene_frames=range(1, 6), num_frames=5)
    blender.ops.threedimo.reattach()

    np.testing.assert_allclose(render(3, engine)[8, 8], (190, 150, 120), atol=4)


def test_plane_follows_the_view_but_not_against_a_persons_choice(scene, two_takes, addon):
    (shot,) = scene.threedimo.shots
    image = shot.plane.active_material.node_tree.nodes["Image Texture"].image
    assert image.colorspace_settings.name == "sRGB"
    check = addon("take_planes").check_plane
    scene.view_settings.view_transform = "AgX"
    assert check(scene, shot)
    assert image.colorspace_settings.name == "AgX Base sRGB"

    image.colorspace_settings.name = "Non-Color"
    assert not check(scene, shot)
    assert image.colorspace_settings.name == "Non-Color"
    scene.view_settings.view_transform = "Raw"
    assert check(scene, shot)
    assert image.colorspace_settings.name == "sRGB"


def test_own_changes_to_the_plane_outlive_a_step(blender, scene, two_takes):
    plane = scene.threedimo.shots[0].plane
    plane.location.x += 1.0
    moved = plane.location.copy()

    blender.ops.threedimo.step_take(shot=0, step=-1)

    assert plane.location == moved


def test_plane_is_fitted_to_the_camera_of_the_take_that_it_shows(
    blender, scene, camera, two_takes, leave_take
):
    """A third take was filmed with a lens that zooms: its plane is keyed, that of the others is not."""
    plane = scene.threedimo.shots[0].plane
    size = plane.scale.x
    for frame, lens in ((1, 50.0), (5, 100.0)):
        camera.data.lens = lens
        camera.data.keyframe_insert("lens", frame=frame)
    zoom = leave_take(camera, scene_frames=range(1, 6), num_frames=5)
    blender.ops.threedimo.reattach()

    def sizes():
        found = []
        for frame in (1, 5):
            scene.frame_set(frame)
            found.append(plane.scale.x / size)
        return found

    assert scene.threedimo.shots[0].shown == zoom.job_id
    assert sizes() == pytest.approx([1.0, 0.5], rel=1e-3)
    blender.ops.threedimo.step_take(shot=0, step=-1)
    assert sizes() == pytest.approx([1.0, 1.0], rel=1e-3)
    blender.ops.threedimo.step_take(shot=0, step=1)
    assert sizes() == pytest.approx([1.0, 0.5], rel=1e-3)


def test_chosen_take_is_not_displaced_by_a_later_one(blender, scene, camera, two_takes, leave_take, render):
    assert blender.ops.threedimo.choose_take(job_id=two_takes[0].job_id) == {"FINISHED"}
    leave_take(camera, paint=lambda _: (200, 0, 0), scene_frames=range(1, 6), num_frames=5, seed=7)
    blender.ops.threedimo.reattach()

    (shot,) = scene.threedimo.shots
    assert [take.state for take in shot.takes] == ["ready"] * 3
    assert colour_on(render) == GREEN
    blender.ops.threedimo.choose_take(job_id=two_takes[0].job_id)
    assert shot.chosen == ""


def test_deleted_take_gives_the_plane_to_another_and_its_files_stay(blender, scene, two_takes, render):
    assert blender.ops.threedimo.delete_take(job_id=two_takes[1].job_id) == {"FINISHED"}

    (shot,) = scene.threedimo.shots
    assert [take.job_id for take in shot.takes] == [two_takes[0].job_id]
    assert colour_on(render) == GREEN
    assert two_takes[1].frames_folder.is_dir()

    blender.ops.threedimo.delete_take(job_id=two_takes[0].job_id)
    assert len(scene.threedimo.shots) == 0
    assert len(scene.collection.children["3DiMo"].objects) == 0


def test_dialog_of_deletion_names_the_take_and_says_what_becomes_of_its_files(
    scene, camera, two_takes, leave_take, asked
):
    ready, folder = two_takes[1], two_takes[1].folder
    running = leave_take(camera, scene_frames=range(1, 6), num_frames=5, state="sending", seed=7)

    stays = asked("take_operators", "THREEDIMO_OT_delete_take", job_id=ready.job_id, files=False)
    goes = asked("take_operators", "THREEDIMO_OT_delete_take", job_id=ready.job_id, files=True)
    cancels = asked("take_operators", "THREEDIMO_OT_delete_take", job_id=running.job_id, files=False)

    assert stays.labels == ["Shot Shot  1-5, take 2, seed 1", "Its files stay:", str(folder)]
    assert goes.labels[1:] == ["Its files are deleted, and no undo brings them back:", str(folder)]
    assert cancels.labels[:2] == [
        "Shot Shot  1-5, take 3, seed 7",
        "It is still being made, and is cancelled",
    ]


def test_dialog_of_deletion_outlives_its_take(two_takes, asked):
    """Blender draws it once more, beside what was done last."""
    assert asked("take_operators", "THREEDIMO_OT_delete_take", job_id="gone", files=False).labels == []


def test_deleting_files_takes_only_what_belongs_to_the_take(blender, two_takes):
    folder = two_takes[1].folder
    (folder / "notes.txt").write_text("mine")

    assert blender.ops.threedimo.delete_take(job_id=two_takes[1].job_id, files=True) == {"FINISHED"}

    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert two_takes[0].frames_folder.is_dir()


def test_folder_that_is_not_the_takes_own_is_never_touched(addon, two_takes, tmp_path):
    from threedimo.errors import InvalidRequest

    foreign = tmp_path / "foreign"
    shutil.copytree(two_takes[0].folder, foreign)

    with pytest.raises(InvalidRequest, match="not the folder of the take"):
        addon("takes").delete_files(foreign, two_takes[0].job_id)
    assert (foreign / "plane" / "00000.png").is_file()


def test_plane_turns_grey_with_a_message_when_its_files_go_and_back(
    scene, two_takes, addon, render, tmp_path
):
    (shot,) = scene.threedimo.shots
    two_takes[1].plane_folder.rename(tmp_path / "away")

    assert addon("take_planes").check_plane(scene, shot)
    red, green, blue = colour_on(render)
    assert max(red, blue) - green < 30, "no magenta"
    assert "take 2 are no longer on disk" in shot.takes[1].message
    assert not addon("take_planes").check_plane(scene, shot), "said once"

    (tmp_path / "away").rename(two_takes[1].plane_folder)
    assert addon("take_planes").check_plane(scene, shot)
    assert colour_on(render) == BLUE
    assert shot.takes[1].message == ""


def test_opening_a_file_whose_frames_are_gone_says_so(blender, two_takes, tmp_path):
    blender.ops.wm.save_mainfile()
    for job in two_takes:
        shutil.rmtree(job.folder)

    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))

    (shot,) = blender.context.scene.threedimo.shots
    assert shot.plane.active_material.node_tree.nodes["Image Texture"].image is None
    assert "no longer on disk" in shot.takes[1].message
    with pytest.raises(RuntimeError, match="no longer on disk"):
        blender.ops.threedimo.show_take(job_id=two_takes[0].job_id)


def test_reattach_lays_frames_out_again_that_were_deleted(blender, scene, two_takes, addon, render):
    shutil.rmtree(two_takes[1].plane_folder)
    addon("take_planes").check_plane(scene, scene.threedimo.shots[0])

    assert blender.ops.threedimo.reattach() == {"FINISHED"}

    assert colour_on(render) == BLUE


def test_cancelled_take_is_no_trouble(blender, scene, camera, leave_take, addon, drawn):
    """Neither a warning nor an offer to reattach, also for one that an older file warns of."""
    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5, state="preparing")
    (shot,) = scene.threedimo.shots
    (take,) = shot.takes
    from threedimo.errors import JobCancelled

    job.state, job.error = "cancelled", JobCancelled("the job was cancelled")
    addon("take_records").update_take(take, job)
    assert take.message == ""
    take.message = "the job was cancelled"
    shot.expanded = True

    panel = drawn("take_panels", "THREEDIMO_PT_takes")

    assert "Take 1, cancelled" in panel.labels
    assert "ERROR" not in panel.icons
    assert "threedimo.reattach" not in panel.operators
    assert addon("runtime").reattach(again=True) == []


@pytest.mark.parametrize("state", ["failed", "queued", "sending"])
def test_lost_take_offers_to_be_reattached(scene, camera, leave_take, drawn, state):
    leave_take(camera, scene_frames=range(1, 6), num_frames=5, state=state)

    assert "threedimo.reattach" in drawn("take_panels", "THREEDIMO_PT_takes").operators


def test_takes_and_how_they_were_made_survive_saving_and_moving(blender, two_takes, addon, tmp_path):
    blender.ops.threedimo.choose_take(job_id=two_takes[0].job_id)
    blender.ops.wm.save_mainfile()
    (tmp_path / "moved").mkdir()
    for name in ("shot.blend", "threedimo"):
        (tmp_path / name).rename(tmp_path / "moved" / name)

    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "shot.blend"))

    (shot,) = blender.context.scene.threedimo.shots
    first, second = shot.takes
    assert (shot.chosen, shot.shown) == (first.job_id, first.job_id)
    assert (first.seed, second.seed, first.model_id, first.text) == (0, 1, "tiny", "Front view.")
    assert first.camera_hash == second.camera_hash
    assert first.queued_at.endswith("+00:00")
    assert blender.ops.threedimo.step_take(shot=0, step=1) == {"FINISHED"}
    assert shot.shown == second.job_id


def test_undo_never_loses_a_take(blender, scene, camera, leave_take, addon):
    """Undo back to before the first take was queued: what was made since is on the list again."""
    blender.ops.ed.undo_push(message="before")
    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5)
    blender.ops.ed.undo_push(message="queued")
    blender.ops.threedimo.reattach()
    blender.ops.ed.undo_push(message="arrived")

    blender.ops.ed.undo()
    blender.ops.ed.undo()

    (shot,) = blender.context.scene.threedimo.shots
    (take,) = shot.takes
    assert (take.job_id, take.state) == (job.job_id, "ready")
    assert shot.camera == blender.data.objects["Camera"]
    assert blender.ops.threedimo.show_take(job_id=job.job_id) == {"FINISHED"}


def test_deletion_of_a_take_can_be_undone(blender, two_takes):
    blender.ops.ed.undo_push(message="two takes")
    blender.ops.threedimo.delete_take(job_id=two_takes[1].job_id)
    blender.ops.ed.undo_push(message="deleted")

    blender.ops.ed.undo()

    (shot,) = blender.context.scene.threedimo.shots
    assert [take.job_id for take in shot.takes] == [job.job_id for job in two_takes]
    assert shot.shown == two_takes[1].job_id
    assert blender.ops.threedimo.step_take(shot=0, step=-1) == {"FINISHED"}


def test_plane_that_a_person_deleted_is_made_anew(blender, scene, two_takes, render):
    blender.data.collections["3DiMo"].objects.unlink(scene.threedimo.shots[0].plane)

    assert blender.ops.threedimo.show_take(job_id=two_takes[0].job_id) == {"FINISHED"}

    assert len(scene.collection.children["3DiMo"].objects) == 1
    assert colour_on(render) == GREEN


def test_cut_shots_of_one_camera_are_seen_in_their_own_frames(blender, scene, camera, leave_take, render):
    for colour, start in ((GREEN, 1), (BLUE, 6)):
        leave_take(
            camera,
            paint=lambda _, colour=colour: colour,
            scene_frames=range(start, start + 5),
            num_frames=5,
            is_cut=True,
        )
    blender.ops.threedimo.reattach()

    assert [colour_at(render, frame) for frame in (5, 6, 10)] == [GREEN, BLUE, BLUE]
    first, second = scene.threedimo.shots
    for _ in range(2):
        for frame, hidden in ((0, (True, True)), (3, (False, True)), (11, (True, True))):
            scene.frame_set(frame)
            assert (first.plane.hide_render, second.plane.hide_render) == hidden
        blender.ops.threedimo.show_take(job_id=first.takes[0].job_id)


def test_longer_shot_of_the_same_camera_hides_the_one_before(blender, scene, camera, two_takes, leave_take):
    leave_take(camera, scene_frames=range(1, 10), num_frames=5)
    blender.ops.threedimo.reattach()

    first, second = scene.threedimo.shots
    assert (first.plane.hide_render, second.plane.hide_render) == (True, False)
    assert (first.plane_hidden, second.plane_hidden) == (True, False), "the eye of its take is closed"

    assert blender.ops.threedimo.show_take(job_id=first.shown) == {"FINISHED"}
    assert (first.plane.hide_render, second.plane.hide_render) == (False, True)
    assert (first.plane_hidden, second.plane_hidden) == (False, True)


@pytest.mark.parametrize("job_id", ["../elsewhere", "", "A0E0D0C0-1111-4222-8333-000000000001"])
def test_job_id_that_is_no_uuid_is_refused(addon, installed, job_id):
    from threedimo.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match="a job id is a UUID"):
        addon("takes").check_job_id(job_id)


def test_next_seed_is_one_that_no_take_has(addon, installed):
    free_seed = addon("dispatch").free_seed

    assert free_seed(4, {4, 5, 7}) == 6
    assert free_seed(2**31 - 1, {2**31 - 1, 0}) == 1
