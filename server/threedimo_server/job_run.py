"""Talking to a server from a command: connect, follow one job to its end, cancel it on Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from threedimo.errors import (
    JobCancelled,
    ServerUnreachable,
    ThreeDimoError,
    from_code,
)
from threedimo.wire.client import (
    Accepted,
    Client,
    ClientEvent,
    Connected,
    ConnectionLost,
    Event,
    Fetched,
    Fetching,
    Progress,
    Refused,
    Result,
    Uploading,
)
from threedimo.wire.connection import ConnectionInfo
from threedimo.wire.messages import FINAL_STATES
from threedimo_server.job_progress import JobProgress

_CONNECT_LIMIT_S = 15.0
_LOST_LIMIT_S = 60.0
_CANCEL_LIMIT_S = 15.0
PUMP_INTERVAL_S = 0.2

_Answer = TypeVar("_Answer", bound=ClientEvent)

CheckAlive = Callable[[], None]
"""Raises if the server is known to be gone for good."""


@contextmanager
def connected_client(connection: ConnectionInfo | Callable[[], ConnectionInfo]) -> Iterator[Client]:
    """A client that the server has welcomed.

    Args:
        connection: Where the server is, or a function that finds it, also after a restart.

    Raises:
        ServerUnreachable: There is no server, or it does not answer within 15 seconds.
        AccessRefused, VersionMismatch: The server refuses this client.
    """
    if callable(connection):
        connection()  # A client would go on looking; a person who named nothing wants to know at once.
    with Client(connection, "threedimo") as client:
        for event in _events(client, _CONNECT_LIMIT_S):
            if isinstance(event, Connected):
                yield client
                return
            if isinstance(event, Refused):
                raise event.error
    raise ServerUnreachable(
        f"the server does not answer within {_CONNECT_LIMIT_S:.0f} s",
        remedy="look at it with `threedimo doctor`, or start one with `threedimo serve`",
    )


def wait_for_result(
    client: Client, job_id: str, progress: JobProgress, check_alive: CheckAlive | None = None
) -> Result:
    """Follow a submitted job until it is done. Ctrl-C cancels it on the server first.

    Raises:
        JobCancelled: By Ctrl-C here, or by somebody else.
        ServerUnreachable: The server is silent for a minute.
        ThreeDimoError: The error with which the job was refused or failed.
    """
    try:
        return _follow(client, job_id, progress, check_alive or (lambda: None))
    except KeyboardInterrupt:
        progress.note("cancelling the job; Ctrl-C again leaves at once")
        stopped = _cancelled(client, job_id)
        raise JobCancelled(
            "interrupted; the job was cancelled"
            if stopped
            else "interrupted; the server has not confirmed the cancellation yet",
            given=job_id,
            remedy=None if stopped else f"check it with `threedimo jobs`, or `threedimo cancel {job_id}`",
        ) from None


def fetch_result(client: Client, result: Result, folder: Path, progress: JobProgress) -> None:
    """Bring the files of a result into a new folder; their hashes are checked.

    Raises:
        ThreeDimoError: They cannot be read there or written here.
    """
    client.fetch(result.job_id, result, folder)
    for event in _events(client, None):
        if isinstance(event, Fetching):
            progress.transfer("fetching", event.received, event.total)
        elif isinstance(event, Fetched):
            return
        elif isinstance(event, Refused):
            raise event.error


def cancel(client: Client, job_id: str) -> str:
    """Cancel a job and return the state in which it ends.

    Raises:
        UnknownJob: The server has no such job.
        ServerUnreachable: No answer.
    """
    client.cancel(job_id)
    client.subscribe(job_id)
    for event in _events(client, _CANCEL_LIMIT_S):
        if isinstance(event, Event) and event.job_id == job_id and event.state in FINAL_STATES:
            return event.state
        if isinstance(event, Refused):
            raise event.error
    raise ServerUnreachable(
        f"the server has not confirmed the cancellation within {_CANCEL_LIMIT_S:.0f} s",
        given=job_id,
        remedy="look again with `threedimo jobs`",
    )


def first_answer(client: Client, kind: type[_Answer]) -> _Answer:
    """The next event of this type.

    Raises:
        ServerUnreachable: None comes in time.
        ThreeDimoError: What was asked is refused.
    """
    for event in _events(client, _CONNECT_LIMIT_S):
        if isinstance(event, kind):
            return event
        if isinstance(event, Refused):
            raise event.error
    raise ServerUnreachable(
        f"the server does not answer within {_CONNECT_LIMIT_S:.0f} s",
        remedy="look at it with `threedimo doctor`",
    )


class Patience:
    """How long a silent server is waited for."""

    def __init__(self) -> None:
        self._lost_at_s: float | None = None

    def see(self, event: ClientEvent, progress: JobProgress) -> None:
        """Note what an event says of the connection."""
        if isinstance(event, ConnectionLost):
            progress.note(f"connection lost ({event.reason}); trying again")
            self._lost_at_s = self._lost_at_s or time.monotonic()
        elif isinstance(event, Connected):
            self._lost_at_s = None

    def check(self, what: str) -> None:
        """End the waiting for `what`.

        Raises:
            ServerUnreachable: The server is silent for a minute.
        """
        if self._lost_at_s is not None and time.monotonic() - self._lost_at_s > _LOST_LIMIT_S:
            raise ServerUnreachable(
                f"the server is silent for {_LOST_LIMIT_S:.0f} s",
                given=what,
                remedy="if it still runs the job goes on: see `threedimo jobs`",
            )


def _follow(client: Client, job_id: str, progress: JobProgress, check_alive: CheckAlive) -> Result:
    patience = Patience()
    while True:
        for event in client.pump():
            patience.see(event, progress)
            if isinstance(event, Result) and event.job_id == job_id:
                return event
            _show_or_raise(event, job_id, progress)
        patience.check(f"job {job_id}")
        check_alive()
        client.wait(PUMP_INTERVAL_S)


def _show_or_raise(event: ClientEvent, job_id: str, progress: JobProgress) -> None:
    match event:
        case Refused(error=error):
            raise error
        case Uploading(sent=sent, total=total):
            progress.transfer("uploading", sent, total)
        case Accepted(position=position):
            behind = f" behind {position} other job{'s' if position > 1 else ''}" if position else ""
            progress.note(f"queued{behind}; it starts when the model is loaded")
        case Progress() if event.job_id == job_id:
            progress.step(event.phase, event.step, event.num_steps, event.eta_s)
        case Event(state="failed" | "cancelled") if event.job_id == job_id:
            raise end_of(event)
        case _:
            pass


def end_of(event: Event) -> ThreeDimoError:
    """The error with which a job ended that failed or was cancelled."""
    if event.state == "cancelled":
        return JobCancelled("the job was cancelled", given=event.job_id)
    return from_code(event.error_code, event.error_message)


def _cancelled(client: Client, job_id: str) -> bool:
    try:
        return cancel(client, job_id) == "cancelled"
    except ThreeDimoError:
        return False


def _events(client: Client, limit_s: float | None) -> Iterator[ClientEvent]:
    deadline = None if limit_s is None else time.monotonic() + limit_s
    while deadline is None or time.monotonic() < deadline:
        yield from client.pump()
        client.wait(PUMP_INTERVAL_S)
