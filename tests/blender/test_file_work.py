"""The thread that works on files, and that it is gone whenever Blender needs to be alone."""

from __future__ import annotations

import json
import threading
import time
import uuid
from threading import Event

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def work(addon):
    work = addon("file_work").FileWork()
    yield work
    work.close()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "threedimo-files"]


def until(holds, timeout_s=20.0):
    end = time.monotonic() + timeout_s
    while not holds():
        time.sleep(0.001)
        assert time.monotonic() < end


@pytest.fixture
def opened():
    """An event that a call waits for, set in the end whatever happens."""
    event = Event()
    yield event
    event.set()


def test_calls_are_made_in_order_and_give_results_and_errors(work):
    made = []
    calls = [work.submit(lambda number=number: made.append(number)) for number in range(5)]
    fails, last = work.submit(lambda: 1 // 0), work.submit(lambda: "result")
    assert (made, threads()) == ([], []), "nothing begins by itself"

    work.go_on()

    assert last.result(timeout=20) == "result"
    assert all(call.result() is None for call in calls)
    assert made == list(range(5))
    with pytest.raises(ZeroDivisionError):
        fails.result()
    until(lambda: threads() == [])


def test_held_it_ends_after_the_call_and_goes_on_when_released(work, opened):
    first, second = work.submit(opened.wait), work.submit(lambda: None)
    work.go_on()
    assert not work.hold()
    opened.set()
    until(work.hold)
    assert threads() == []
    assert (first.done(), second.done()) == (True, False)

    work.go_on()
    assert threads() == []
    work.release()
    work.go_on()

    second.result(timeout=20)


def test_closed_it_drops_what_waits(work, opened):
    work.submit(opened.wait)
    work.go_on()
    waiting = work.submit(lambda: None)
    threading.Timer(0.05, opened.set).start()

    work.close()

    assert waiting.cancelled()
    assert threads() == []


def test_nothing_is_filmed_while_files_are_worked_on(
    blender, scene, add_camera, server_says, addon, tmp_path, opened
):
    """Filming is an operator in an overridden context."""
    mesh = blender.data.meshes.new("Body")
    mesh.from_pydata([(0, 0, 0), (0.5, 0, 0), (0, 0, 1.7)], [], [(0, 1, 2)])
    scene.collection.objects.link(blender.data.objects.new("Body", mesh))
    add_camera().location.y = -4.0
    scene.frame_start, scene.frame_end = 1, 5
    (tmp_path / "woman.png").write_bytes(b"content")
    scene.threedimo.reference_image = str(tmp_path / "woman.png")
    scene.threedimo.driving_source, scene.threedimo.driving_object = "OBJECT", blender.data.objects["Body"]
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    runtime, filming = addon("runtime"), addon("filming")
    runtime.tick()
    runtime.session().tidy(opened.wait)
    runtime.tick()
    addon("dispatch").begin(scene, str(uuid.uuid4()))
    (clip,) = filming.waiting()

    for _ in range(3):
        runtime.tick()
    assert clip.done == 0

    opened.set()
    until(lambda: runtime.tick() or not filming.waiting())
    assert len(list(tmp_path.glob("threedimo/*/take.json"))) == 1


def test_blocking_calls_leave_no_thread_behind(blender, addon, scene, add_camera, leave_take, tmp_path):
    """Twenty times, as what it prevents is a matter of chance: Blender crashed in one of some ten."""
    windows = blender.context.window_manager.windows
    for number in range(20):
        file = tmp_path / f"{number}.blend"
        blender.ops.wm.save_as_mainfile(filepath=str(file))
        job = leave_take(scene.camera or add_camera(), seed=number)
        with blender.context.temp_override(window=windows[0]):
            assert addon("cli").main(["collect"]) == 0
            assert threads() == []
            blender.ops.wm.save_mainfile()
        assert json.loads((job.folder / "take.json").read_text())["seed"] == number
