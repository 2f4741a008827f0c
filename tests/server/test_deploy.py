"""The unit for systemd, judged by systemd itself, and the steps of the container."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from threedimo_server.cli import build_parser

REPOSITORY = Path(__file__).parents[2]
UNIT = REPOSITORY / "server" / "deploy" / "threedimo.service"
DOCKERFILE = REPOSITORY / "server" / "deploy" / "Dockerfile"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit_as_it_stands(tmp_path):
    program = "%h/threedimo/.venv/bin/threedimo"
    unit = UNIT.read_text()
    assert program in unit
    # systemd looks for the program: any that is there will do
    (tmp_path / "threedimo.service").write_text(unit.replace(program, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(tmp_path / "threedimo.service")],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_its_command_is_one_of_ours():
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    build_parser().parse_args(line.split()[1:])


def steps(word: str) -> list[str]:
    """What follows a word in the Dockerfile."""
    lines = DOCKERFILE.read_text().splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{word} ")]


def test_the_container_runs_one_of_our_commands():
    (entry,), (command,) = map(json.loads, steps("ENTRYPOINT")), map(json.loads, steps("CMD"))
    assert entry == ["threedimo"]
    build_parser().parse_args(command)
    (check,) = steps("HEALTHCHECK")
    program, *arguments = json.loads(check[check.index("[") :])
    assert program == "threedimo"
    build_parser().parse_args(arguments)


def test_what_is_copied_into_the_container_is_enough_to_install_the_server(tmp_path):
    for line in steps("COPY"):
        *sources, target = line.split()
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                shutil.copytree(path, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, tmp_path / target)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "."],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("threedimo-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"threedimo_server/front.py", "threedimo_server/page/static/page.css"} <= names
    assert any(name.startswith("threedimo/embedded/") and name.endswith(".safetensors") for name in names)
