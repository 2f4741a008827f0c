"""The command `threedimo-train` as a user runs it: a fresh process, real files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from threedimo.errors import (
    CameraError,
    DataError,
    MediaError,
    ModelError,
    RequestError,
    StorageError,
    TrainingError,
)
from threedimo_training.cli import EPILOG, main

COMMANDS = (
    *("render", "ingest", "show", "card", "index", "body", "demo-inputs"),
    *("embedded", "export", "probe", "evaluate", "compare"),
)


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("threedimo-train"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_stays_light():
    code = "import sys; from threedimo_training.cli import main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "cv2", "diffusers", "av"} & set(done.stdout.split())


def test_exit_codes_are_documented():
    documented = {int(number) for number in re.findall(r"(?<!\S)(\d{1,3}) [a-z]", EPILOG)}
    errors = (MediaError, CameraError, RequestError, ModelError, StorageError, DataError, TrainingError)
    assert documented - {24} == {0, 1, 2, 130, *(error.exit_code for error in errors)}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert command in capsys.readouterr().out


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shards"
    done = _run("render", "--clips", 3, "--size", 48, "--frames", 5, "--output", folder, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 clips" in done.stderr
    return folder


def test_render_leaves_a_folder_that_explains_itself(shards):
    names = {file.name for file in shards.iterdir()}
    assert names == {"shard-00000.tar", "index.json", "render.json", "README.md"}
    assert json.loads((shards / "render.json").read_text())["options"]["size"] == 48


def test_show_draws_a_sheet_and_a_film(shards, tmp_path, capsys):
    assert main(["show", str(shards), "--output", str(tmp_path), "--count", "3"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert Path(line).stat().st_size > 1000


def test_index_and_card_are_written_again(shards):
    (shards / "index.json").unlink()
    assert main(["index", str(shards)]) == 0
    assert main(["card", str(shards)]) == 0
    assert json.loads((shards / "index.json").read_text())


def test_a_damaged_shard_gets_no_new_index(shards, tmp_path, capsys):
    folder = shutil.copytree(shards, tmp_path / "copy")
    shard = folder / "shard-00000.tar"
    content = bytearray(shard.read_bytes())
    content[content.index(b"driving_joints_world") + 400] ^= 0xFF
    shard.write_bytes(content)
    before = (folder / "index.json").read_bytes()
    assert main(["index", str(folder)]) == 12
    assert "shard-00000.tar" in capsys.readouterr().err
    assert (folder / "index.json").read_bytes() == before


def test_body_writes_a_mesh(tmp_path):
    file = tmp_path / "person.glb"
    assert main(["body", "--seed", "4", "--export", str(file)]) == 0
    assert file.read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["render", "--clips", "0", "--output", "x"], 5, "clips is out of range"),
        (["render", "--clips", "1", "--roles", "top_view", "--output", "x"], 5, "same_view"),
        (["render", "scene.blend", "--clips", "1", "--output", "x"], 5, "--engine blender"),
        (
            ["render", "missing.blend", "--engine", "blender", "--clips", "1", "--output", "x"],
            12,
            "missing.blend",
        ),
        (["render", "--motions", "nowhere", "--clips", "1", "--output", "x"], 12, "nowhere"),
        (["ingest", "missing.mp4", "--output", "x"], 3, "missing.mp4"),
        (["show", "nowhere", "--output", "x"], 12, "nowhere"),
        (["body", "--smplx", "SMPLX_NEUTRAL.npz", "--export", "a.glb"], 12, "SMPLX_NEUTRAL.npz"),
        (["body", "--export", "a.stl4"], 12, "stl4"),
        (["export", "--work", "nowhere", "--output", "x"], 3, "threedimo-train embedded"),
        (["evaluate", "--probe", "no.safetensors", "--json", "x.json"], 6, "threedimo-train probe"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line(arguments, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("threedimo-train: error [")
    assert words in said
    if arguments[0] == "render":
        assert not (tmp_path / "x" / "render.json").exists()
