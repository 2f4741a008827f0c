"""Finding a Blender, and what its bad ends look like; programs of a few lines take Blender's place."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from threedimo.errors import DataError, InvalidScene, NoSpace
from threedimo_training.blender_scenes.blender_process import Blender, BlenderSession, find_blender
from threedimo_training.blender_scenes.renderer import open_scene

PLAN = {"task": "inspect", "people": {}}


@pytest.fixture
def program(tmp_path):
    """An executable shell script."""

    def write(*lines: str) -> Path:
        file = tmp_path / "program"
        file.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        file.chmod(0o755)
        return file

    return write


def run(program: Path, folder: Path, silence_s: float = 20.0) -> None:
    session = BlenderSession(
        Blender(str(program), is_python=False), folder / "cast.blend", silence_s=silence_s
    )
    try:
        session.do(PLAN, folder)
    finally:
        session.close()


def test_no_blender_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"no program called blender.*--blender"):
        find_blender()
    with pytest.raises(DataError, match=r"no such program.*blender-9"):
        find_blender(tmp_path / "blender-9")


def test_other_programs_are_no_blender(program):
    with pytest.raises(DataError, match="is no Blender"):
        find_blender(program("echo Krita 5"))
    with pytest.raises(DataError, match="no module bpy"):
        find_blender(sys.executable)


def test_blender_itself_is_called_without_window_settings_or_scripts(program, monkeypatch):
    file = program("echo Blender 4.5.1")
    found = find_blender(file)
    assert not found.is_python
    command = found.command(Path("cast.blend"))
    assert {"--background", "--factory-startup", "--disable-autoexec"} < set(command[: command.index("--")])
    assert command[-1] == "cast.blend"
    file.rename(file.with_name("blender"))
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")
    assert find_blender().path == str(file.with_name("blender"))


def test_a_crash_names_status_and_last_words(program, tmp_path):
    script = program("echo Reading the file", "echo Segmentation fault in a driver >&2", "exit 139")
    with pytest.raises(
        DataError, match=r"cast\.blend.*exit status 139.*Reading.*Segmentation fault"
    ) as caught:
        run(script, tmp_path)
    assert caught.value.code == "data"


def test_a_blender_that_hangs_is_stopped(program, tmp_path):
    mark = tmp_path / "late"
    script = program("echo loading", f"(sleep 5; touch {mark}) &", "sleep 60")
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"said nothing for 0.5 s.*loading"):
        run(script, tmp_path, silence_s=0.5)
    assert time.monotonic() - begun < 10
    time.sleep(2.5)
    assert not mark.exists(), "its children are stopped with it"


def test_problems_of_the_file_and_a_full_disk(program, tmp_path):
    said = '@threedimo {"event": "problem", "problem": "it is empty", "remedy": "fill it"}'
    with pytest.raises(InvalidScene, match=r"cast\.blend: it is empty\. What to do: fill it"):
        run(program(f"echo 'Fra:1 {said}'", "exit 3"), tmp_path)
    with pytest.raises(NoSpace, match=r"disk is full.*cast\.blend.*TMPDIR"):
        run(program("exit 4"), tmp_path)


def test_a_session_that_ended_does_no_more(program, tmp_path):
    blender = Blender(str(program("echo gone", "exit 5")), is_python=False)
    session = BlenderSession(blender, tmp_path / "cast.blend")
    with pytest.raises(DataError, match=r"exit status 5.*gone"):
        session.do(PLAN, tmp_path)
    with pytest.raises(DataError, match=r"Blender has ended.*cast.*open the file again"):
        session.do(PLAN, tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidScene, match="not there"):
        open_scene(tmp_path / "none.blend")
