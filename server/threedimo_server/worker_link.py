"""The private messages between the front and its workers, over ipc in a folder that only this user can enter.

Both ends come from the same release and trust each other, so there is no version and no refusal here. One
message is a header of MessagePack and a body, which only `Work` and `WorkPreview` fill. A worker has two
sockets: its own name for reports, and its name with `BEAT_SUFFIX` for heartbeats, sent by another thread.
"""

from __future__ import annotations

import msgspec
import zmq

from threedimo.wire.messages import GenerateRequest, Phase, ResultFile, ResultInfo
from threedimo_server.served_models import ModelChoice

BEAT_SUFFIX = b".beat"
HEARTBEAT_S = 2.0

LOAD_FAILED_EXIT = 3
"""Exit status of a worker that has reported why its model cannot be loaded."""


class _LinkMessage(msgspec.Struct, tag_field="type", frozen=True):
    """Base of the private messages."""


# Front to worker.


class Work(_LinkMessage, tag="work", frozen=True):
    """Make this job. The body is the camera's numbers. `request` leaves nothing to the model's defaults."""

    job_id: str
    epoch: int
    model: ModelChoice
    request: GenerateRequest
    reference_image: str
    driving_footage: list[str]
    folder: str


class CancelWork(_LinkMessage, tag="cancel", frozen=True):
    """Stop this job at the next step."""

    job_id: str
    epoch: int


FrontMessage = Work | CancelWork

# Worker to front.


class WorkerReady(_LinkMessage, tag="ready", frozen=True):
    """The first model is loaded; work may come."""

    device: str


class ModelHeld(_LinkMessage, tag="model_held", frozen=True):
    """This model is loaded, with this plan of `threedimo.memory_plans`; sent again when either changes."""

    model_id: str
    memory_plan: str


class LoadFailed(_LinkMessage, tag="load_failed", frozen=True):
    """The model cannot be loaded; the worker ends."""

    code: str
    message: str


class Heartbeat(_LinkMessage, tag="heartbeat", frozen=True):
    """The process lives."""


class WorkProgress(_LinkMessage, tag="progress", frozen=True):
    """As `Progress` of the wire."""

    job_id: str
    epoch: int
    phase: Phase
    step: int
    num_steps: int
    elapsed_s: float
    eta_s: float | None


class WorkPreview(_LinkMessage, tag="preview", frozen=True):
    """As `Preview` of the wire; the body is a JPEG."""

    job_id: str
    epoch: int
    step: int
    frame_index: int


class WorkFinished(_LinkMessage, tag="finished", frozen=True):
    """The attempt folder holds these files, and the disk has them."""

    job_id: str
    epoch: int
    files: list[ResultFile]
    info: ResultInfo


class WorkFailed(_LinkMessage, tag="failed", frozen=True):
    """The job ended with an error, also `job.cancelled`; the worker is ready for the next."""

    job_id: str
    epoch: int
    code: str
    message: str


WorkerMessage = (
    WorkerReady | ModelHeld | LoadFailed | Heartbeat | WorkProgress | WorkPreview | WorkFinished | WorkFailed
)

_encoder = msgspec.msgpack.Encoder()
_front_decoder = msgspec.msgpack.Decoder(FrontMessage)
_worker_decoder = msgspec.msgpack.Decoder(WorkerMessage)


def send(socket: zmq.Socket[bytes], message: FrontMessage | WorkerMessage, body: bytes = b"") -> None:
    """Send from a DEALER; waits if the other side is far behind."""
    socket.send_multipart([_encoder.encode(message), body])


def send_to(socket: zmq.Socket[bytes], name: bytes, message: FrontMessage, body: bytes = b"") -> None:
    """Send from the front's ROUTER to the worker of this name.

    Raises:
        zmq.ZMQError: The worker is gone, or takes nothing any more.
    """
    socket.send_multipart([name, _encoder.encode(message), body], flags=zmq.NOBLOCK)


def receive(socket: zmq.Socket[bytes], flags: int = 0) -> tuple[FrontMessage, bytes]:
    """Receive in a worker. Raises `zmq.Again` if `flags` hold NOBLOCK and nothing is there."""
    header, body = socket.recv_multipart(flags=flags)
    return _front_decoder.decode(header), body


def receive_from(socket: zmq.Socket[bytes]) -> tuple[bytes, WorkerMessage, bytes]:
    """Receive in the front: the worker's name, its message, the body. Raises `zmq.Again` if there is none."""
    name, header, body = socket.recv_multipart(flags=zmq.NOBLOCK)
    return name.removesuffix(BEAT_SUFFIX), _worker_decoder.decode(header), body
