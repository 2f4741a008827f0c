"""Trouble that comes and goes: full disks, devices that fail for a while, and commands that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

OWN_SERVER = """
import sys, time
from pathlib import Path
from threedimo_server.own_server import own_server
from threedimo_server.served_models import ModelChoice
with own_server(Path(sys.argv[1]), ModelChoice(sys.argv[2])) as server:
    print(server.connection.pid, flush=True)
    time.sleep(600)
"""


def test_a_result_waits_for_space_and_is_then_published(on_a_full_disk: Callable[..., Any]) -> None:
    found = on_a_full_disk("logs", "results")
    assert found["at_full"] == ["queued", "running"]
    assert found["states"] == ["queued", "running", "publishing", "done"]
    assert found["next"] == "done"
    assert found["lines"] == 1


def test_a_job_that_cannot_be_written_fails_and_the_next_succeeds(on_a_full_disk: Callable[..., Any]) -> None:
    found = on_a_full_disk("logs")
    assert found["at_full"] == ["queued", "running"]
    assert found["states"] == ["queued", "running", "failed"]
    assert found["error"] == "storage.no_space"
    assert found["next"] == "done"


def test_little_space_is_told_at_the_start(start_server: Callable[..., Any]) -> None:
    log = start_server(reserve_bytes=10**16).log()
    assert "WARNING" in log
    assert "MB are free" in log
    assert "MB are free" not in start_server().log()


def test_a_device_that_failed_is_tried_again(
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    tiny_model: Path,
    tmp_path: Path,
    wait: Callable[..., None],
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "broken-cpu:0").touch()
    server = start_server(model, devices=["cpu", "cpu:0"], retry_failed_s=0.2)
    wait(lambda: "worker cpu:0 cannot load the model (next try in 0 s)" in server.log())
    wait(lambda: "worker cpu is ready" in server.log())
    assert "nothing can be made" not in server.log()
    follower = follow(server)
    follower.wait_for(lambda _: True)
    devices = follower.client.capabilities.devices
    assert devices[0] == "cpu"
    assert "failed: the weights are damaged" in devices[1]
    (model / "broken-cpu:0").unlink()
    wait(lambda: "worker cpu:0 is ready" in server.log())
    follower = follow(server)
    follower.wait_for(lambda _: True)
    assert follower.client.capabilities.devices == ["cpu", "cpu:0"]


def test_a_server_that_can_make_nothing_says_so(
    start_server: Callable[..., Any], tiny_model: Path, tmp_path: Path, wait: Callable[..., None]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "broken").touch()
    server = start_server(model)
    wait(lambda: "nothing can be made: no device can load the model" in server.log())


def test_a_command_that_is_killed_takes_its_server_along(
    tiny_model: Path, tmp_path: Path, wait: Callable[..., None]
) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", OWN_SERVER, str(tmp_path / "home"), str(tiny_model)], stdout=subprocess.PIPE
    )
    assert command.stdout is not None
    server = psutil.Process(int(command.stdout.readline()))
    wait(lambda: bool(server.children()))
    workers = server.children()
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    command.stdout.close()
    wait(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    wait(lambda: not any(worker.is_running() for worker in workers))
    assert not (tmp_path / "home" / "connection.json").exists()
    assert "stopped" in (tmp_path / "home" / "logs" / "server.log").read_text()
