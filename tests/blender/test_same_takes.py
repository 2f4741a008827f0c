"""The same shot generated once more, with nothing changed: it is made, and nobody is left to wonder why."""

from __future__ import annotations

import os
import time
import uuid
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def shot(blender, scene, add_camera, server_says, tmp_path):
    """A saved scene with all that a shot needs."""
    for name in ("woman.png", "man.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    settings = scene.threedimo
    settings.reference_image = str(tmp_path / "woman.png")
    settings.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_start, scene.frame_end = 1, 9
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return add_camera()


@pytest.fixture
def press(scene, addon):
    """Generate as the button does; gives the new take's record and what is reported."""

    def begin():
        job_id = str(uuid.uuid4())
        addon("dispatch").begin(scene, job_id)
        reports = []
        operator = SimpleNamespace(report=lambda kinds, text: reports.append((kinds, text)))
        addon("operators").report_same(operator, [job_id])
        return addon("take_records").find_take(job_id).take, reports

    return begin


def test_take_with_nothing_changed_is_made_and_says_so(shot, press, drawn):
    first, silent = press()
    assert (first.same_as, silent) == (0, [])

    second, reports = press()

    says = "Take 2 is the same as take 1: change the seed for another one"
    assert second.same_as == 1
    assert reports == [({"INFO"}, says)]
    assert says in drawn("take_panels", "THREEDIMO_PT_takes").labels


@pytest.mark.parametrize(
    "changed", ["seed", "text", "camera", "lens", "frames", "reference", "file", "start", "model"]
)
def test_take_of_anything_else_is_another_one(scene, shot, add_camera, press, drawn, tmp_path, changed):
    settings = scene.threedimo
    press()

    match changed:
        case "seed":
            settings.seed = 1
        case "text":
            settings.use_custom_text, settings.camera_text = True, "Back view."
        case "camera":
            add_camera("Other")
        case "lens":
            shot.data.lens = 35.0
        case "frames":
            scene.frame_end = 13
        case "reference":
            settings.reference_image = str(tmp_path / "man.png")
        case "file":
            later_s = time.time() + 10
            os.utime(tmp_path / "walk.mp4", (later_s, later_s))
        case "start":
            settings.driving_start_s = 1.0
        case "model":
            settings.model_id = "large"
    take, reports = press()

    assert (take.same_as, reports) == (0, [])
    assert "is the same as" not in drawn("take_panels", "THREEDIMO_PT_takes").text


@pytest.mark.parametrize("ended", ["failed", "cancelled", "deleted", "sheet lost"])
def test_take_that_is_not_there_is_no_reason_to_change_the_seed(scene, shot, press, blender, addon, ended):
    first, _ = press()
    match ended:
        case "failed" | "cancelled":
            first.state = ended
        case "sheet lost":
            (addon("take_records").take_folder(first) / "take.json").unlink()
        case _:
            press()
            blender.ops.threedimo.delete_take(job_id=scene.threedimo.shots[0].takes[0].job_id)
            (record,) = scene.threedimo.shots
            assert record.takes[0].same_as == 1
            assert addon("take_records").sameness(record, record.takes[0]) == ""
            return

    take, reports = press()

    assert (take.same_as, reports) == (0, [])


def test_batch_counts_the_shots_that_are_made_once_more(scene, shot, addon):
    reports = []
    operator = SimpleNamespace(report=lambda _, text: reports.append(text))
    dispatch = addon("dispatch")
    queued = dispatch.begin_batch([scene])

    addon("operators").report_same(operator, queued + dispatch.begin_batch([scene]))

    assert reports == [
        "1 of 2 shots are made once more. Take 2 is the same as take 1: change the seed for another one"
    ]
