"""Kills, hangs, restarts and refusals to start, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from threedimo.errors import PortInUse, ServerBusy, ServerError
from threedimo.wire.client import Accepted, ConnectionLost, Jobs, Progress
from threedimo_server.config import ServerConfig
from threedimo_server.doctor import examine
from threedimo_server.front import Front
from threedimo_server.served_models import ModelChoice

MANY_STEPS = {"num_inference_steps": 15}


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_worker_killed_in_the_middle_costs_time_and_nothing_else(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server()
    follower = follow(server)
    job_id = follower.submit(inputs, "slow", **MANY_STEPS)
    follower.state(job_id, "running")
    os.kill(server.worker_pid(), signal.SIGKILL)
    follower.result(job_id)
    assert follower.states(job_id) == ["queued", "running", "queued", "running", "publishing", "done"]
    assert sorted(path.name for path in (server.home / "results").iterdir()) == [".attempts", job_id]
    assert list((server.home / "results" / ".attempts").iterdir()) == []


def test_a_job_that_kills_every_worker_fails_and_the_next_succeeds(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server()
    follower = follow(server)
    fatal = follower.submit(inputs, "fatal")
    failure = follower.end(fatal)
    assert (failure.error_code, failure.retryable) == ("job.worker_lost", True)
    assert "status -9" in failure.error_message
    assert follower.states(fatal).count("running") == 3
    follower.result(follower.submit(inputs, "fine"))


def test_a_killed_server_finishes_its_jobs_after_a_restart(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, wait: Callable[..., None]
) -> None:
    server = start_server()
    follower = follow(server)
    running = follower.submit(inputs, "slow", **MANY_STEPS)
    waiting = follower.submit(inputs, "waits")
    follower.state(running, "running")
    follower.state(waiting, "queued")
    worker = server.worker_pid()
    server.kill()
    wait(lambda: is_gone(worker))
    server.start()
    follower.result(running)
    follower.result(waiting)
    assert any(isinstance(event, ConnectionLost) for event in follower.heard)
    assert follower.states(running) == ["queued", "running", "queued", "running", "publishing", "done"]
    numbers = [event.seq for event in follower.heard if getattr(event, "state", "")]
    assert len(numbers) == len(set(numbers))


def test_a_stopped_server_leaves_nothing_behind_but_its_jobs(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server()
    follower = follow(server)
    job_id = follower.submit(inputs, "slow", **MANY_STEPS)
    follower.state(job_id, "running")
    worker = server.worker_pid()
    assert server.stop(signal.SIGINT) == 0
    assert is_gone(worker)
    assert not (server.home / "connection.json").exists()
    assert "ERROR" not in server.log()
    server.start()
    follower.result(job_id)
    assert follower.states(job_id).count("running") == 2


def test_doctor_calls_a_server_without_a_usable_worker_a_problem(
    start_server: Callable[..., Any],
    tiny_model: Path,
    tmp_path: Path,
    wait: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "broken").touch()
    server = start_server(model)
    wait(lambda: "cannot load the model" in server.log())
    monkeypatch.setenv("THREEDIMO_HOME", str(server.home))
    (check,) = [check for check in examine() if check.name == "server"]
    assert not check.ok
    assert "the weights are damaged" in check.found
    assert "threedimo serve" in check.remedy


def test_a_model_that_cannot_be_loaded_fails_jobs_with_the_reason_until_it_is_mended(
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    tiny_model: Path,
    tmp_path: Path,
    wait: Callable[..., None],
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "broken").touch()
    server = start_server(model)
    wait(lambda: "cannot load the model" in server.log())
    follower = follow(server)
    failure = follower.end(follower.submit(inputs))
    assert failure.error_code == "model.invalid"
    assert "the weights are damaged" in failure.error_message
    assert "copy them again" in failure.error_message
    other = follow(server)
    other.wait_for(lambda _: True)
    assert "failed: the weights are damaged" in other.client.capabilities.devices[0]
    assert server.log().count("starts as process") == 2
    (model / "broken").unlink()
    follower.result(follower.submit(inputs))


def test_a_worker_that_ignores_a_cancel_is_killed(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server(cancel_grace_s=0.3)
    follower = follow(server)
    job_id = follower.submit(inputs, "slow deaf", num_inference_steps=200)
    follower.wait_for(lambda event: isinstance(event, Progress) and event.phase == "denoising")
    follower.client.cancel(job_id)
    assert follower.end(job_id).state == "cancelled"
    assert "after a cancel" in server.log()
    follower.result(follower.submit(inputs, "fine"))


def test_a_worker_without_heartbeat_is_killed_and_its_job_made_again(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server(worker_silence_s=3.0)
    follower = follow(server)
    job_id = follower.submit(inputs, "slow", **MANY_STEPS)
    follower.state(job_id, "running")
    os.kill(server.worker_pid(), signal.SIGSTOP)
    follower.result(job_id)
    assert "no heartbeat" in server.log()
    assert follower.states(job_id).count("running") == 2


def test_a_job_that_is_too_large_for_the_device_is_tried_once_more_in_less_memory(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server()
    follower = follow(server)
    follower.result(follower.submit(inputs, "device-memory-once"))
    assert "once more with the memory plan tiny" in (server.home / "logs" / "worker-0.log").read_text()
    later = follow(server)
    later.wait_for(lambda _: True)
    assert later.client.capabilities.devices == ["cpu, memory plan tiny"]
    failure = follower.end(follower.submit(inputs, "device-memory"))
    assert (failure.state, failure.error_code) == ("failed", "model.out_of_memory")
    follower.result(follower.submit(inputs, "fine"))


def test_a_full_queue_is_told_and_a_list_is_cut_to_what_a_header_holds(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server(limits={"max_queued_jobs": 12, "max_header_bytes": 7000})
    follower = follow(server)
    blocker = follower.submit(inputs, "slow", num_inference_steps=200)
    follower.state(blocker, "running")
    waiting = [follower.submit(inputs, label=200 * "x") for _ in range(12)]
    for job_id in waiting:
        follower.wait_for(lambda event, job_id=job_id: isinstance(event, Accepted) and event.job_id == job_id)
    follower.submit(inputs)
    refusal = follower.refusal()
    assert isinstance(refusal.error, ServerBusy)
    assert "12 jobs wait" in str(refusal.error)
    follower.client.list_jobs(100)
    jobs = follower.wait_for(lambda event: isinstance(event, Jobs)).jobs
    assert 3 < len(jobs) < 13
    assert [job.job_id for job in jobs] == waiting[::-1][: len(jobs)]


def test_two_devices_work_at_the_same_time(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server(devices=["cpu", "cpu:0"])
    follower = follow(server)
    job_ids = [follower.submit(inputs, "slow") for _ in range(2)]
    for job_id in job_ids:
        follower.result(job_id)
    order = [event.state for event in follower.heard if getattr(event, "state", "") in ("running", "done")]
    assert order == ["running", "running", "done", "done"]


@pytest.fixture
def occupied_port() -> Iterator[int]:
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    yield socket.bind_to_random_port("tcp://127.0.0.1")
    context.destroy(linger=0)


def test_a_busy_port_is_named_and_nothing_is_left_open(
    occupied_port: int, tmp_path: Path, tiny_model: Path
) -> None:
    for ports in ({"control_port": occupied_port}, {"data_port": occupied_port}):
        with pytest.raises(PortInUse, match=str(occupied_port)):
            Front(ServerConfig(home=tmp_path, models=(ModelChoice(str(tiny_model)),), **ports), tmp_path)
    front = Front(ServerConfig(home=tmp_path, models=(ModelChoice(str(tiny_model)),)), tmp_path)
    front.close()


def test_a_second_server_in_the_same_home_is_refused(
    start_server: Callable[..., Any], tiny_model: Path
) -> None:
    server = start_server()
    with pytest.raises(ServerError, match="another server"):
        Front(ServerConfig(home=server.home, models=(ModelChoice(str(tiny_model)),)), server.home)


def test_the_real_worker_makes_a_shot_with_a_real_pipeline(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, tiny_pipeline_folder: Path
) -> None:
    server = start_server(tiny_pipeline_folder, real_worker=True)
    follower = follow(server)
    job_id = str(uuid.uuid4())
    follower.submit(inputs, "Front view. The camera remains static.", job_id=job_id)
    result = follower.wait_for(lambda event: getattr(event, "files", None), patience_s=60.0)
    assert result.info.num_frames == 9
    assert set(result.info.seconds) == {
        "loading",
        "decoding",
        "encoding",
        "denoising",
        "rendering",
        "writing",
    }


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")
def test_the_real_worker_compiles_when_told_to(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, tiny_pipeline_folder: Path
) -> None:
    server = start_server(tiny_pipeline_folder, real_worker=True, compiled=True)
    follower = follow(server)
    follower.submit(inputs, "Front view.", job_id=str(uuid.uuid4()))
    result = follower.wait_for(lambda event: getattr(event, "files", None), patience_s=120.0)
    assert result.info.num_frames == 9
    assert "the generator is compiled" in (server.home / "logs" / "worker-0.log").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the environment of a process is read from /proc")
@pytest.mark.parametrize(("own", "used"), [(None, "10000"), ("500", "500")])
def test_a_workers_threads_yield_unless_somebody_wants_otherwise(
    start_server: Callable[..., Any],
    wait: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    used: str,
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if own is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", own)
    server = start_server()
    wait(lambda: "starts as process" in server.log())
    environment = Path(f"/proc/{server.worker_pid()}/environ").read_bytes().split(b"\0")
    assert f"GOMP_SPINCOUNT={used}".encode() in environment


def test_a_stock_model_is_served_with_its_adapter_and_not_with_that_of_another(
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    tiny_stock_folder: Path,
    tiny_trained_stock: Any,
    tmp_path: Path,
) -> None:
    adapter = tmp_path / "adapter"
    tiny_trained_stock.save_adapter(adapter, base="wan")
    server = start_server(tiny_stock_folder, real_worker=True, adapter=adapter)
    follower = follow(server)
    follower.submit(inputs, "Front view.")
    result = follower.wait_for(lambda event: getattr(event, "files", None), patience_s=60.0)
    assert result.info.model_id == "danced"
    server.stop()

    origin = adapter / "motion_adapter" / "adapter.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"base": "Wan-Other", "weights": "0" * 32}))
    follower = follow(start_server(tiny_stock_folder, real_worker=True, adapter=adapter))
    job_id = follower.submit(inputs, "Front view.")
    failure = follower.wait_for(lambda event: getattr(event, "error_message", None), patience_s=60.0)
    assert job_id == failure.job_id
    assert "given: wan, weights" in failure.error_message
    assert "Allowed: Wan-Other, weights 000" in failure.error_message
