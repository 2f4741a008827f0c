"""Drivers that are filmed while a person goes on working: progress, cancel, undo, errors, other files."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def body(blender, scene):
    """A box that rises by key frames."""
    mesh = blender.data.meshes.new("Body")
    corners = [(x, y, z) for z in (0, 1.7) for x, y in ((-0.3, -0.2), (0.3, -0.2), (0.3, 0.2), (-0.3, 0.2))]
    sides = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (0, 3, 2, 1), (4, 5, 6, 7)]
    mesh.from_pydata(corners, [], sides)
    item = blender.data.objects.new("Body", mesh)
    scene.collection.objects.link(item)
    for frame, z in ((1, 0.0), (8, 0.4)):
        item.location.z = z
        item.keyframe_insert("location", frame=frame)
    return item


@pytest.fixture
def shot(blender, scene, body, add_camera, tmp_path):
    """A saved scene of eight frames whose driver is the box."""
    camera = add_camera()
    camera.location, camera.rotation_euler = (0.0, -4.0, 1.0), (1.5707963, 0.0, 0.0)
    scene.frame_start, scene.frame_end = 1, 8
    (tmp_path / "woman.png").write_bytes(b"content")
    settings = scene.threedimo
    settings.reference_image = str(tmp_path / "woman.png")
    settings.driving_source, settings.driving_object = "OBJECT", body
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return camera


@pytest.fixture
def ticks(addon):
    """Tick until nothing is filmed any more; gives the sentences that were seen."""

    def run():
        seen = []
        while addon("filming").waiting():
            seen.append(addon("filming").waiting()[0].sentence())
            addon("runtime").tick()
            time.sleep(0.001)  # as between the timer's ticks, other work of the extension goes on
            assert len(seen) < 2000
        return seen

    return run


def sheets(folder):
    return [json.loads(file.read_text()) for file in sorted(folder.glob("threedimo/*/take.json"))]


@pytest.fixture
def press(blender, addon):
    """What the button does, which Blender does not call without a window."""
    return lambda: addon("dispatch").begin(blender.context.scene, str(uuid.uuid4()))


def test_button_films_tick_by_tick_and_then_sends(
    blender, scene, shot, server_says, press, addon, ticks, tmp_path, monkeypatch
):
    """The camera, the words and the seed are those of the moment when Generate was pressed."""
    monkeypatch.setattr(addon("filming"), "TURN_S", 0.0)
    scene.threedimo.seed = 7

    press()
    text = scene.threedimo.camera_text
    assert sheets(tmp_path) == []
    shot.location.x = 2.0
    scene.threedimo.seed = 8
    scene.frame_end = 100
    seen = ticks()

    assert seen[0] == "measuring frame 1 of 8"
    assert "filming frame 5 of 8" in seen
    (sheet,) = sheets(tmp_path)
    assert (sheet["seed"], sheet["text"], sheet["num_scene_frames"]) == (7, text, 8)
    assert (sheet["driving_fps"], sheet["driving_start_s"]) == (24.0, 0.0)
    files = [Path(file["path"]) for file in sheet["driving_files"]]
    assert [file.name for file in files] == [f"{i:05d}.png" for i in range(8)]
    assert files[0].parent.parent == tmp_path / "threedimo" / "footage"
    assert all(file.is_file() for file in files)
    assert all(len(file["hash"]) == 64 for file in sheet["driving_files"])
    camera = json.loads((tmp_path / "threedimo" / sheet["job_id"] / "camera.json").read_text())
    assert "2.0" not in json.dumps(camera["world_from_camera"][0])
    (take,) = scene.threedimo.shots[0].takes
    assert take.job_id == sheet["job_id"]
    job = addon("runtime").session().jobs[take.job_id]
    deadline = time.monotonic() + 60
    while job.state == "preparing":
        addon("runtime").tick()
        assert time.monotonic() < deadline
    assert (job.state, job.error) == ("sending", None), "what was filmed is what is sent"


def test_cancel_stops_the_filming_and_leaves_nothing(
    blender, scene, shot, server_says, press, addon, tmp_path
):
    press()
    addon("runtime").tick()
    (waiting,) = addon("filming").waiting()

    assert blender.ops.threedimo.cancel(job_id=waiting.job_id) == {"FINISHED"}

    assert addon("filming").waiting() == []
    addon("runtime").tick()
    assert sheets(tmp_path) == []
    assert not any((tmp_path / "threedimo" / "footage").iterdir())
    assert len(scene.threedimo.shots) == 0


def test_undo_and_renaming_while_it_films_do_no_harm(
    blender, scene, shot, body, server_says, press, addon, ticks, tmp_path, monkeypatch
):
    monkeypatch.setattr(addon("filming"), "TURN_S", 0.0)
    blender.ops.ed.undo_push(message="before")
    body["mark"] = 1
    blender.ops.ed.undo_push(message="after")
    press()
    for _ in range(10):
        addon("runtime").tick()
    assert blender.ops.ed.undo() == {"FINISHED"}
    assert "mark" not in blender.data.objects["Body"]
    scene = blender.context.scene
    scene.name, blender.data.objects["Body"].name = "Other", "Renamed"
    assert [each.name for each in blender.data.scenes] == ["Other"]

    ticks()

    assert addon("filming").problem(scene) is None
    assert len(sheets(tmp_path)) == 1
    assert len(scene.threedimo.shots) == 1


def test_error_while_it_films_is_kept_for_the_panel(
    blender, scene, shot, body, server_says, press, addon, ticks
):
    from threedimo.errors import InvalidScene

    press()
    blender.data.objects.remove(body)

    ticks()

    label, problem = addon("filming").problem(scene)
    assert isinstance(problem, InvalidScene)
    assert (label, problem.problem) == ("Scene Camera", "objects of the performer were deleted")
    with pytest.raises(InvalidScene, match="no object is chosen"):
        press()
    assert addon("filming").waiting() == []


def test_deleted_camera_is_named(blender, scene, shot, server_says, press, addon, ticks, tmp_path):
    press()
    blender.data.objects.remove(shot)

    ticks()

    assert "scene or camera was deleted" in str(addon("filming").problem(scene)[1])
    assert sheets(tmp_path) == []


def test_another_file_ends_the_filming(blender, shot, server_says, press, addon, tmp_path):
    press()
    addon("runtime").tick()

    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)

    assert addon("filming").waiting() == []
    assert not any((tmp_path / "threedimo" / "footage").iterdir())


def test_batch_films_each_shot_that_needs_it(
    blender, scene, shot, body, server_says, addon, ticks, add_camera, tmp_path
):
    """Two scenes: a driver for the two shots of one, a file for the other."""
    other = blender.data.scenes.new("Other")
    other.frame_start, other.frame_end = 1, 8
    other.collection.objects.link(shot)
    other.camera = shot
    (tmp_path / "walk.mp4").write_bytes(b"content")
    other.threedimo.reference_image = scene.threedimo.reference_image
    other.threedimo.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_end = 16
    close = add_camera("Close")
    close.location, close.rotation_euler = (0.0, -3.0, 1.0), (1.5707963, 0.0, 0.0)
    for name, frame, camera in (("A", 1, shot), ("B", 9, close)):
        scene.timeline_markers.new(name, frame=frame).camera = camera

    assert len(addon("dispatch").begin_batch([other, scene])) == 3

    assert len(sheets(tmp_path)) == 1
    assert [each.label for each in addon("filming").waiting()] == ["Scene A", "Scene B"]
    ticks()
    made = {sheet["frame_start"]: sheet for sheet in sheets(tmp_path) if len(sheet["driving_files"]) == 8}
    assert sorted(made) == [1, 9]
    footage = {Path(sheet["driving_files"][0]["path"]).parent for sheet in made.values()}
    assert len(footage) == 2, "each shot has its own frames"


def test_batch_with_a_driver_that_cannot_be_filmed_queues_none(
    blender, scene, shot, body, server_says, addon, tmp_path
):
    from threedimo.errors import InvalidScene

    other = blender.data.scenes.new("Other")
    other.collection.objects.link(shot)
    other.camera = shot
    other.frame_end = 8
    other.threedimo.reference_image = scene.threedimo.reference_image
    other.threedimo.driving_source = "COLLECTION"

    with pytest.raises(InvalidScene, match=r"shot Camera of Other: no collection is chosen"):
        addon("dispatch").begin_batch([scene, other])

    assert addon("filming").waiting() == []
    assert sheets(tmp_path) == []


def test_script_films_at_once_and_takes_share_the_same_footage(
    blender, scene, shot, server_says, addon, tmp_path
):
    """Deleting takes with their files deletes the footage with the last of them."""
    dispatch = addon("dispatch")
    ids = [f"0f0e0d0c-1111-4222-8333-00000000000{i}" for i in range(2)]
    for job_id in ids:
        dispatch.generate(scene, job_id)

    folders = {Path(sheet["driving_files"][0]["path"]).parent for sheet in sheets(tmp_path)}
    assert len(folders) == 1
    (footage,) = folders
    assert blender.ops.threedimo.delete_take(job_id=ids[0], files=True) == {"FINISHED"}
    assert len(list(footage.iterdir())) == 8
    (footage / "notes.txt").write_text("mine")
    assert blender.ops.threedimo.delete_take(job_id=ids[1], files=True) == {"FINISHED"}
    assert [file.name for file in footage.iterdir()] == ["notes.txt"]


def test_take_is_made_again_of_footage_that_moved_with_the_file(
    blender, scene, shot, server_says, addon, tmp_path
):
    job = addon("dispatch").generate(scene, "0f0e0d0c-1111-4222-8333-000000000003")
    blender.ops.wm.save_mainfile()
    before = json.loads((job.folder / "take.json").read_text())
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "threedimo").rename(moved / "threedimo")
    (tmp_path / "shot.blend").rename(moved / "shot.blend")
    blender.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))

    again = addon("dispatch").regenerate(job.job_id, None, "0f0e0d0c-1111-4222-8333-000000000004")

    after = json.loads((again.folder / "take.json").read_text())
    assert again.folder.parent == moved / "threedimo"
    files = [Path(file["path"]) for file in after["driving_files"]]
    assert all(file.is_file() and moved in file.parents for file in files)
    assert [file["hash"] for file in after["driving_files"]] == [
        file["hash"] for file in before["driving_files"]
    ]
