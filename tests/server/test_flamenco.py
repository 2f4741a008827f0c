"""The Flamenco job type under node: its tasks are command lines that the real command takes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from threedimo.media import write_png
from threedimo_server.batch_list import ListedShot
from threedimo_server.cli import build_parser

JOB_TYPE = Path(__file__).parents[2] / "server" / "flamenco" / "threedimo_shot.js"
COMPILER = Path(__file__).parent / "programs" / "compile_job.js"
SHOT = {"name": "010", "reference": "woman.png", "drive": "dance.mp4"}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def compile_job(shots, **settings):
    given = {"shots": json.dumps({"shots": shots}), "folder": "/film/", "output": "/out"} | settings
    return subprocess.run(
        ["node", str(COMPILER), str(JOB_TYPE), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def command_lines(shots, **settings):
    done = compile_job(shots, **settings)
    assert done.returncode == 0, done.stderr
    for task in json.loads(done.stdout):
        (command,) = task["commands"]
        assert (task["type"], command["name"]) == ("misc", "exec")
        yield task["name"], command["parameters"]


def test_every_shot_is_one_task_that_the_command_understands():
    full = SHOT | {
        "name": "020",
        "drive": ["a.png", "/elsewhere/b.png"],
        "drive_fps": 12.5,
        "drive_start": 1,
        "camera_path": "camera.json",
        "text": "--Front view.",
        "frames": 17,
        "fps": 8,
        "follow_person": True,
        "size": "64x96",
        "steps": 10,
        "preset": "draft",
        "step_cache": "first_block:0.1",
        "seed": 3,
    }
    (first, short), (second, long) = command_lines([SHOT, full], server="tcp://render-1:7400")
    assert (first, second) == ("010", "020")
    assert short["exe"] == "{threedimo}"
    options = build_parser().parse_args(long["args"])
    assert options.reference == Path("/film/woman.png")
    assert options.drive == [Path("/film/a.png"), Path("/elsewhere/b.png")]
    assert (options.drive_fps, options.drive_start, options.camera_path) == (
        12.5,
        1.0,
        Path("/film/camera.json"),
    )
    assert (options.text, options.frames, options.fps, options.steps, options.seed) == (
        *("--Front view.", 17, 8.0, 10, 3),
    )
    assert (options.follow_person, options.size, options.preset, options.step_cache) == (
        *(True, "64x96", "draft", "first_block:0.1"),
    )
    short_options = build_parser().parse_args(short["args"])
    assert not short_options.follow_person
    assert (options.output, options.overwrite, options.server) == (
        Path("/out/020"),
        True,
        "tcp://render-1:7400",
    )
    assert short_options.server == "tcp://render-1:7400"
    ((_, alone),) = command_lines([SHOT])
    assert build_parser().parse_args(alone["args"]).server is None


def test_its_fields_are_those_of_a_batch():
    every = dict.fromkeys(ListedShot.__struct_fields__, 1) | SHOT
    assert compile_job([every]).returncode == 0


def test_a_task_makes_its_shot_and_may_run_again(home, tmp_path):
    write_png(tmp_path / "woman.png", np.full((40, 40, 3), 90, np.uint8))
    shot = SHOT | {"drive": ["woman.png"] * 12, "drive_fps": 12, "frames": 5, "steps": 1}
    ((_, command),) = command_lines([shot], folder=str(tmp_path), output=str(tmp_path / "out"))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "threedimo_server.cli", *command["args"]],
            env=os.environ | {"THREEDIMO_HOME": str(home), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "010" / "result.json").exists()


@pytest.mark.parametrize(
    ("shots", "words"),
    [
        ([], "with a shot in it"),
        ([SHOT | {"name": "../010"}], "no name of a shot"),
        ([SHOT, SHOT | {"name": "010"}], "two shots"),
        ([SHOT | {"frame": 5}], 'unknown field "frame"'),
        ([{"name": "010", "drive": "dance.mp4"}], "lacks reference or drive"),
    ],
)
def test_a_list_that_is_wrong_makes_no_task(shots, words):
    done = compile_job(shots)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
