# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with the server: one wire client, the table of jobs, and `pump()`. No bpy here.

Blender's timer, the blocking form of the operators and the tests all call the same `pump()`. It never waits:
what takes long (hashing footage, laying out frames) is `file_work`, which touches neither Blender nor the
socket.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from threedimo.errors import (
    InvalidRequest,
    JobCancelled,
    JobFailed,
    ServerUnreachable,
    ThreeDimoError,
    UnwritableFolder,
    VersionMismatch,
    from_code,
)
from threedimo.wire.client import Client
from threedimo.wire.client_events import (
    ClientEvent,
    Connected,
    ConnectionLost,
    Fetched,
    Fetching,
    PreviewImage,
    Refused,
    Uploading,
)
from threedimo.wire.messages import (
    Accepted,
    Event,
    Jobs,
    Progress,
    Result,
)

from .file_work import FileWork
from .jobs import RESULT_FOLDER, Job, JobState
from .orders import Order, Submission, build_request
from .png_files import check_frames
from .sequence import spread_frames
from .takes import read_model_id, seal
from .timeline import FrameMapping

if TYPE_CHECKING:
    from threedimo.wire.connection import ConnectionInfo
    from threedimo.wire.messages import Capabilities

log = logging.getLogger(__name__)

CLIENT_NAME = "blender"
# A server stops a job within one denoising step, which can be long on a slow device.
CANCEL_DEADLINE_S = 60.0

# Of a tick's 5 ms; showing a preview takes about as much again.
PUMP_BUDGET_S = 0.002

_JobEvent = Refused | Uploading | Accepted | Event | Progress | PreviewImage | Result | Fetching | Fetched


@dataclass
class _Work:
    """Something that the thread does for a job, and what to do with the outcome.

    Attributes:
        writes: Whether it writes into the take's folder. Such work is short; reading footage may not be.
    """

    job_id: str
    future: Future[object]
    then: Callable[[Job, object], None] = field(repr=False)
    writes: bool


class Session:
    """One Blender's conversation with one server. Used from Blender's main thread only.

    Args:
        find_server: Says where the server is; asked anew before every attempt to connect.

    Attributes:
        files: What is done with files; `pump` makes it go on.
    """

    def __init__(self, find_server: Callable[[], ConnectionInfo]):
        self.jobs: dict[str, Job] = {}
        self.problem: ThreeDimoError | None = None
        self._find_server = find_server
        self._client = Client(find_server, CLIENT_NAME)
        self.files = FileWork()
        self._works: list[_Work] = []
        self._changed: set[str] = set()
        # What is not at the server yet, to send it again over a new connection.
        self._orders: dict[str, Order] = {}

    @property
    def connected(self) -> bool:
        """Whether the server answers now."""
        return self._client.connected

    @property
    def capabilities(self) -> Capabilities | None:
        """What the server can do; None before it answered."""
        return self._client.capabilities

    @property
    def busy(self) -> bool:
        """Whether a job goes on, so that `pump` should be called often."""
        return any(not job.ended for job in self.jobs.values())

    @property
    def working(self) -> bool:
        """Whether files are read or laid out now, which needs no server."""
        return bool(self._works)

    def reconnect(self) -> None:
        """Begin anew with the connection: look for the server again, and follow the jobs that go on there."""
        self._client.close()
        self._client = Client(self._find_server, CLIENT_NAME)
        self.problem = None
        for job in self.jobs.values():
            if job.state == "sending":
                self._prepare(job)
            elif not job.ended and job.state != "preparing":
                self._client.subscribe(job.job_id, job.seq)
            if job.cancel_asked_at is not None and not job.ended:
                self._client.cancel(job.job_id)

    def start(self, job_id: str, label: str, folder: Path, mapping: FrameMapping, order: Order) -> Job:
        """Take on a shot, whose sheet is in the folder: the following pumps read, send and submit it.

        Without a connection it is sent once there is one. Harmless for a shot that an earlier session may
        have sent already: the server takes the same id for the same job.
        """
        job = Job(job_id, label, folder, mapping, state="preparing")
        self._track(job)
        self._orders[job_id] = order
        self._prepare(job)
        return job

    def attach(self, job_id: str, label: str, folder: Path, mapping: FrameMapping, seq: int) -> Job:
        """Take up an earlier session's job: from its files if they are here, else from the server."""
        job = Job(job_id, label, folder, mapping, state="queued", seq=seq)
        self._track(job)
        if job.frames_folder.is_dir():
            self._lay_out(job)
        else:
            self._client.subscribe(job_id, seq)
        return job

    def cancel(self, job_id: str) -> None:
        """Ask the server to stop a job; one that is not there yet, or done there already, ends here at once.

        One that the server does not confirm within `CANCEL_DEADLINE_S` is given up.
        """
        job = self.jobs[job_id]
        if job.state in ("preparing", "fetching"):
            self._client.stop_fetching(job_id)
            self._end(job, "cancelled")
        elif not job.ended and job.cancel_asked_at is None:
            job.cancel_asked_at = time.monotonic()
            self._changed.add(job_id)
            self._client.cancel(job_id)

    def forget(self, job_id: str) -> None:
        """Stop following a job. What the server does with it is not changed.

        From here on nothing is written into its folder, so that it can be deleted.
        """
        self.jobs.pop(job_id, None)
        self._orders.pop(job_id, None)
        self._client.stop_fetching(job_id)
        ours = [work for work in self._works if work.job_id == job_id]
        self._works = [work for work in self._works if work.job_id != job_id]
        wait([work.future for work in ours if not work.future.cancel() and work.writes])

    def tidy(self, call: Callable[[], object]) -> None:
        """Do something with files after what is to be done with them already; nobody waits for it."""
        self.files.submit(call)

    def pump(self) -> list[Job]:
        """Do what can be done without waiting, and return the jobs that changed."""
        for work in [work for work in self._works if work.future.done()]:
            self._works.remove(work)
            self._finish(work)
        for event in self._client.pump(PUMP_BUDGET_S):
            self._take(event)
        self._give_up_cancels(time.monotonic())
        self.files.go_on()
        # In the order in which they were queued: of two that arrive at once the later take is seen.
        changed = [job for job_id, job in self.jobs.items() if job_id in self._changed]
        self._changed.clear()
        for job in changed:
            job.advance()
        return changed

    def close(self) -> None:
        """End the thread and the connection. Jobs go on at the server."""
        self.files.close()
        self._client.close()

    def _track(self, job: Job) -> None:
        self.jobs[job.job_id] = job
        self._changed.add(job.job_id)

    def _work(
        self, job: Job, call: Callable[[], object], then: Callable[[Job, object], None], writes: bool
    ) -> None:
        self._works.append(_Work(job.job_id, self.files.submit(call), then, writes))

    def _finish(self, work: _Work) -> None:
        job = self.jobs.get(work.job_id)
        if job is None or job.ended:
            return
        try:
            work.then(job, work.future.result())
        except ThreeDimoError as error:
            self._end(job, "failed", error)
        except Exception as error:
            log.exception("job %s: a file could not be handled", job.job_id)
            self._end(
                job,
                "failed",
                JobFailed(f"unexpected: {error!r}", remedy="see Blender's console and report it"),
            )

    def _prepare(self, job: Job) -> None:
        order = self._orders[job.job_id]
        job.state, job.moved, job.total = "preparing", 0, 0

        def build() -> Submission:
            return build_request(order, job.mapping)

        self._work(job, build, self._submit, writes=False)

    def _submit(self, job: Job, built: object) -> None:
        assert isinstance(built, Submission)
        seal(job.folder, built.request)
        self._client.submit(job.job_id, built.request, built.files, built.camera, job.label)
        job.state = "sending"
        self._changed.add(job.job_id)

    def _lay_out(self, job: Job) -> None:
        job.state, job.moved, job.total = "fetching", 0, 0
        shown = job.mapping.result_frames()

        def spread() -> str:
            check_frames(job.frames_folder, job.mapping.num_frames)
            model_id = read_model_id(job.folder)
            spread_frames(job.frames_folder, job.plane_folder, shown)
            return model_id

        self._work(job, spread, self._ready, writes=True)

    def _ready(self, job: Job, model_id: object) -> None:
        job.model_id = str(model_id)
        self._end(job, "ready")

    def _end(self, job: Job, state: JobState, error: ThreeDimoError | None = None) -> None:
        job.state = state
        job.error = error
        job.preview = None
        self._orders.pop(job.job_id, None)
        self._changed.add(job.job_id)

    def _take(self, event: ClientEvent) -> None:
        match event:
            case Connected():
                self.problem = None
            case ConnectionLost():
                self.problem = _lost(event.reason)
            case Refused(job_id=None):
                self.problem = _in_blenders_words(event.error)
            case Jobs():
                pass
            case _:
                job = self.jobs.get(event.job_id or "")
                if job is not None and not job.ended:
                    self._changed.add(job.job_id)
                    self._advance(job, event)

    def _advance(self, job: Job, event: _JobEvent) -> None:
        match event:
            case Refused():
                self._refused(job, event)
            case Uploading():
                job.state, job.moved, job.total = "sending", event.sent, event.total
            case Accepted():
                job.state, job.seq = "queued", max(job.seq, event.seq)
                self._orders.pop(job.job_id, None)
            case Event():
                self._reach(job, event)
            case Progress():
                job.state, job.phase, job.step, job.num_steps = (
                    "running",
                    event.phase,
                    event.step,
                    event.num_steps,
                )
                job.eta_s = event.eta_s
            case Result():
                self._fetch(job, event)
            case Fetching():
                job.state, job.moved, job.total = "fetching", event.received, event.total
            case Fetched():
                self._lay_out(job)
            case PreviewImage():
                job.preview = event.jpeg

    def _give_up_cancels(self, now: float) -> None:
        for job in self.jobs.values():
            asked_at = job.cancel_asked_at
            if asked_at is not None and not job.ended and now - asked_at > CANCEL_DEADLINE_S:
                lost = ServerUnreachable(
                    "the server did not confirm within a minute that it stops the job",
                    given=job.label,
                    remedy="it is stopped once the server answers; Reattach Jobs says what became of it",
                )
                self._end(job, "failed", lost)

    def _refused(self, job: Job, event: Refused) -> None:
        if event.request == "cancel":
            # The job ended in the meantime, or is unknown; its own events say which.
            job.cancel_asked_at = None
            log.info("job %s: %s", job.job_id, event.error)
            return
        self._end(job, "failed", event.error)

    def _reach(self, job: Job, event: Event) -> None:
        job.seq = max(job.seq, event.seq)
        if event.state == "failed":
            self._end(job, "failed", from_code(event.error_code, event.error_message))
        elif event.state == "cancelled":
            self._end(job, "cancelled", JobCancelled("the job was cancelled"))
        else:
            job.state, job.phase = event.state, ""

    def _fetch(self, job: Job, result: Result) -> None:
        if job.frames_folder.is_dir():
            return  # told again after a reconnection
        if result.info.num_frames != job.mapping.num_frames:
            self._end(
                job,
                "failed",
                InvalidRequest(
                    "the result has another length than the shot asked for",
                    given=f"{result.info.num_frames} frames",
                    allowed=f"{job.mapping.num_frames}",
                    remedy="generate the shot again",
                ),
            )
            return
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
            self._client.fetch(job.job_id, result, job.folder / RESULT_FOLDER)
        except ThreeDimoError as error:
            self._end(job, "failed", error)
        except OSError as error:
            self._end(job, "failed", UnwritableFolder(f"cannot be made: {error.strerror}", given=job.folder))
        else:
            job.state, job.moved, job.total = "fetching", 0, 0


def _lost(reason: str) -> ThreeDimoError:
    """What the panel says meanwhile; a server that was looked for in vain comes with what to do already."""
    said = "What to do" in reason
    return ServerUnreachable(
        reason, remedy=None if said else "wait: jobs go on where they were once it answers"
    )


def _in_blenders_words(error: ThreeDimoError) -> ThreeDimoError:
    """What the protocol calls the client is this extension to whoever reads it here."""
    if not isinstance(error, VersionMismatch):
        return error
    return VersionMismatch(str(error).removesuffix(".").replace("the client", "this extension"))
