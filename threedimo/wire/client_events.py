"""What `Client.pump` returns: news of the connection and of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import ThreeDimoError
from threedimo.wire.messages import Accepted, Capabilities, Event, Jobs, Progress, Result


@dataclass(frozen=True)
class Connected:
    """Both sockets were welcomed; everything that waited goes on."""

    capabilities: Capabilities


@dataclass(frozen=True)
class ConnectionLost:
    """The server fell silent, or does not answer at all. The client tries again by itself."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """Something that was asked for will not happen.

    Attributes:
        error: Why; `error.retryable` says whether asking again may help.
        request: What was refused: the `type` of the message, or "connection". After a refused connection the
            client stops; make a new one when the cause is gone.
        job_id: The job that it is about, if it is about one.
    """

    error: ThreeDimoError
    request: str
    job_id: str | None = None


@dataclass(frozen=True)
class Uploading:
    """How many bytes of the job's assets the server holds; the newest figure of one pump."""

    job_id: str
    sent: int
    total: int


@dataclass(frozen=True)
class PreviewImage:
    """One frame of a running job as a JPEG; the newest of one pump."""

    job_id: str
    step: int
    frame_index: int
    jpeg: bytes


@dataclass(frozen=True)
class Fetching:
    """How many bytes of a result have arrived and were written; the newest figure of one pump."""

    job_id: str
    received: int
    total: int


@dataclass(frozen=True)
class Fetched:
    """All files of a result are in the folder and have the right hashes."""

    job_id: str
    folder: Path


ClientEvent = (
    Connected
    | ConnectionLost
    | Refused
    | Uploading
    | Accepted
    | Event
    | Progress
    | PreviewImage
    | Result
    | Jobs
    | Fetching
    | Fetched
)
