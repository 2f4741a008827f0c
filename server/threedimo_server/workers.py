"""The front's view of its worker processes: start, watch, restart, and when to give up on one.

A worker is a process of its own, so that a crash of the model, of a driver or of a video decoder never takes
the queue with it. It lives as long as its standard input is open: when the front dies in whatever way, the
system closes that pipe and the worker ends too.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from threedimo.errors import ModelError, ThreeDimoError, from_code
from threedimo_server.config import MAX_RETRY_S, ServerConfig
from threedimo_server.device_use import DeviceUse
from threedimo_server.logs import for_job
from threedimo_server.worker_link import (
    LOAD_FAILED_EXIT,
    CancelWork,
    Heartbeat,
    LoadFailed,
    ModelHeld,
    Work,
    WorkerMessage,
    WorkerReady,
    receive_from,
    send_to,
)

logger = logging.getLogger(__name__)

MAX_LOAD_CRASHES = 3
MAX_BACKOFF_S = 30.0
_FIRST_BACKOFF_S = 0.5
_REPORT_GRACE_S = 2.0
_LABEL_LENGTH = 200
FAILED_MARK = " (failed: "
"""In the description of a worker that could not load its model, after the device."""
# By default, threads of OpenMP that wait keep their cores busy for long. Where another program, such as
# Blender, wants those, both wait for each other. Measured on two cores with the embedded model's demo:
# denoising takes 1.8 s, and 45 s with one core taken; with this 1.8 and 9.8 s; without spinning 3.7, 3.6 s.
THREADS_THAT_YIELD = {"GOMP_SPINCOUNT": "10000"}

State = Literal["loading", "idle", "busy", "waiting", "failed"]


@dataclass(frozen=True)
class Loss:
    """A worker died with this job."""

    job_id: str
    epoch: int
    reason: str


class Worker:
    """One device and the process that serves it now."""

    def __init__(self, index: int, device: str):
        self.index = index
        self.device = device
        self.state: State = "waiting"
        self.name = b""
        self.process: subprocess.Popen[bytes] | None = None
        self.work: Work | None = None
        self.model_id = ""
        """What it has loaded, or loads for its job."""
        self.memory_plan = "full"
        self.error: ThreeDimoError | None = None
        """Why the model could not be loaded, until it is."""
        self.heard_at_s = 0.0
        self.cancelled_at_s: float | None = None
        self.restart_at_s = 0.0
        self.died_at_s: float | None = None
        self.num_starts = 0
        self.num_load_crashes = 0
        self.num_failures = 0
        self.kill_reason = ""

    def describe(self) -> str:
        """The device with its memory plan, unless that is the usual one; or why it is not ready."""
        if self.error is not None:
            return f"{self.device}{FAILED_MARK}{self.error})"[:_LABEL_LENGTH]
        if self.state not in ("idle", "busy"):
            return f"{self.device} (loading the model)"
        return self.device if self.memory_plan == "full" else f"{self.device}, memory plan {self.memory_plan}"

    def works_on(self, job_id: str, epoch: int) -> bool:
        """Whether this attempt at this job is what the worker was given."""
        return self.work is not None and (self.work.job_id, self.work.epoch) == (job_id, epoch)

    def rest(self) -> None:
        """The worker has ended its job."""
        self.work = None
        self.cancelled_at_s = None
        self.state = "idle"


class WorkerPool:
    """One worker for each device.

    Args:
        context: Of ZeroMQ.
        config: Devices, model, times and the program of a worker.
        log_folder: Where the workers' own output goes.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], config: ServerConfig, log_folder: Path):
        self._config = config
        self._log_folder = log_folder
        # Mode 0700; not in the home folder, whose path may be longer than such an address may be.
        self._folder = tempfile.mkdtemp(prefix="threedimo-")
        self._endpoint = f"ipc://{self._folder}/link"
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.bind(self._endpoint)
        self.workers = [Worker(index, device) for index, device in enumerate(config.devices)]
        self._stopping = False

    @property
    def all_failed(self) -> bool:
        """Whether no worker can make anything: none could load the model."""
        return all(worker.state == "failed" for worker in self.workers)

    @property
    def all_gone(self) -> bool:
        """Whether no process is left."""
        return all(worker.process is None for worker in self.workers)

    @property
    def some_idle(self) -> bool:
        """Whether a worker waits for work."""
        return any(worker.state == "idle" for worker in self.workers)

    def assign(self, work: Work, camera: bytes) -> None:
        """Give a job to an idle worker, there is one, if possible to one that has the job's model loaded.

        If it dies before it reads it, `watch` reports the loss.
        """
        idle = [worker for worker in self.workers if worker.state == "idle"]
        worker = next((worker for worker in idle if worker.model_id == work.request.model_id), idle[0])
        worker.work = work
        worker.model_id = work.request.model_id
        worker.state = "busy"
        try:
            send_to(self.socket, worker.name, work, camera)
        except zmq.ZMQError as error:
            self._kill(worker, f"it takes no work ({error})")

    def cancel(self, job_id: str) -> None:
        """Ask the worker of a job to stop; `watch` kills it if it does not."""
        for worker in self.workers:
            if worker.work is not None and worker.work.job_id == job_id and worker.cancelled_at_s is None:
                worker.cancelled_at_s = time.monotonic()
                try:
                    send_to(self.socket, worker.name, CancelWork(job_id, worker.work.epoch))
                except zmq.ZMQError as error:
                    self._kill(worker, f"it takes no messages ({error})")

    def receive(self) -> Iterator[tuple[Worker, WorkerMessage, bytes]]:
        """Reports about work. What concerns the process itself is dealt with here."""
        while True:
            try:
                name, message, body = receive_from(self.socket)
            except zmq.Again:
                return
            except msgspec.MsgspecError:
                logger.exception("a worker's message cannot be read")
                continue
            worker = next((worker for worker in self.workers if worker.name == name), None)
            if worker is None:
                continue  # The last words of a process that was given up.
            worker.heard_at_s = time.monotonic()
            match message:
                case Heartbeat():
                    pass
                case WorkerReady():
                    worker.state, worker.device = "idle", message.device
                    worker.error = None
                    worker.num_load_crashes = worker.num_failures = 0
                    logger.info("worker %s is ready with %s", worker.device, worker.model_id)
                case ModelHeld():
                    worker.model_id, worker.memory_plan = message.model_id, message.memory_plan
                case LoadFailed():
                    self._fail(worker, from_code(message.code, message.message))
                case _:
                    yield worker, message, body

    def watch(self) -> list[Loss]:
        """Start what is due, kill what hangs, and report the jobs of those that died."""
        now = time.monotonic()
        losses: list[Loss] = []
        for worker in self.workers:
            if worker.process is None:
                if (
                    worker.state in ("waiting", "failed")
                    and now >= worker.restart_at_s
                    and not self._stopping
                ):
                    self._start(worker)
                continue
            if worker.process.poll() is None:
                self._kill_if_hanging(worker, now)
                continue
            loss = self._bury(worker, now)
            if loss is not None:
                losses.append(loss)
        return losses

    def retry_failed(self) -> None:
        """Try at once to load the model again: somebody asks for it."""
        for worker in self.workers:
            if worker.state == "failed":
                worker.state, worker.restart_at_s = "waiting", 0.0

    def stop(self) -> None:
        """Ask every process to end; `watch` until `all_gone`."""
        self._stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.terminate()

    def close(self) -> None:
        """Kill whoever is left and remove the link."""
        self._stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill()
                worker.process.wait()
                _close_input(worker.process)
                worker.process = None
        self.socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, worker: Worker) -> None:
        worker.num_starts += 1
        worker.name = f"{worker.index}.{worker.num_starts}".encode()
        worker.state, worker.kill_reason = "loading", ""
        worker.heard_at_s, worker.died_at_s = time.monotonic(), None
        config, device = self._config, self._config.devices[worker.index]
        use = DeviceUse(device, config.memory, config.attention, config.compiled)
        command = [
            *config.worker_command,
            *("--link", self._endpoint, "--name", worker.name.decode()),
            *use.options(),
            *config.models[0].options(),
        ]
        with (self._log_folder / f"worker-{worker.index}.log").open("ab") as log:
            # A session of its own, so that Ctrl+C in the server's terminal reaches the server alone.
            worker.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=THREADS_THAT_YIELD | os.environ,
                start_new_session=True,
            )
        logger.info("worker %s starts as process %d", device, worker.process.pid)

    def _kill_if_hanging(self, worker: Worker, now: float) -> None:
        if now - worker.heard_at_s > self._config.worker_silence_s:
            self._kill(worker, f"no heartbeat for {self._config.worker_silence_s:g} s")
        elif worker.cancelled_at_s is not None and now - worker.cancelled_at_s > self._config.cancel_grace_s:
            self._kill(worker, f"it worked on for {self._config.cancel_grace_s:g} s after a cancel")

    def _kill(self, worker: Worker, reason: str) -> None:
        if worker.process is not None and not worker.kill_reason:
            logger.error("worker %s is killed: %s", worker.device, reason)
            worker.kill_reason = reason
            worker.process.kill()

    def _bury(self, worker: Worker, now: float) -> Loss | None:
        assert worker.process is not None
        status = worker.process.returncode
        worker.died_at_s = worker.died_at_s or now
        if (
            status == LOAD_FAILED_EXIT
            and worker.state == "loading"
            and now - worker.died_at_s < _REPORT_GRACE_S
        ):
            return None  # Its report is still on the way.
        _close_input(worker.process)
        worker.process = None
        if worker.state == "failed":
            return None
        reason = worker.kill_reason or f"the process ended with status {status}"
        work, was_loading = worker.work, worker.state == "loading"
        worker.rest()
        worker.name = b""
        self._plan_restart(worker, was_loading, reason, now)
        if self._stopping:
            return None if work is None else Loss(work.job_id, work.epoch, "the server stops")
        extra = for_job(work.job_id) if work else None
        logger.error("worker %s is lost: %s", worker.device, reason, extra=extra)
        return Loss(work.job_id, work.epoch, reason) if work else None

    def _plan_restart(self, worker: Worker, was_loading: bool, reason: str, now: float) -> None:
        worker.num_load_crashes += was_loading
        if worker.num_load_crashes >= MAX_LOAD_CRASHES:
            error = ModelError(
                f"the worker was lost {worker.num_load_crashes} times while loading the model",
                given=reason,
                remedy="read the worker's log on the server",
            )
            self._fail(worker, error)
            return
        worker.state = "waiting"
        backoff_s = _FIRST_BACKOFF_S * 2**worker.num_load_crashes
        worker.restart_at_s = now + min(MAX_BACKOFF_S, backoff_s)

    def _fail(self, worker: Worker, error: ThreeDimoError) -> None:
        pause_s = min(MAX_RETRY_S, self._config.retry_failed_s * 2**worker.num_failures)
        logger.error(
            "worker %s cannot load the model (next try in %.0f s): %s", worker.device, pause_s, error
        )
        worker.state, worker.error = "failed", error
        worker.num_failures, worker.num_load_crashes = worker.num_failures + 1, 0
        worker.restart_at_s = time.monotonic() + pause_s


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
