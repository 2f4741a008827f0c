"""A take as it denoises, on the plane of its shot: seen early, never in the way, gone without a trace."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

RED, GREEN = (250, 0, 0), (0, 200, 0)
FRAMES = range(1, 6)


@pytest.fixture
def jpeg(blender, scene, tmp_path):
    """A picture of 16x16 in red, as the server sends it."""
    image = blender.data.images.new("made", 16, 16)
    image.pixels.foreach_set(np.tile(np.array([RED[0] / 255, 0, 0, 1], np.float32), 256))
    image.filepath_raw, image.file_format = str(tmp_path / "made.jpg"), "JPEG"
    image.save()
    blender.data.images.remove(image)
    return (tmp_path / "made.jpg").read_bytes()


@pytest.fixture
def begin(addon, camera, leave_take):
    """A take that has begun at the server; gives where it stands."""

    def begun(**facts):
        job = leave_take(camera, scene_frames=FRAMES, num_frames=5, state="sending", **facts)
        records = addon("take_records")
        records.find_take(job.job_id).take.state = "running"
        return lambda: records.find_take(job.job_id)

    return begun


@pytest.fixture
def arrived(blender, camera, leave_take):
    """A green take of the same shot that is there already."""
    job = leave_take(camera, paint=lambda _: GREEN, scene_frames=FRAMES, num_frames=5)
    blender.ops.threedimo.reattach()
    return job


def colour(render, scene_frame=3):
    """What a render shows in its middle, to the nearest ten."""
    return tuple(int(value) for value in np.round(render(scene_frame, "BLENDER_WORKBENCH")[8, 8], -1))


def test_first_take_is_seen_on_a_plane_while_it_denoises(blender, scene, begin, jpeg, addon, render):
    found = begin()

    for _ in range(3):
        assert addon("take_planes").show_preview(found(), jpeg)

    (shot,) = scene.threedimo.shots
    assert (shot.previewed, shot.shown) == (found().take.job_id, "")
    assert colour(render) == colour(render, 5) == RED
    assert len(scene.collection.children["3DiMo"].objects) == 1
    assert len([image for image in blender.data.images if image.packed_file]) == 1


def test_a_take_that_ends_badly_takes_its_plane_along(blender, scene, begin, jpeg, addon):
    found = begin()
    addon("take_planes").show_preview(found(), jpeg)

    addon("take_planes").end_preview(found())

    assert scene.threedimo.shots[0].plane is None
    assert len(scene.collection.children["3DiMo"].objects) == 0
    assert not [image for image in blender.data.images if image.packed_file]


def test_the_take_that_was_shown_before_comes_back(scene, arrived, begin, jpeg, addon, render):
    found = begin(seed=1)
    plane = scene.threedimo.shots[0].plane
    plane.location.x += 0.01
    moved = plane.location.copy()

    addon("take_planes").show_preview(found(), jpeg)
    assert colour(render) == RED
    addon("take_planes").end_preview(found())

    (shot,) = scene.threedimo.shots
    assert (shot.shown, shot.previewed) == (arrived.job_id, "")
    assert colour(render) == GREEN
    assert shot.plane == plane
    assert plane.location == moved, "a person's own change to the plane lasts"


def test_a_chosen_take_is_not_displaced_by_a_preview(blender, scene, arrived, begin, jpeg, addon, render):
    blender.ops.threedimo.choose_take(job_id=arrived.job_id)
    found = begin(seed=1)

    assert not addon("take_planes").show_preview(found(), jpeg)

    assert scene.threedimo.shots[0].previewed == ""
    assert colour(render) == GREEN


def test_frames_take_the_place_of_the_preview(
    blender, scene, camera, begin, jpeg, addon, render, write_picture
):
    found = begin()
    addon("take_planes").show_preview(found(), jpeg)
    plane = scene.threedimo.shots[0].plane
    folder = addon("take_records").take_folder(found().take)
    for frame in range(5):
        write_picture(folder / "plane" / f"{frame:05d}.png", GREEN, 16, 16)
    found().take.state = "ready"

    addon("take_planes").place_take(found())

    (shot,) = scene.threedimo.shots
    assert (shot.shown, shot.previewed, shot.plane) == (found().take.job_id, "", plane)
    assert colour(render) == GREEN
    assert not [image for image in blender.data.images if image.packed_file]


def test_a_file_that_was_saved_meanwhile_opens_without_the_preview(
    blender, arrived, begin, jpeg, addon, tmp_path
):
    found = begin(seed=1)
    addon("take_planes").show_preview(found(), jpeg)
    blender.ops.wm.save_mainfile()

    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))

    (shot,) = blender.context.scene.threedimo.shots
    assert (shot.shown, shot.previewed) == (arrived.job_id, "")
    assert shot.plane.active_material.node_tree.nodes["Image Texture"].image.source == "SEQUENCE"


def test_a_preview_that_undo_brings_back_goes_again(scene, begin, jpeg, addon):
    found = begin()
    addon("take_planes").show_preview(found(), jpeg)
    found().take.state = "cancelled"

    assert addon("take_planes").check_plane(scene, scene.threedimo.shots[0])

    assert (scene.threedimo.shots[0].previewed, scene.threedimo.shots[0].plane) == ("", None)


def test_another_shot_that_had_to_give_way_comes_back(
    scene, camera, arrived, begin, jpeg, addon, leave_take, render
):
    """A longer shot of the same camera hides the first one's plane; cancelled, it gives it back."""
    job = leave_take(camera, scene_frames=range(1, 9), num_frames=5, state="sending")
    found = addon("take_records").find_take(job.job_id)
    addon("take_planes").show_preview(found, jpeg)
    assert colour(render) == RED

    addon("take_planes").end_preview(addon("take_records").find_take(job.job_id))

    assert colour(render) == GREEN


def test_what_is_no_picture_is_refused_and_leaves_nothing(blender, scene, begin, addon):
    from threedimo.errors import UnreadableMedia

    with pytest.raises(UnreadableMedia, match="no picture"):
        addon("take_planes").show_preview(begin()(), b"\xff\xd8 nothing of the kind")

    assert scene.threedimo.shots[0].plane is None
    assert not [image for image in blender.data.images if "preview" in image.name]
