"""The product: real footage, a real picture, an animated camera, a real server, frames on a plane.

Needs the library's environment for the server (`THREEDIMO_COMMAND`, otherwise `.venv/bin/threedimo`) and the
media of `tools/fetch_test_media.py`. The second half is another process: a Blender that was closed and opened
again.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender

ROOT = Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("THREEDIMO_COMMAND", str(ROOT / ".venv" / "bin" / "threedimo"))
MODEL = os.environ.get("THREEDIMO_TEST_MODEL", "embedded")
MEDIA = ROOT / ".cache" / "test-media"
START_S = 120.0


@pytest.fixture(scope="module")
def home(tmp_path_factory, blender):
    """A server's home, which the add-on finds as a user's would."""
    before = os.environ["THREEDIMO_HOME"]
    folder = tmp_path_factory.mktemp("home")
    os.environ["THREEDIMO_HOME"] = str(folder)
    yield folder
    os.environ["THREEDIMO_HOME"] = before


def make_twin(folder: Path) -> Path:
    """The embedded model under another name, as a second one for the server."""
    folder.mkdir()
    for file in (ROOT / "threedimo" / "embedded").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "threedimo.json").unlink()
    description = json.loads((ROOT / "threedimo" / "embedded" / "threedimo.json").read_text())
    (folder / "threedimo.json").write_text(json.dumps(description | {"id": "twin"}))
    return folder


@pytest.fixture(scope="module")
def server(home):
    """A real server process."""
    # The server has a Python of its own: nothing of Blender's may leak into it.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("BLENDER", "PYTHON"))
    }
    (home / "server.toml").write_text(
        f'[[models]]\nmodel = "{MODEL}"\n\n[[models]]\nmodel = "{make_twin(home / "twin")}"\n'
    )
    log = home / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [COMMAND, "serve", "--device", "cpu"], env=environment, stdout=stream, stderr=stream
        )
    try:
        deadline = time.monotonic() + START_S
        while not (home / "connection.json").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    assert code == 0, log.read_text()


@pytest.fixture
def shot(blender, scene, add_camera):
    """A camera that arcs around a target on a path of parents and constraints, 48 frames at 24 fps."""
    assert (MEDIA / "astronaut.png").is_file(), "tools/fetch_test_media.py fetches the media"
    camera = add_camera(lens=35.0)
    pivot = blender.data.objects.new("Pivot", None)
    target = blender.data.objects.new("Target", None)
    for item in (pivot, target):
        scene.collection.objects.link(item)
    target.location = (0.0, 0.0, 0.9)
    camera.parent = pivot
    camera.location = (0.0, -4.0, 1.2)
    camera.constraints.new("TRACK_TO").target = target
    for scene_frame, angle in ((101, 0.0), (148, np.radians(45))):
        pivot.rotation_euler.z = angle
        pivot.keyframe_insert("rotation_euler", frame=scene_frame)
    scene.frame_start, scene.frame_end = 101, 148
    scene.render.resolution_x = scene.render.resolution_y = 128
    settings = scene.threedimo
    settings.reference_image = str(MEDIA / "astronaut.png")
    settings.driving_footage = str(MEDIA / "demo.mp4")
    settings.subject = target
    return camera


def read_pixels(blender, path: Path):
    image = blender.data.images.load(str(path), check_existing=False)
    width, height = image.size
    pixels = np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255
    blender.data.images.remove(image)
    return pixels


def test_from_a_scene_to_frames_on_a_plane_in_it(blender, scene, server, shot, addon, render, tmp_path):
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))

    assert blender.ops.threedimo.generate() == {"FINISHED"}

    (shot_record,) = scene.threedimo.shots
    (record,) = shot_record.takes
    assert (record.state, record.placed, record.message) == ("ready", True, "")
    assert "arcs" in scene.threedimo.camera_text
    folder = tmp_path / "threedimo" / record.job_id
    info = json.loads((folder / "result" / "result.json").read_text())
    assert info["num_frames"] == record.num_frames
    assert info["text"] == scene.threedimo.camera_text
    assert record.model_id == info["model_id"]
    mapping = addon("take_records").take_mapping(shot_record, record)
    assert mapping.num_scene_frames == 48

    # The frames differ from each other, so that showing a wrong one would show.
    frames = [
        read_pixels(blender, folder / "result" / "frames" / f"{i:05d}.png") for i in range(mapping.num_frames)
    ]
    for before, after in itertools.pairwise(frames):
        assert np.abs(before - after).mean() > 0.05
    height, width = frames[0].shape[:2]
    for scene_frame in (95, 101, 102, 103, 117, 131, 147, 148, 149, 200):
        shown = render(scene_frame, "CYCLES", (width, height))
        distances = [np.abs(shown - frame).mean() for frame in frames]
        assert int(np.argmin(distances)) == mapping.result_frame_at(scene_frame), (
            f"at {scene_frame}: {distances}"
        )
        assert min(distances) < 1.0


def test_second_client_takes_up_the_job_of_a_first_that_was_closed(
    blender, scene, server, shot, addon, tmp_path, extension_zip
):
    """The first client submits and goes away; its file, opened by another process, gets the frames."""
    file = tmp_path / "night.blend"
    blender.ops.wm.save_as_mainfile(filepath=str(file))
    runtime = addon("runtime")
    addon("waiting").wait_for_server()
    job = addon("dispatch").generate(scene, "0f0e0d0c-1111-4222-8333-444455556666")
    deadline = time.monotonic() + 60
    while job.state in ("preparing", "sending"):
        runtime.tick()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert job.error is None
    blender.ops.wm.save_mainfile()
    runtime.end_session()  # the first client is gone
    assert not (tmp_path / "threedimo" / job.job_id / "result").exists()

    report = tmp_path / "report.json"
    script = textwrap.dedent(
        f"""
        import json, os, sys
        sys.path[:] = [entry for entry in sys.path if entry]
        import bpy
        bpy.ops.extensions.package_install_files(
            filepath={str(extension_zip)!r}, repo="user_default", enable_on_install=True
        )
        bpy.ops.wm.open_mainfile(filepath={str(file)!r})
        bpy.ops.threedimo.reattach()
        (shot,) = bpy.context.scene.threedimo.shots
        (record,) = shot.takes
        image = shot.plane.active_material.node_tree.nodes["Image Texture"].image
        with open({str(report)!r}, "w") as stream:
            found = {{key: getattr(record, key) for key in ("job_id", "state", "placed")}}
            json.dump(found | {{"frames": bpy.path.abspath(image.filepath)}}, stream)
        os._exit(0)  # bpy 4.2 crashes in its own end if any operator in Python is registered
        """
    )
    second = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "second-user")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert second.returncode == 0, second.stdout + second.stderr
    found = json.loads(report.read_text())
    assert found == {
        "job_id": job.job_id,
        "state": "ready",
        "placed": True,
        "frames": str(tmp_path / "threedimo" / job.job_id / "plane" / "00000.png"),
    }
    assert len(list(Path(found["frames"]).parent.iterdir())) == 48


def test_running_take_is_seen_on_its_plane(blender, scene, server, shot, addon, render):
    runtime = addon("runtime")
    addon("waiting").wait_for_server()
    job = addon("dispatch").generate(scene, "0f0e0d0c-1111-4222-8333-444455558888")
    (record,) = scene.threedimo.shots
    deadline = time.monotonic() + 600
    seen = []
    while not job.ended:
        runtime.tick()
        if record.previewed:
            (image,) = [image for image in blender.data.images if image.packed_file]
            seen.append(tuple(image.size))
        assert time.monotonic() < deadline
        time.sleep(0.01)
    addon("waiting").wait_for_jobs([job])

    capabilities = runtime.session().capabilities
    assert set(seen) == {(capabilities.models[0].width, capabilities.models[0].height)}
    assert (record.previewed, record.shown) == ("", job.job_id)
    assert not [image for image in blender.data.images if image.packed_file]


@pytest.mark.parametrize("preset", [("MODEL", "draft", (64, 64, 4)), ("CAMERA", "final", (88, 48, 20))])
def test_chosen_model_makes_the_shot_as_the_presets_say(blender, scene, server, shot, tmp_path, preset):
    """And of a reference that is no file."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    settings, scene.frame_end, scene.render.resolution_y = scene.threedimo, 112, 72
    settings.size_preset, settings.preset, numbers = preset
    settings.reference_source = "IMAGE"
    settings.reference_datablock = blender.data.images.load(settings.reference_image)
    settings.reference_datablock.pack()
    assert blender.ops.threedimo.choose_model(model_id="twin") == {"FINISHED"}
    assert blender.ops.threedimo.generate() == {"FINISHED"}
    (record,) = scene.threedimo.shots[0].takes
    assert (record.state, record.model_id) == ("ready", "twin")
    result = json.loads((tmp_path / "threedimo" / record.job_id / "result" / "result.json").read_text())
    assert (result["width"], result["height"], result["num_inference_steps"]) == numbers
    assert result["preset"] == settings.preset
    assert f"{numbers[0]} x {numbers[1]} pixels, {settings.preset}, {numbers[2]} steps" in record.made_as


def test_cancel_stops_a_job_at_the_server(blender, scene, server, shot, addon):
    runtime = addon("runtime")
    addon("waiting").wait_for_server()
    job = addon("dispatch").generate(scene, "0f0e0d0c-1111-4222-8333-444455557777")
    while job.state == "preparing":
        runtime.tick()
        time.sleep(0.005)

    assert blender.ops.threedimo.cancel(job_id=job.job_id) == {"FINISHED"}
    addon("waiting").wait_for_jobs([job])

    assert job.state == "cancelled"
    (take,) = scene.threedimo.shots[0].takes
    assert (take.state, take.placed) == ("cancelled", False)


def test_another_take_is_made_of_what_the_first_was_queued_with(
    blender, scene, server, shot, addon, tmp_path
):
    """Whatever the scene and the panel say by now, only the seed differs; the first take stays as it was."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene.frame_end = 117
    assert blender.ops.threedimo.generate() == {"FINISHED"}
    first = tmp_path / "threedimo" / scene.threedimo.shots[0].takes[0].job_id
    before = (first / "result" / "frames" / "00003.png").read_bytes()
    scene.frame_end = 148
    scene.threedimo.driving_footage = "elsewhere.mp4"
    shot.location.z += 1.0

    assert blender.ops.threedimo.regenerate(job_id=first.name) == {"FINISHED"}

    (record,) = scene.threedimo.shots
    one, two = record.takes
    assert (one.seed, two.seed, two.state) == (0, 1, "ready")
    assert one.camera_hash == two.camera_hash
    assert record.shown == two.job_id
    sheets = [json.loads((first.with_name(take.job_id) / "take.json").read_text()) for take in record.takes]
    different = {key for key in sheets[0] if sheets[0][key] != sheets[1][key]}
    assert different <= {"job_id", "queued_at", "seed"}
    assert json.loads((first.with_name(two.job_id) / "result" / "result.json").read_text())["seed"] == 1
    assert (first / "result" / "frames" / "00003.png").read_bytes() == before
    assert (first.with_name(two.job_id) / "result" / "frames" / "00003.png").read_bytes() != before


@pytest.fixture
def driver(blender, scene):
    """A figure in the scene that sways and bows over the frames of the shot."""
    mesh = blender.data.meshes.new("Driver")
    corners = [(x, y, z) for z in (0, 1.7) for x, y in ((-0.3, -0.2), (0.3, -0.2), (0.3, 0.2), (-0.3, 0.2))]
    sides = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (0, 3, 2, 1), (4, 5, 6, 7)]
    mesh.from_pydata(corners, [], sides)
    figure = blender.data.objects.new("Driver", mesh)
    scene.collection.objects.link(figure)
    for scene_frame, angle in ((101, -20), (112, 20)):
        figure.rotation_euler = (np.radians(angle), np.radians(angle), 0.0)
        figure.keyframe_insert("rotation_euler", frame=scene_frame)
    scene.frame_end = 112
    scene.threedimo.driving_source, scene.threedimo.driving_object = "OBJECT", figure
    return figure


def test_performer_in_the_scene_drives_the_shot(blender, scene, server, shot, driver, tmp_path):
    """By a script: filmed, sent, made, and once more of the same footage after the driver has gone."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    # Where footage of a file would begin is nothing to what is filmed.
    scene.threedimo.driving_start_s = 30.0

    assert blender.ops.threedimo.generate() == {"FINISHED"}

    (record,) = scene.threedimo.shots
    first = tmp_path / "threedimo" / record.takes[0].job_id
    sheet = json.loads((first / "take.json").read_text())
    assert (record.takes[0].state, len(sheet["driving_files"]), sheet["driving_fps"]) == ("ready", 12, 24.0)
    blender.data.objects.remove(driver)
    assert blender.ops.threedimo.regenerate(job_id=first.name) == {"FINISHED"}
    assert record.takes[1].state == "ready"
    again = json.loads((first.with_name(record.takes[1].job_id) / "take.json").read_text())
    assert again["driving_files"] == sheet["driving_files"]


def test_driver_is_filmed_by_ticks_and_its_shot_then_made(
    blender, scene, server, shot, driver, addon, tmp_path
):
    """What the button starts, with a server that works at the same time on what was queued before."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    addon("waiting").wait_for_server()
    job_id = "0f0e0d0c-1111-4222-8333-444455550000"
    addon("dispatch").begin(scene, job_id)
    deadline = time.monotonic() + 600
    while addon("filming").waiting():
        addon("runtime").tick()
        assert time.monotonic() < deadline
    assert addon("filming").problem(scene) is None

    job = addon("runtime").session().jobs[job_id]
    addon("waiting").wait_for_jobs([job])

    (record,) = scene.threedimo.shots
    assert (job.state, record.takes[0].placed, record.plane is not None) == ("ready", True, True)


def test_batch_that_was_queued_is_collected_by_the_command_line(
    blender, scene, server, shot, addon, add_camera, tmp_path, capsys
):
    """Two cameras cut by markers: queued without waiting, forgotten, taken up again by id and placed."""
    file = tmp_path / "batch.blend"
    close = add_camera("Close", lens=70.0)
    close.location, close.rotation_euler = (0.0, -3.0, 1.0), (np.pi / 2, 0.0, 0.0)
    scene.frame_end = 130
    for name, frame, camera in (("A", 101, shot), ("B", 116, close)):
        scene.timeline_markers.new(name, frame=frame).camera = camera
    blender.ops.wm.save_as_mainfile(filepath=str(file))
    main = addon("cli").main

    assert main(["queue"]) == 0
    states = {take.take.state for take in addon("take_records").all_takes()}
    assert states <= {"queued", "running", "publishing", "done", "fetching", "ready"}
    addon("runtime").end_session()
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender.ops.wm.open_mainfile(filepath=str(file))
    assert main(["collect"]) == 0

    loaded = blender.context.scene
    shots = loaded.threedimo.shots
    assert [(each.name, each.camera.name, each.frame_start) for each in shots] == [
        ("A", "Camera", 101),
        ("B", "Close", 116),
    ]
    assert all(each.takes[0].placed for each in shots)
    assert shots[0].takes[0].text != shots[1].takes[0].text
    for frame, hidden in ((110, [False, True]), (120, [True, False])):
        loaded.frame_set(frame)
        assert [each.plane.hide_render for each in shots] == hidden
    capsys.readouterr()
    assert main(["takes"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["shot"] for row in rows] == ["A", "B"]


def test_batch_with_one_bad_shot_queues_none(blender, scene, server, shot, add_camera):
    wrong = add_camera("Flat")
    wrong.data.type = "ORTHO"
    for name, frame, camera in (("A", 101, shot), ("B", 116, wrong)):
        scene.timeline_markers.new(name, frame=frame).camera = camera

    with pytest.raises(RuntimeError, match=r"shot B of Scene.*orthographic"):
        blender.ops.threedimo.queue()

    assert len(scene.threedimo.shots) == 0
