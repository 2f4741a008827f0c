"""Batches: which shots a scene has, all or none, and what closing Blender leaves."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def cameras(scene, add_camera):
    """Two cameras and a range of 60 frames."""
    scene.frame_start, scene.frame_end = 1, 60
    return add_camera("Wide"), add_camera("Close")


@pytest.fixture
def bind(scene):
    """Set markers, some of which bind a camera."""

    def put(*markers):
        for name, frame, camera in markers:
            scene.timeline_markers.new(name, frame=frame).camera = camera

    return put


def cut(addon, scene):
    return [
        (shot.name, shot.camera.name, shot.scene_frames.start, shot.scene_frames.stop - 1, shot.is_cut)
        for shot in addon("batch").scene_shots(scene)
    ]


def test_each_marker_to_the_next_one_is_a_shot(addon, scene, cameras, bind):
    wide, close = cameras
    bind(("C", 41, wide), ("A", 1, wide), ("note", 11, None), ("B", 21, close))

    assert cut(addon, scene) == [
        ("A", "Wide", 1, 20, True),
        ("B", "Close", 21, 40, True),
        ("C", "Wide", 41, 60, True),
    ]
    assert addon("batch").num_shots(scene) == 3


def test_markers_outside_the_range_count_as_in_blender(addon, scene, cameras, bind):
    """The last one before the range is on at its start; those after it are never on."""
    wide, close = cameras
    bind(("early", -30, close), ("before", -5, wide), ("inside", 31, close), ("late", 90, wide))

    assert cut(addon, scene) == [("before", "Wide", 1, 30, True), ("inside", "Close", 31, 60, True)]


def test_frames_before_the_first_marker_belong_to_it(addon, scene, cameras, bind):
    bind(("only", 21, cameras[1]))

    assert cut(addon, scene) == [("only", "Close", 1, 60, False)]


def test_camera_in_the_panel_makes_one_shot_of_the_range(addon, scene, cameras, bind):
    bind(("A", 1, cameras[0]), ("B", 21, cameras[1]))
    scene.threedimo.camera = cameras[1]

    assert cut(addon, scene) == [("Close", "Close", 1, 60, False)]


def test_one_custom_text_is_not_sent_with_several_shots(addon, scene, cameras, bind):
    from threedimo.errors import InvalidRequest

    bind(("A", 1, cameras[0]), ("B", 21, cameras[1]))
    scene.threedimo.use_custom_text = True

    with pytest.raises(InvalidRequest, match=r"describes one shot.*untick Custom text"):
        addon("batch").scene_shots(scene)


def test_list_of_shots_takes_the_place_of_markers(blender, addon, scene, cameras, bind, drawn):
    """Listed by hand, by a script, with frames outside the scene's range and one camera twice."""
    bind(("A", 1, cameras[0]), ("B", 21, cameras[1]))
    add, remove = blender.ops.threedimo.list_shot, blender.ops.threedimo.unlist_shot
    scene.threedimo.camera = cameras[1]
    assert add() == {"FINISHED"}
    assert cut(addon, scene) == [("Close", "Close", 1, 60, False)]

    assert add(name="Far", camera="Wide", frame_start=70, frame_end=90) == {"FINISHED"}
    assert add(name="Again", camera="Wide", frame_start=-10, frame_end=0) == {"FINISHED"}

    assert cut(addon, scene) == [
        ("Close", "Close", 1, 60, True),
        ("Far", "Wide", 70, 90, True),
        ("Again", "Wide", -10, 0, True),
    ]
    assert addon("batch").num_shots(scene) == 3
    panel = drawn("take_panels", "THREEDIMO_PT_batch")
    assert "3 shots" in panel.labels
    assert {"threedimo.list_shot", "threedimo.unlist_shot"} <= set(panel.operators)
    for _ in range(3):
        assert remove(index=0) == {"FINISHED"}
    scene.threedimo.camera = None
    assert [shot[0] for shot in cut(addon, scene)] == ["A", "B"], "without a list it is the markers again"


def test_list_that_cannot_be_made_says_which_shot(blender, addon, scene, cameras):
    from threedimo.errors import InvalidCameraPath, InvalidRequest, InvalidScene

    shots, add = addon("batch").scene_shots, blender.ops.threedimo.list_shot
    with pytest.raises(RuntimeError, match="the scene has no such camera"):
        add(camera="Gone")
    with pytest.raises(RuntimeError, match="the list has no such shot"):
        blender.ops.threedimo.unlist_shot(index=0)
    add(name="Late", frame_start=9, frame_end=8)
    with pytest.raises(InvalidScene, match="Late of Scene: 9 to 8"):
        shots(scene)
    scene.threedimo.listed_shots[0].frame_end = 20
    add(name="Second")
    scene.threedimo.use_custom_text = True
    with pytest.raises(InvalidRequest, match="2 shots in scene Scene"):
        shots(scene)
    scene.threedimo.use_custom_text = False
    scene.threedimo.listed_shots[1].camera = None
    with pytest.raises(InvalidCameraPath, match="Second of Scene"):
        shots(scene)


def test_list_outlives_renaming_and_saving(blender, addon, scene, cameras, tmp_path):
    blender.ops.threedimo.list_shot(name="Far", camera="Wide", frame_start=70, frame_end=90)
    cameras[0].name, scene.name = "Crane", "Elsewhere"
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "list.blend"))
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "list.blend"))

    assert cut(addon, blender.context.scene) == [("Far", "Crane", 70, 90, False)]


def test_batch_has_the_shots_of_the_ticked_scenes(addon, blender, scene, cameras, bind):
    from threedimo.errors import InvalidScene

    bind(("A", 1, cameras[0]), ("B", 21, cameras[1]))
    other = blender.data.scenes.new("Other")
    other.collection.objects.link(cameras[0])
    other.camera = cameras[0]
    batch = addon("batch")

    assert [(shot.scene.name, shot.name) for shot in batch.batch_shots(batch.batch_scenes([]))] == [
        (other.name, "Wide"),
        (scene.name, "A"),
        (scene.name, "B"),
    ]
    scene.threedimo.in_batch = False
    assert batch.batch_scenes([]) == [other]
    assert batch.batch_scenes([scene.name]) == [scene]
    other.threedimo.in_batch = False
    with pytest.raises(InvalidScene, match="no scene is in the batch"):
        batch.batch_shots(batch.batch_scenes([]))
    with pytest.raises(InvalidScene, match="no such scene"):
        batch.batch_scenes(["Nowhere"])


def test_shots_are_read_from_their_own_frames(addon, scene, cameras, bind):
    wide = cameras[0]
    for frame in (1, 60):
        wide.location.x = frame / 10
        wide.keyframe_insert("location", frame=frame)
    bind(("first", 1, wide), ("second", 31, wide))
    shots = addon("shots")

    first, second = (shots.read_camera(shot) for shot in addon("batch").scene_shots(scene))

    assert (first.num_frames, second.num_frames) == (30, 30)
    assert first.positions[0, 0] == pytest.approx(0.1)
    assert second.positions[0, 0] > first.positions[-1, 0]
    assert second.positions[-1, 0] == pytest.approx(6.0)


def test_take_that_was_not_sent_is_sent_after_a_restart(blender, cameras, leave_take, addon, tmp_path):
    """Blender was closed while the files went out: the sheet has all that is needed to send them again."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "night.blend"))
    job = leave_take(cameras[0], state="preparing", seed=5)
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "night.blend"))

    session = addon("runtime").session()
    (resumed,) = session.jobs.values()
    deadline = time.monotonic() + 60
    while resumed.state == "preparing":
        session.pump()
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert (resumed.job_id, resumed.state, resumed.error) == (job.job_id, "sending", None)
    sheet = json.loads((job.folder / "take.json").read_text())
    assert (sheet["seed"], len(sheet["driving_files"][0]["hash"])) == (5, 64)


def test_take_whose_sheet_is_damaged_says_so_after_a_restart(blender, cameras, leave_take, tmp_path):
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "night.blend"))
    job = leave_take(cameras[0], state="sending")
    (job.folder / "take.json").write_text("{")
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "night.blend"))

    (take,) = blender.context.scene.threedimo.shots[0].takes
    assert take.state == "failed"
    assert "a file of the take is damaged" in take.message


def test_command_line_lists_takes_and_refuses_clearly(blender, scene, cameras, leave_take, addon, capsys):
    main = addon("cli").main
    assert main(["generate"]) == 5
    assert "no file is open" in capsys.readouterr().err
    leave_take(cameras[0], seed=4)

    assert main(["takes"]) == 0

    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["shot"], row["take"], row["seed"], row["state"]) == ("Shot", 1, 4, "running")
    assert main(["nothing"]) == 2
    assert "invalid choice" in capsys.readouterr().err


def test_command_line_collects_what_is_ready_and_saves(blender, cameras, leave_take, addon, tmp_path):
    file = tmp_path / "night.blend"
    blender.ops.wm.save_as_mainfile(filepath=str(file))
    leave_take(cameras[0])

    assert addon("cli").main(["collect"]) == 0

    blender.ops.wm.open_mainfile(filepath=str(file))
    (take,) = blender.context.scene.threedimo.shots[0].takes
    assert (take.state, take.placed) == ("ready", True)
