"""Whole shots by the command, a real server and a real worker with a tiny model of random weights."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from threedimo.camera import MOVES, View
from threedimo.media import probe_video, read_image, write_png, write_video
from threedimo.wire.messages import ResultInfo

LIMIT_S = 120


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the demo packages too: a person, a dance of 2 s, and a camera path of 2 s."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    write_png(folder / "reference.png", rng.integers(0, 256, (48, 40, 3), dtype=np.uint8))
    dance = np.zeros((24, 48, 64, 3), np.uint8)
    for index, frame in enumerate(dance):
        frame[:, 2 * index : 2 * index + 16] = (250, 200, 160)
    write_video(folder / "driving.mp4", dance, 12.0)
    MOVES["arc_left"](View.around((0, 0, 0.9)), 17, 8.0).to_json(folder / "camera_path.json")
    return folder


def shot(inputs, output, *more):
    return (
        *("generate", "--reference", inputs / "reference.png", "--drive", inputs / "driving.mp4"),
        *("--camera-path", inputs / "camera_path.json", "--output", output, *more),
    )


def check_result(folder: Path, num_frames: int) -> ResultInfo:
    info = msgspec.json.decode((folder / "result.json").read_bytes(), type=ResultInfo)
    assert {path.name for path in folder.iterdir()} == {
        "frames",
        "video.mp4",
        "comparison.mp4",
        "result.json",
        "contact_sheet.png",
    }
    names = sorted(path.name for path in (folder / "frames").iterdir())
    assert names == [f"{index:05d}.png" for index in range(num_frames)]
    frames = np.stack([read_image(folder / "frames" / name) for name in names])
    assert frames.shape == (num_frames, info.height, info.width, 3)
    video = probe_video(folder / "video.mp4")
    assert (video.num_frames, video.width, video.height) == (num_frames, info.width, info.height)
    assert video.fps == pytest.approx(info.fps)
    comparison = probe_video(folder / "comparison.mp4")
    assert (comparison.num_frames, comparison.width, comparison.height) == (
        num_frames,
        info.height + info.width,  # driving frames are square
        info.height,
    )
    sheet = read_image(folder / "contact_sheet.png")
    assert sheet.shape[0] > 300
    assert sheet.shape[1] > 500
    assert info.num_frames == num_frames
    assert {"decoding", "encoding", "denoising", "rendering", "writing"} <= set(info.seconds)
    return info


def test_a_shot(run, home, inputs, tmp_path):
    code, out, err = run(home, *shot(inputs, tmp_path / "010", "--seed", 7))
    assert (code, "Traceback" in err) == (0, False), err
    info = check_result(tmp_path / "010", 9)
    assert (info.seed, info.model_id, info.text) == (
        7,
        "tiny",
        "Front view. The camera arcs left 30 degrees.",
    )
    assert str(tmp_path / "010" / "video.mp4") in out
    assert "denoising" in err
    assert "\r" not in err, "plain lines where there is no terminal"
    assert [path.name for path in tmp_path.iterdir()] == ["010"]


def test_equal_seeds_repeat_and_overwrite_replaces(run, home, inputs, tmp_path):
    def frames():
        return [path.read_bytes() for path in sorted((tmp_path / "a" / "frames").iterdir())]

    options = ("--text", "From above.", "--frames", 5, "--steps", 1)
    assert run(home, *shot(inputs, tmp_path / "a", *options))[0] == 0
    first = frames()
    code, _, err = run(home, *shot(inputs, tmp_path / "a", *options))
    assert code == 10
    assert "--overwrite" in err
    assert run(home, *shot(inputs, tmp_path / "a", *options, "--overwrite"))[0] == 0
    assert frames() == first
    assert check_result(tmp_path / "a", 5).text == "From above."
    assert run(home, *shot(inputs, tmp_path / "a", *options, "--overwrite", "--seed", 1))[0] == 0
    assert frames() != first


def test_a_preset_decides_what_is_not_given_and_is_noted(run, home, inputs, tmp_path):
    def made(name, *options):
        options = ("--frames", 5, "--size", "1:2", *options)
        code, _, err = run(home, *shot(inputs, tmp_path / name, *options))
        assert code == 0, err
        info = check_result(tmp_path / name, 5)
        return info, [path.read_bytes() for path in sorted((tmp_path / name / "frames").iterdir())]

    final, frames = made("final", "--preset", "final")
    assert (final.preset, final.num_inference_steps, final.step_cache) == ("final", 4, "none")
    assert (final.width, final.height) == (32, 48)
    assert made("by_hand", "--steps", 4)[1] == frames
    info, cached = made("cached", "--preset", "final", "--step-cache", "first_block:1")
    assert (info.preset, info.step_cache) == ("final", "first_block:1")
    assert cached != frames


def test_pictures_drive_a_shot(run, home, inputs, tmp_path):
    (tmp_path / "dance").mkdir()
    for index in range(12):
        frame = np.full((40, 40, 3), 20 * index, np.uint8)
        write_png(tmp_path / "dance" / f"{index}.png", frame)
    code, _, err = run(
        home,
        *("generate", "--reference", inputs / "reference.png", "--drive", tmp_path / "dance"),
        *("--drive-fps", 12, "--frames", 5, "--output", tmp_path / "out"),
    )
    assert code == 0, err
    assert check_result(tmp_path / "out", 5).text == ""


@pytest.mark.parametrize(
    ("options", "exit_code", "error_code", "words"),
    [
        (("--frames", 10), 5, "request.frame_count", "9"),
        (("--frames", 33), 3, "media.too_small", "at most 13 frames"),
        (("--drive-start", 5), 3, "media.too_small", "earlier start"),
        (("--drive-fps", 12), 5, "request.invalid", "leave --drive-fps out"),
        (("--reference", "nobody.png"), 3, "media.unreadable", "nobody.png"),
        (("--camera-path", "nowhere.json"), 4, "camera.invalid", "nowhere.json"),
        (("--server", "nowhere.json"), 7, "server.unreachable", "threedimo serve"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_paragraph(
    run, home, inputs, tmp_path, options, exit_code, error_code, words
):
    code, out, err = run(home, *shot(inputs, tmp_path / "out", *options))
    assert (code, out) == (exit_code, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"threedimo: error [{error_code}]: ")
    assert words in last
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_no_server_is_started_for_files_that_are_not_there(run, inputs, tmp_path):
    code, _, err = run(tmp_path / "home", *shot(inputs, tmp_path / "out", "--drive", "nothing.mp4"))
    assert code == 3
    assert "no server is running" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_cancels_the_job_on_the_server(start, run, home, inputs, tmp_path, number):
    process = start(home, *shot(inputs, tmp_path / "out", "--steps", 200, "--frames", 13))
    seen = []
    while not any("denoising" in line for line in seen):
        seen.append(process.stderr.readline())
        assert seen[-1], seen
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("threedimo: error [job.cancelled]: ")
    assert list(tmp_path.iterdir()) == []

    code, out, _ = run(home, "jobs")
    newest = out.splitlines()[1]
    assert (code, newest.split()[1]) == (0, "cancelled")
    code, _, err = run(home, "cancel", newest.split()[0])
    assert code == 0, "cancelling twice does no harm"


def test_cancel_by_name(start, run, home, inputs, tmp_path):
    process = start(home, *shot(inputs, tmp_path / "out", "--steps", 200, "--frames", 13))
    while "denoising" not in process.stderr.readline():
        assert process.poll() is None
    job_id = run(home, "jobs")[1].splitlines()[1].split()[0]
    assert run(home, "cancel", job_id)[:2] == (0, f"cancelled {job_id}\n")
    assert process.wait(LIMIT_S) == 130
    assert "job.cancelled" in process.communicate()[1]


def test_a_done_job_cannot_be_cancelled(run, home, inputs, tmp_path):
    assert run(home, *shot(inputs, tmp_path / "out", "--frames", 5, "--steps", 1))[0] == 0
    job_id = run(home, "jobs")[1].splitlines()[1].split()[0]
    code, _, err = run(home, "cancel", job_id)
    assert code == 11
    assert "it is done already" in err


def test_unknown_job(run, home):
    code, _, err = run(home, "cancel", "12345678-1234-1234-1234-123456789012")
    assert code == 11
    assert "[job.unknown]" in err


def test_doctor_greets_the_server(run, home):
    checks = json.loads(run(home, "doctor", "--json")[1])["checks"]
    server = next(check for check in checks if check["name"] == "server")
    assert server["ok"]
    assert "tiny" in server["found"]


def test_a_second_server_is_refused(run, home, tiny_pipeline_folder):
    code, _, err = run(home, "serve", "--model", tiny_pipeline_folder)
    assert code == 7
    assert "threedimo: error [server" in err


DEMO = """
import sys
from pathlib import Path
from threedimo_server.demo import run_demo
print(*run_demo(Path(sys.argv[1]), model=sys.argv[2], inputs=Path(sys.argv[3])), sep="\\n")
"""


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_demo_brings_its_own_server_and_takes_it_away(inputs, tiny_pipeline_folder, tmp_path, taken_port):
    def demo(model, temporary):
        temporary.mkdir()
        return subprocess.run(
            [sys.executable, "-c", DEMO, str(tmp_path / "demo"), str(model), str(inputs)],
            # where the user's own server listens
            env=os.environ
            | {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "THREEDIMO_PORT": str(taken_port)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    for attempt in ("first", "again"):
        done = demo(tiny_pipeline_folder, tmp_path / attempt)
        assert done.returncode == 0, done.stderr
        check_result(tmp_path / "demo", 9)
        assert "Random weights, for tests." in done.stdout
        assert list((tmp_path / attempt).iterdir()) == [], "its home folder is gone"
    failed = demo(tmp_path, tmp_path / "failed")
    assert failed.returncode != 0
    assert "InvalidModel" in failed.stderr, "the server's own words arrive"
    check_result(tmp_path / "demo", 9)
