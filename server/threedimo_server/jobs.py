"""The durable queue: what each job is, and the only ways in which it can change.

A job is `queued`, then `running`, then `publishing`, then `done`, `failed` or `cancelled`; a lost worker or
server puts it back to `queued`. Every change and its event are one transaction, so that a kill at any moment
leaves either both or neither. Each claim raises the job's `epoch`; whoever reports with an older epoch is a
ghost and changes nothing. Work is therefore executed at least once, and published exactly once.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from threedimo.errors import InvalidRequest, JobCancelled, ServerBusy, ThreeDimoError, UnknownJob, WorkerLost
from threedimo.wire.messages import (
    FINAL_STATES,
    Event,
    GenerateRequest,
    JobState,
    JobSummary,
    ResultFile,
    ResultInfo,
)
from threedimo_server.job_database import JobDatabase
from threedimo_server.job_records import JobRecords

MAX_LOSSES = 3


@dataclass(frozen=True)
class Submission:
    """What became of a submit: the number of the job's first event, and how many jobs are before it."""

    seq: int
    position: int
    is_new: bool


@dataclass(frozen=True)
class Claim:
    """A job that now runs. `epoch` must come back with everything that is reported about it."""

    job_id: str
    epoch: int
    request: GenerateRequest
    camera: bytes | None
    event: Event


class JobQueue:
    """Jobs, events and results in one SQLite file, used by one thread of one process.

    Args:
        path: The database file; made if missing. Jobs that a dead server left running are queued again.
        max_queued: Most jobs that may wait.

    Raises:
        ServerError: Another server uses the file.
        StorageError: The file was made by a newer version.
    """

    def __init__(self, path: Path, *, max_queued: int = 10_000):
        self._max_queued = max_queued
        self._db = JobDatabase(path)
        self.records = JobRecords(self._db)
        """What the database says about all jobs together."""
        with self._db.transaction():
            for job in self._db.execute(
                "SELECT * FROM jobs WHERE state IN ('running', 'publishing')"
            ).fetchall():
                self._requeue(job)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    # What clients ask.

    def submit(
        self,
        job_id: str,
        request: GenerateRequest,
        camera: bytes | None,
        *,
        label: str = "",
        priority: int = 0,
    ) -> Submission:
        """Queue a job, or find it again: the same id with the same request is the same job.

        Raises:
            InvalidRequest: The id already names a job with another request or camera.
            ServerBusy: Too many jobs wait.
        """
        with self._db.transaction():
            job = self._find(job_id)
            if job is None:
                self._require_room()
                seq = self._insert(job_id, request, camera, label, priority)
                return Submission(seq, self._num_before(priority, seq), is_new=True)
        if _decode_request(job["request"]) != request or job["camera"] != camera:
            raise InvalidRequest(
                "this job id already belongs to another request",
                given=job_id,
                remedy="submit with a new id",
            )
        num_before = self._num_before(job["priority"], job["seq"]) if job["state"] == "queued" else 0
        return Submission(job["seq"], num_before, is_new=False)

    def cancel(self, job_id: str) -> Event | None:
        """Stop a job.

        Returns:
            The event of a queued job that is now cancelled, the last event of a job that had already ended,
            or None for a running job: its end follows when its worker has stopped.

        Raises:
            UnknownJob: No job has this id.
        """
        with self._db.transaction():
            job = self._require(job_id)
            if job["state"] == "queued":
                return self._move(job_id, "cancelled", _cancelled())
            if job["state"] in FINAL_STATES:
                row = self._db.execute("SELECT * FROM events WHERE seq = ?", (job["last_seq"],)).fetchone()
                return _event(row)
            self._db.execute("UPDATE jobs SET cancel_requested = 1 WHERE job_id = ?", (job_id,))
            return None

    def replay(self, job_id: str, since_seq: int, limit: int = 100) -> list[Event]:
        """The oldest events of a job with seq > since_seq, in order, at most `limit`.

        Raises:
            UnknownJob: No job has this id.
        """
        self._require(job_id)
        rows = self._db.execute(
            "SELECT * FROM events WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (job_id, since_seq, limit),
        )
        return [_event(row) for row in rows]

    def list_jobs(self, limit: int) -> list[JobSummary]:
        """The newest jobs, newest first."""
        rows = self._db.execute(
            "SELECT jobs.*, error_code, error_message FROM jobs JOIN events ON events.seq = jobs.last_seq "
            "ORDER BY jobs.seq DESC LIMIT ?",
            (limit,),
        )
        return [
            JobSummary(
                job_id=row["job_id"],
                label=row["label"],
                state=row["state"],
                seq=row["last_seq"],
                priority=row["priority"],
                submitted_at_s=row["submitted_at_s"],
                error_code=row["error_code"],
                error_message=row["error_message"],
            )
            for row in rows
        ]

    def result(self, job_id: str) -> tuple[list[ResultFile], ResultInfo] | None:
        """The files of a done job and how they were made, or None for a job that is not done.

        Raises:
            UnknownJob: No job has this id.
        """
        self._require(job_id)
        row = self._db.execute("SELECT files, info FROM results WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        files = msgspec.json.decode(row["files"], type=list[ResultFile])
        return files, msgspec.json.decode(row["info"], type=ResultInfo)

    def knows(self, job_id: str) -> bool:
        """Whether there is such a job."""
        return self._find(job_id) is not None

    def is_over(self, job_id: str) -> bool:
        """Whether the job is done, failed or cancelled.

        Raises:
            UnknownJob: No job has this id.
        """
        return self._require(job_id)["state"] in FINAL_STATES

    # What workers do.

    def claim(self) -> Claim | None:
        """Start the waiting job of the highest priority, the oldest first; None when no job waits."""
        with self._db.transaction():
            row = self._db.execute(
                "UPDATE jobs SET state = 'running', epoch = epoch + 1 WHERE job_id = "
                "(SELECT job_id FROM jobs WHERE state = 'queued' ORDER BY priority DESC, seq LIMIT 1) "
                "RETURNING job_id, epoch, request, camera"
            ).fetchone()
            if row is None:
                return None
            event = self._move(row["job_id"], "running")
        return Claim(row["job_id"], row["epoch"], _decode_request(row["request"]), row["camera"], event)

    def begin_publication(self, job_id: str, epoch: int) -> Event | None:
        """Let the finished work of this epoch through to publication.

        Returns:
            The event `publishing`; or `cancelled` if a cancel came first; or None if the epoch is over.
        """
        with self._db.transaction():
            job = self._held(job_id, epoch, "running")
            if job is None:
                return None
            if job["cancel_requested"]:
                return self._move(job_id, "cancelled", _cancelled())
            return self._move(job_id, "publishing")

    def publish(self, job_id: str, epoch: int, files: list[ResultFile], info: ResultInfo) -> Event | None:
        """Make the result known, once: its row and the event `done` are one. None if the epoch is over."""
        with self._db.transaction():
            if self._held(job_id, epoch, "publishing") is None:
                return None
            self._db.execute(
                "INSERT INTO results (job_id, files, info) VALUES (?, ?, ?)",
                (job_id, msgspec.json.encode(files), msgspec.json.encode(info)),
            )
            return self._move(job_id, "done")

    def fail(self, job_id: str, epoch: int, error: ThreeDimoError) -> Event | None:
        """End a job with an error (`cancelled` if a cancel was asked for). None if the epoch is over."""
        with self._db.transaction():
            job = self._held(job_id, epoch, "running", "publishing")
            if job is None:
                return None
            if job["cancel_requested"] or isinstance(error, JobCancelled):
                return self._move(job_id, "cancelled", _cancelled())
            return self._move(job_id, "failed", error)

    def lose(self, job_id: str, epoch: int, reason: str) -> Event | None:
        """A worker died: queue its job again, or fail it after the third loss. None if the epoch is over."""
        with self._db.transaction():
            job = self._held(job_id, epoch, "running", "publishing")
            if job is None:
                return None
            losses: int = job["losses"] + 1
            self._db.execute("UPDATE jobs SET losses = ? WHERE job_id = ?", (losses, job_id))
            if losses >= MAX_LOSSES and not job["cancel_requested"]:
                error = WorkerLost(
                    f"the worker was lost {losses} times while making this job",
                    given=reason,
                    remedy="try fewer frames or a smaller size, and read the server's log",
                )
                return self._move(job_id, "failed", error)
            return self._requeue(job)

    def release(self, job_id: str, epoch: int) -> Event | None:
        """The server takes a job back without blaming it. None if the epoch is over."""
        with self._db.transaction():
            job = self._held(job_id, epoch, "running", "publishing")
            return None if job is None else self._requeue(job)

    def fail_waiting(self, error: ThreeDimoError) -> list[Event]:
        """End every queued job: nothing can run it."""
        with self._db.transaction():
            rows = self._db.execute("SELECT job_id FROM jobs WHERE state = 'queued' ORDER BY seq").fetchall()
            return [self._move(row["job_id"], "failed", error) for row in rows]

    # What the server needs for itself.

    def num_waiting(self) -> int:
        """How many jobs are queued."""
        return self._db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]

    # Inside.

    def _requeue(self, job: sqlite3.Row) -> Event:
        if job["cancel_requested"]:
            return self._move(job["job_id"], "cancelled", _cancelled())
        return self._move(job["job_id"], "queued")

    def _require_room(self) -> None:
        if self.num_waiting() >= self._max_queued:
            raise ServerBusy(
                "the queue is full",
                given=f"{self._max_queued} jobs wait",
                remedy="wait for some to finish, or cancel some",
            )

    def _insert(
        self, job_id: str, request: GenerateRequest, camera: bytes | None, label: str, priority: int
    ) -> int:
        seq = self._record(job_id, "queued", None).seq
        now = time.time()
        self._db.execute(
            "INSERT INTO jobs (job_id, seq, last_seq, request, camera, label, priority, state, "
            "submitted_at_s, changed_at_s) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
            (job_id, seq, seq, msgspec.json.encode(request), camera, label, priority, now, now),
        )
        return seq

    def _move(self, job_id: str, state: JobState, error: ThreeDimoError | None = None) -> Event:
        event = self._record(job_id, state, error)
        self._db.execute(
            "UPDATE jobs SET state = ?, last_seq = ?, changed_at_s = ? WHERE job_id = ?",
            (state, event.seq, time.time(), job_id),
        )
        return event

    def _record(self, job_id: str, state: JobState, error: ThreeDimoError | None) -> Event:
        code, message, retryable = (
            ("", "", False) if error is None else (error.code, str(error), error.retryable)
        )
        row = self._db.execute(
            "INSERT INTO events (job_id, state, error_code, error_message, retryable) VALUES (?, ?, ?, ?, ?) "
            "RETURNING *",
            (job_id, state, code, message, int(retryable)),
        ).fetchone()
        return _event(row)

    def _num_before(self, priority: int, seq: int) -> int:
        return self._db.execute(
            "SELECT count(*) FROM jobs WHERE state = 'queued' AND "
            "(priority > ? OR (priority = ? AND seq < ?))",
            (priority, priority, seq),
        ).fetchone()[0]

    def _find(self, job_id: str) -> sqlite3.Row | None:
        return self._db.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()

    def _require(self, job_id: str) -> sqlite3.Row:
        job = self._find(job_id)
        if job is None:
            raise UnknownJob(
                "the server has no such job", given=job_id, remedy="list the jobs to see their ids"
            )
        return job

    def _held(self, job_id: str, epoch: int, *states: JobState) -> sqlite3.Row | None:
        job = self._find(job_id)
        return job if job is not None and job["epoch"] == epoch and job["state"] in states else None


def _cancelled() -> JobCancelled:
    return JobCancelled("the job was cancelled")


def _decode_request(blob: bytes) -> GenerateRequest:
    return msgspec.json.decode(blob, type=GenerateRequest)


def _event(row: sqlite3.Row) -> Event:
    return Event(
        job_id=row["job_id"],
        seq=row["seq"],
        state=row["state"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        retryable=bool(row["retryable"]),
    )
