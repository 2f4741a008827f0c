"""The button that starts a server, with a real server and with what is none."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

PYTHON = os.environ.get(
    "THREEDIMO_PYTHON", str(Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python")
)


@pytest.fixture
def preferences(blender, scene, addon, no_server):
    preferences = blender.context.preferences.addons[addon("preferences").__package__].preferences
    yield preferences
    preferences.server_python = ""


def test_server_that_the_button_starts_is_found_and_stopped(blender, preferences, addon, tmp_path):
    preferences.server_python = PYTHON
    runtime = addon("runtime")

    assert blender.ops.threedimo.start_server() == {"FINISHED"}

    assert runtime.session().connected
    assert runtime.local_server.runs
    assert blender.ops.threedimo.stop_server() == {"FINISHED"}
    deadline = time.monotonic() + 120
    while runtime.local_server.runs:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert runtime.local_server.problem is None
    assert not (tmp_path / "home" / "connection.json").exists()


def test_without_a_named_python_it_says_what_to_do(blender, preferences):
    with pytest.raises(RuntimeError, match="name its Python in the add-on's preferences"):
        blender.ops.threedimo.start_server()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("/nowhere/python", "this Python cannot be started"),
        # Blender's own Python has no server.
        (sys.executable, "the server ended.*No module named 'threedimo_server'"),
    ],
)
def test_what_is_no_such_python_is_named(blender, preferences, program, says):
    preferences.server_python = program

    with pytest.raises(RuntimeError, match=says):
        blender.ops.threedimo.start_server()
