"""The command itself, as a person runs it: a process, its output and its exit code."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threedimo.errors import DataError, ThreeDimoError, TrainingError
from threedimo.version import VERSION
from threedimo_server.cli import EPILOG, build_parser

HEAVY = ("torch", "diffusers", "transformers", "av", "PIL", "zmq", "numpy", "tqdm", "msgspec")
COMMANDS = (
    "demo",
    "generate",
    "batch",
    "novel-views",
    "stabilize",
    "serve",
    "calibrate",
    "convert",
    "keys",
    "jobs",
    "cancel",
    "page",
    "bench",
    "doctor",
)


@pytest.fixture
def threedimo(tmp_path):
    """Run the command with a home folder of its own."""

    def run(*arguments, timeout_s=60.0):
        return subprocess.run(
            [sys.executable, "-m", "threedimo_server.cli", *map(str, arguments)],
            env=os.environ | {"THREEDIMO_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "person.png"
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("arguments", [("--help",), *((command, "--help") for command in COMMANDS)])
def test_help_answers_at_once_and_imports_nothing_heavy(arguments):
    code = f"""
import sys
from threedimo_server.cli import main
try:
    main({list(arguments)!r})
except SystemExit as end:
    assert end.code == 0
print("HEAVY", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: threedimo" in done.stdout
    assert "HEAVY []" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The processor's time, which is what a person waits for on a machine that has nothing else to do.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_version(threedimo):
    assert threedimo("--version").stdout == f"threedimo {VERSION}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("generate",),
        ("generate", "--reference", "a.png", "--drive", "b.mp4", "--output", "c", "--frames", "0"),
        ("generate", "--reference", "a.png", "--drive", "b.mp4", "--output", "c", "--seed", "-1"),
        ("generate", "--reference", "a.png", "--drive", "b.mp4", "--output", "c", "--fps", "nan"),
        ("generate", "--reference", "a.png", "--drive", "b.mp4", "--output", "c", "--drive-start", "-2"),
        ("novel-views",),
        ("novel-views", "a.png", "--turn", "left"),
        ("novel-views", "a.png", "--turn", "90", "--views", "zoom_in"),
        ("novel-views", "a.png", "b.png"),
        ("stabilize",),
        ("stabilize", "a.mp4", "--drive-start", "-1"),
        ("serve", "--port", "many"),
        ("serve", "--port", "0"),
        ("serve", "--port", "80000"),
        ("serve", "--port", "65535"),
        ("serve", "--port", "7400", "--data-port", "7400"),
        ("keys",),
        ("keys", "allow", "anna"),
        ("cancel",),
    ],
)
def test_wrong_usage(threedimo, arguments):
    done = threedimo(*arguments)
    assert done.returncode == 2
    assert "threedimo: error [usage]:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--frames", "abc", "abc is not a whole number from 1 to 4294967295"),
        ("--frames", "1.5", "1.5 is not a whole number from 1 to"),
        ("--frames", "-3", "-3 is not a whole number from 1 to"),
        ("--fps", "fast", "fast is not a number"),
        ("--drive-start", "soon", "soon is not a number"),
    ],
)
def test_what_is_not_a_number_is_said_in_words(capsys, option, text, said):
    with pytest.raises(SystemExit):
        build_parser().parse_args(
            ["generate", "--reference", "a.png", "--drive", "b.mp4", "--output", "c", option, text]
        )
    assert f"argument {option}: {said}" in capsys.readouterr().err


def _exit_codes(cls=ThreeDimoError):
    return {cls.exit_code}.union(*(_exit_codes(child) for child in cls.__subclasses__()))


def test_every_exit_code_is_documented():
    documented = {int(number) for number in re.findall(r"(?<!\S)(\d{1,3}) [a-z]", EPILOG)}
    of_training = _exit_codes(DataError) | _exit_codes(TrainingError)
    assert documented == (_exit_codes() - of_training) | {0, 2, 130}


def test_the_options_are_those_that_scripts_know():
    """Scripts and farms depend on these names; change them with a note in the changelog."""
    commands = build_parser()._subparsers._group_actions[0].choices
    found = {
        name: sorted(
            option for action in parser._actions for option in action.option_strings if len(option) > 2
        )
        for name, parser in commands.items()
    }
    assert found == {
        "demo": ["--help", "--output"],
        "generate": [
            "--camera-path",
            "--drive",
            "--drive-fps",
            "--drive-start",
            "--follow-person",
            "--fps",
            "--frames",
            "--help",
            "--model-id",
            "--output",
            "--overwrite",
            "--preset",
            "--reference",
            "--seed",
            "--server",
            "--size",
            "--step-cache",
            "--steps",
            "--text",
        ],
        "batch": [
            "--adapter",
            "--engine",
            "--help",
            "--lora",
            "--lora-steps",
            "--model",
            "--model-id",
            "--output",
            "--preset",
            "--ray-address",
            "--server",
            "--untrained",
        ],
        "novel-views": [
            "--fps",
            "--frames",
            "--help",
            "--model-id",
            "--output",
            "--overwrite",
            "--preset",
            "--seed",
            "--seen-from",
            "--server",
            "--size",
            "--step-cache",
            "--steps",
            "--turn",
            "--views",
        ],
        "stabilize": [
            "--drive-fps",
            "--drive-start",
            "--follow-person",
            "--fps",
            "--frames",
            "--help",
            "--model-id",
            "--output",
            "--overwrite",
            "--preset",
            "--seed",
            "--server",
            "--size",
            "--step-cache",
            "--steps",
        ],
        "serve": [
            "--adapter",
            "--attention",
            "--compile",
            "--data-port",
            "--device",
            "--end-with-input",
            "--help",
            "--host",
            "--lora",
            "--lora-steps",
            "--memory",
            "--metrics-port",
            "--model",
            "--port",
            "--untrained",
        ],
        "keys": ["--help"],
        "jobs": ["--help", "--server"],
        "cancel": ["--help", "--server"],
        "page": ["--help", "--no-browser", "--port", "--server"],
        "bench": [
            "--adapter",
            "--attention",
            "--compile",
            "--device",
            "--help",
            "--json",
            "--lora",
            "--lora-steps",
            "--memory",
            "--model",
            "--presets",
            "--rounds",
            "--step-caches",
            "--steps",
            "--untrained",
        ],
        "calibrate": ["--adapter", "--device", "--help", "--lora", "--lora-steps", "--model", "--untrained"],
        "convert": ["--base", "--help", "--output"],
        "doctor": ["--help", "--json"],
    }


@pytest.mark.parametrize("arguments", [("jobs",), ("cancel", "12345678-1234-1234-1234-123456789012")])
def test_no_server(threedimo, arguments):
    done = threedimo(*arguments)
    assert done.returncode == 7
    assert done.stderr.startswith("threedimo: error [server.unreachable]: ")
    assert "threedimo serve" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_such_model(threedimo):
    done = threedimo("serve", "--model", "/no/such/folder")
    assert done.returncode == 6
    assert "threedimo: error [model.not_found]:" in done.stderr


def test_a_stock_model_is_served_only_with_an_adapter_or_on_request(threedimo, tiny_stock_folder):
    done = threedimo("serve", "--model", tiny_stock_folder)
    assert done.returncode == 6
    assert "threedimo: error [model.untrained]: this is a stock Wan model" in done.stderr
    assert "--adapter FOLDER" in done.stderr
    assert "--untrained" in done.stderr
    both = threedimo("serve", "--model", tiny_stock_folder, "--untrained", "--adapter", "somewhere")
    assert both.returncode == 2


def test_an_output_folder_with_other_things_is_refused_before_any_work(threedimo, picture, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    done = threedimo(
        "generate", "--reference", picture, "--drive", picture, "--output", tmp_path / "out", "--overwrite"
    )
    assert done.returncode == 10
    assert "thesis.txt" in done.stderr
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_doctor(threedimo, tmp_path):
    done = threedimo("doctor", "--json", timeout_s=120)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert done.returncode == (0 if report["ok"] else 1)
    assert checks["package torch"]["ok"]
    assert checks["devices"]["found"].startswith("cpu:")
    assert checks["codec libx264"]["ok"]
    assert "not running" in checks["server"]["found"]
    assert str(tmp_path / "home") in checks["home folder"]["found"]
    assert all(check["ok"] or check["remedy"] for check in report["checks"])


def test_doctor_knows_the_keys_and_sees_a_damaged_list(threedimo, tmp_path):
    def keys():
        (found,) = (
            check
            for check in json.loads(threedimo("doctor", "--json", timeout_s=120).stdout)["checks"]
            if check["name"] == "keys"
        )
        return found

    assert "only this computer" in keys()["found"]
    word = threedimo("keys", "client").stdout.strip()
    assert threedimo("keys", "server").returncode == 0
    assert threedimo("keys", "allow", "anna", word).returncode == 0
    assert (keys()["ok"], keys()["found"]) == (True, "this server's own, this client's own, 1 let in")

    (listed,) = tmp_path.rglob("allowed*")
    listed.write_text("anna nonsense\n")
    assert not keys()["ok"]
    assert "allowed" in keys()["found"]


def test_doctor_sees_a_server_that_died(threedimo, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "connection.json").write_text(
        json.dumps(
            {
                "version": 1,
                "control": "tcp://127.0.0.1:9",
                "data": "tcp://127.0.0.1:10",
                "token": "t",
                "pid": gone.pid,
            }
        )
    )
    done = threedimo("doctor", timeout_s=120)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if " server " in line)
    assert line.startswith("PROBLEM")
    assert f"mend it with: rm {Path(tmp_path / 'home' / 'connection.json')}" in done.stdout
