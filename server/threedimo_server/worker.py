"""A worker: the process that holds one model on one device, and makes one job after the other.

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
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import zmq

from threedimo.errors import InvalidModel, JobFailed, OutOfMemory, ThreeDimoError
from threedimo_server.generation import Reporter, generate
from threedimo_server.logs import for_job, log_to
from threedimo_server.worker_link import (
    BEAT_SUFFIX,
    HEARTBEAT_S,
    LOAD_FAILED_EXIT,
    CancelWork,
    Heartbeat,
    LoadFailed,
    Work,
    WorkerReady,
    WorkFailed,
    receive,
    send,
)

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline

logger = logging.getLogger(__name__)

ORPHANED_EXIT = 4

_SENTENCE_LENGTH = 300
_TEXT_LENGTH = 1500


class LoadPipeline(Protocol):
    """What `threedimo.checkpoints.load_pipeline` does for a worker."""

    def __call__(
        self, model: str, adapter: str | None, /, *, untrained: bool, device: str
    ) -> MotionTransferPipeline:
        """Make a pipeline."""
        ...


def main(arguments: list[str] | None = None, load: LoadPipeline | None = None) -> int:
    """Run a worker until the front ends it.

    Args:
        arguments: Of the command line; None means this process's own.
        load: Makes the pipeline; None means `threedimo.checkpoints.load_pipeline`.

    Returns:
        The exit status if the model cannot be loaded. Otherwise it does not return.
    """
    parser = argparse.ArgumentParser(prog="threedimo_server.worker", description=__doc__)
    for name in ("--link", "--name", "--model", "--device"):
        parser.add_argument(name, required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--untrained", action="store_true")
    options = parser.parse_args(arguments)
    log_to(None)
    threading.Thread(target=_end_with_front, daemon=True).start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(context, options.link, options.name, over), daemon=True)
    heart.start()
    worker = Worker(_connect(context, options.link, options.name.encode()))

    def loaded() -> MotionTransferPipeline:
        make = load or _load_pipeline
        return make(options.model, options.adapter, untrained=options.untrained, device=options.device)

    status = worker.run(loaded, options.device)
    over.set()
    heart.join()
    context.term()  # Waits until the last report has left.
    return status


class Worker:
    """The link's first socket and what is done with it.

    Args:
        socket: A DEALER with the worker's name.
    """

    def __init__(self, socket: zmq.Socket[bytes]):
        self._socket = socket
        self._cancelled: set[tuple[str, int]] = set()
        self._loading_s = 0.0

    def run(self, load: Callable[[], MotionTransferPipeline], device: str) -> int:
        """Load the model, then work. Returns the exit status if it cannot be loaded."""
        started_s = time.monotonic()
        try:
            pipeline = load()
        except Exception as error:
            logger.exception("the model cannot be loaded")
            known = _as_known(error, InvalidModel("the model cannot be loaded", given=_sentence(error)))
            send(self._socket, LoadFailed(known.code, str(known)[:_TEXT_LENGTH]))
            self._socket.close()
            return LOAD_FAILED_EXIT
        self._loading_s = time.monotonic() - started_s
        logger.info("loaded %s in %.1f s", pipeline.info.id, self._loading_s)
        send(self._socket, WorkerReady(str(getattr(pipeline, "device", device)), pipeline.info))
        while True:
            message, body = receive(self._socket)
            if isinstance(message, Work):
                self._make(pipeline, message, body)

    def _make(self, pipeline: MotionTransferPipeline, work: Work, camera: bytes) -> None:
        logger.info("begins", extra=for_job(work.job_id))
        reporter = Reporter(work, lambda report, body: send(self._socket, report, body))
        loading_s, self._loading_s = self._loading_s, 0.0
        try:
            done = generate(
                pipeline, work, camera, reporter, lambda: self._is_cancelled(work), loading_s=loading_s
            )
        except Exception as error:
            if not isinstance(error, ThreeDimoError):
                logger.exception("failed", extra=for_job(work.job_id))
            unexpected = JobFailed(
                "the worker met an unexpected error",
                given=_sentence(error),
                remedy="read the worker's log on the server",
            )
            known = _as_known(error, unexpected)
            _free_memory()
            done = WorkFailed(work.job_id, work.epoch, known.code, _without_paths(str(known), work))
            logger.info("ends: %s", known.code, extra=for_job(work.job_id))
        send(self._socket, done)

    def _is_cancelled(self, work: Work) -> bool:
        """Read what has arrived; nothing but cancels arrives during a job."""
        while True:
            try:
                message, _ = receive(self._socket, zmq.NOBLOCK)
            except zmq.Again:
                return (work.job_id, work.epoch) in self._cancelled
            if isinstance(message, CancelWork):
                self._cancelled = {(message.job_id, message.epoch)}


def _load_pipeline(
    model: str, adapter: str | None, *, untrained: bool, device: str
) -> MotionTransferPipeline:
    from threedimo.checkpoints import load_pipeline  # takes seconds, which must not delay the heartbeat

    return load_pipeline(model, adapter, untrained=untrained, device=device)


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


def _as_known(error: Exception, unexpected: ThreeDimoError) -> ThreeDimoError:
    if isinstance(error, ThreeDimoError):
        return error
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return OutOfMemory(
            "the device has too little memory for this request",
            remedy="choose fewer frames or a smaller size, or close other programs that use the device",
        )
    return unexpected


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _sentence(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:_SENTENCE_LENGTH]


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
