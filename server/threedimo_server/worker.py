"""A worker: the process that holds one model at a time on one device, and makes one job after the other.

    python -m threedimo_server.worker --link ipc://... --name 0.1 --model embedded --device cuda:0

The front starts it. The main thread loads the model and works; it alone uses the link's first socket. A
second thread sends heartbeats through a socket of its own, also while the first is deep inside the model. A
third waits for the end of standard input, which comes when the front is gone, and ends the process.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zmq

from threedimo.errors import JobFailed, OutOfMemory, ThreeDimoError
from threedimo.model_info import FEW_STEPS
from threedimo_server.decoding import Decoders
from threedimo_server.device_use import DeviceUse
from threedimo_server.generation import Reporter, generate
from threedimo_server.logs import for_job, log_to
from threedimo_server.served_models import ModelChoice
from threedimo_server.warm_model import LoadPipeline, WarmModel, as_known, first_sentence, free_memory
from threedimo_server.worker_link import (
    BEAT_SUFFIX,
    HEARTBEAT_S,
    LOAD_FAILED_EXIT,
    CancelWork,
    Heartbeat,
    LoadFailed,
    ModelHeld,
    Work,
    WorkerReady,
    WorkFailed,
    WorkFinished,
    receive,
    send,
)

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline

logger = logging.getLogger(__name__)

ORPHANED_EXIT = 4

_TEXT_LENGTH = 1500


def main(arguments: list[str] | None = None, load: LoadPipeline | None = None) -> int:
    """Run a worker until the front ends it.

    Args:
        arguments: Of the command line; None means this process's own.
        load: Makes the pipeline; None means `threedimo.checkpoints.load_pipeline`.

    Returns:
        The exit status if the model cannot be loaded. Otherwise it does not return.
    """
    parser = argparse.ArgumentParser(prog="threedimo_server.worker", description=__doc__)
    for name in ("--link", "--name", "--model", "--device", "--memory", "--attention"):
        parser.add_argument(name, required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--adapter")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--lora")
    parser.add_argument("--lora-steps", type=int, default=FEW_STEPS)
    options = parser.parse_args(arguments)
    log_to(None)
    threading.Thread(target=_end_with_front, daemon=True).start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(context, options.link, options.name, over), daemon=True)
    heart.start()
    use = DeviceUse(options.device, options.memory, options.attention, options.compile)
    warm = WarmModel(load or _load_pipeline, use)
    first = ModelChoice(options.model, options.adapter, options.untrained, options.lora, options.lora_steps)
    status = Worker(_connect(context, options.link, options.name.encode()), warm).run(first, options.device)
    over.set()
    heart.join()
    context.term()  # Waits until the last report has left.
    return status


class Worker:
    """The link's first socket and what is done with it.

    Args:
        socket: A DEALER with the worker's name.
        warm: Holds the model.
    """

    def __init__(self, socket: zmq.Socket[bytes], warm: WarmModel):
        self._socket = socket
        self._warm = warm
        self._cancelled: set[tuple[str, int]] = set()
        self._decoders = Decoders()

    def run(self, first: ModelChoice, device: str) -> int:
        """Load the first model, then work. Returns the exit status if it cannot be loaded."""
        try:
            pipeline = self._warm.pipeline(first)
        except ThreeDimoError as error:
            send(self._socket, LoadFailed(error.code, str(error)[:_TEXT_LENGTH]))
            self._socket.close()
            return LOAD_FAILED_EXIT
        self._tell_held(pipeline)
        send(self._socket, WorkerReady(str(getattr(pipeline, "device", device))))
        del pipeline  # the warm model must be able to give it up
        while True:
            self._decoders.prepare()
            message, body = receive(self._socket)
            if isinstance(message, Work):
                self._make(message, body)

    def _make(self, work: Work, camera: bytes) -> None:
        logger.info("begins", extra=for_job(work.job_id))
        reporter = Reporter(work, lambda report, body: send(self._socket, report, body))

        try:
            pipeline = self._pipeline(work, reporter)
            done = self._generate(pipeline, work, camera, reporter)
        except Exception as error:
            if not isinstance(error, ThreeDimoError):
                logger.exception("failed", extra=for_job(work.job_id))
            unexpected = JobFailed(
                "the worker met an unexpected error",
                given=first_sentence(error),
                remedy="read the worker's log on the server",
            )
            known = as_known(error, unexpected)
            free_memory()
            done = WorkFailed(work.job_id, work.epoch, known.code, _without_paths(str(known), work))
            logger.info("ends: %s", known.code, extra=for_job(work.job_id))
        send(self._socket, done)

    def _pipeline(self, work: Work, reporter: Reporter) -> MotionTransferPipeline:
        """Of the job's model, which may have to be loaded first."""
        if self._warm.holds(work.model):
            return self._warm.pipeline(work.model)
        reporter.tell("loading", 0, 1)
        pipeline = self._warm.pipeline(work.model)
        self._tell_held(pipeline)
        return pipeline

    def _tell_held(self, pipeline: MotionTransferPipeline) -> None:
        send(self._socket, ModelHeld(pipeline.info.id, pipeline.memory_plan))

    def _generate(
        self,
        pipeline: MotionTransferPipeline,
        work: Work,
        camera: bytes,
        reporter: Reporter,
    ) -> WorkFinished:
        """Make the files; once more in less memory if the device's was not enough."""
        loading_s = self._warm.take_loading_s()

        def attempt() -> WorkFinished:
            return generate(
                pipeline,
                work,
                camera,
                reporter,
                lambda: self._is_cancelled(work),
                loading_s=loading_s,
                decoders=self._decoders,
            )

        try:
            return attempt()
        except OutOfMemory:
            if not pipeline.use_less_memory():
                raise
        # Not inside `except`: until there the error holds every tensor of the first attempt.
        logger.warning(
            "the device is too small; once more with the memory plan %s",
            pipeline.memory_plan,
            extra=for_job(work.job_id),
        )
        free_memory()
        self._tell_held(pipeline)
        return attempt()

    def _is_cancelled(self, work: Work) -> bool:
        """Read what has arrived; nothing but cancels arrives during a job."""
        while True:
            try:
                message, _ = receive(self._socket, zmq.NOBLOCK)
            except zmq.Again:
                return (work.job_id, work.epoch) in self._cancelled
            if isinstance(message, CancelWork):
                self._cancelled = {(message.job_id, message.epoch)}


def _load_pipeline(choice: ModelChoice, use: DeviceUse) -> MotionTransferPipeline:
    from threedimo.checkpoints import load_pipeline  # takes seconds, which must not delay the heartbeat
    from threedimo.token_cache import TokenCache

    pipeline = load_pipeline(**msgspec.structs.asdict(choice), **msgspec.structs.asdict(use))
    pipeline.token_cache = TokenCache()
    return pipeline


def _connect(context: zmq.Context[zmq.Socket[bytes]], link: str, name: bytes) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.setsockopt(zmq.LINGER, 2000)
    socket.connect(link)
    return socket


def _beat(context: zmq.Context[zmq.Socket[bytes]], link: str, name: str, over: threading.Event) -> None:
    socket = _connect(context, link, name.encode() + BEAT_SUFFIX)
    send(socket, Heartbeat())
    while not over.wait(HEARTBEAT_S):
        send(socket, Heartbeat())
    socket.close()


def _end_with_front() -> None:
    """The front holds the other end of standard input and never writes to it."""
    while os.read(0, 1):
        pass
    os._exit(ORPHANED_EXIT)


def _without_paths(text: str, work: Work) -> str:
    """Clients know their files by what they are, not by where the server keeps them."""
    footage = work.request.driving_footage.files
    names = {work.reference_image: f"the reference image {work.request.reference_image.name}".rstrip()}
    for path, asset in zip(work.driving_footage, footage, strict=True):
        names.setdefault(path, f"the driving footage {asset.name}".rstrip())
    for path, name in names.items():
        text = text.replace(path, name).replace(Path(path).name, name)
    return text.replace(work.folder, "the result")[:_TEXT_LENGTH]


if __name__ == "__main__":
    sys.exit(main())
