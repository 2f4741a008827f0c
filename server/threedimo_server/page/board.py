"""What the page shows: a client of the server in a thread of its own, and the newest of what it heard."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import ThreeDimoError
from threedimo.wire.client import (
    Client,
    ClientEvent,
    Connected,
    ConnectionLost,
    Event,
    Fetched,
    Jobs,
    PreviewImage,
    Progress,
    Refused,
    Result,
)
from threedimo.wire.connection import ConnectionInfo
from threedimo.wire.messages import FINAL_STATES, MAX_LISTED_JOBS, JobSummary
from threedimo_server.page.films import Film, Films

LIST_INTERVAL_S = 1.0
_PUMP_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Row:
    """A job as the page shows it.

    Attributes:
        job: What the server lists.
        progress: The newest, if it runs.
        preview_step: The denoising step of its newest preview, if it has one.
    """

    job: JobSummary
    progress: Progress | None = None
    preview_step: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.job.state in FINAL_STATES


class Board:
    """The newest jobs of a server; every method may be called from any thread.

    Args:
        find_server: Finds the server, also again after it was restarted elsewhere.
        folder: Where films go; the caller's to delete.
    """

    def __init__(self, find_server: Callable[[], ConnectionInfo], folder: Path):
        self._find_server = find_server
        self._films = Films(folder)
        self._orders: queue.SimpleQueue[Callable[[Client], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._jobs: list[JobSummary] = []
        self._progress: dict[str, Progress] = {}
        self._previews: dict[str, PreviewImage] = {}
        self._followed: set[str] = set()
        self._problem: str | None = "looking for the server"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why what is shown may be old; None while the server answers."""
        return self._problem

    def rows(self) -> list[Row]:
        """The newest jobs, newest first."""
        with self._lock:
            return [self._row(job) for job in self._jobs]

    def preview(self, job_id: str) -> bytes | None:
        """The newest preview of a running job as a JPEG."""
        with self._lock:
            preview = self._previews.get(job_id)
            return None if preview is None else preview.jpeg

    def cancel(self, job_id: str) -> None:
        """Ask the server to stop a job; what it does shows in the rows."""
        self._orders.put(lambda client: client.cancel(job_id))

    def film(self, job_id: str) -> Future[Film]:
        """Bring what a job has made, the driving footage beside it.

        The future raises the error with which the server or the disk refused.
        """
        wanted, is_new = self._films.wanted(job_id)
        if is_new:
            self._orders.put(lambda client: client.subscribe(job_id))
        return wanted

    def close(self) -> None:
        """Leave the server."""
        self._closing.set()
        self._thread.join()

    def _row(self, job: JobSummary) -> Row:
        if job.state in FINAL_STATES:
            return Row(job)
        preview = self._previews.get(job.job_id)
        return Row(job, self._progress.get(job.job_id), None if preview is None else preview.step)

    def _run(self) -> None:
        while not self._closing.is_set():
            # A client that was refused (a server of another version, another token) stops for good.
            with Client(self._find_server, "page") as client:
                self._serve(client)
            self._closing.wait(LIST_INTERVAL_S)

    def _serve(self, client: Client) -> None:
        listed_at_s = 0.0
        self._followed.clear()
        for job_id in self._films.awaited():
            client.subscribe(job_id)
        while not self._closing.is_set():
            if client.connected:
                while not self._orders.empty():
                    self._orders.get()(client)
                if time.monotonic() - listed_at_s > LIST_INTERVAL_S:
                    listed_at_s = time.monotonic()
                    client.list_jobs(MAX_LISTED_JOBS)
            for event in client.pump():
                if isinstance(event, Refused) and event.request == "connection":
                    self._problem = str(event.error)
                    return
                self._see(client, event)
            client.wait(_PUMP_INTERVAL_S)

    def _see(self, client: Client, event: ClientEvent) -> None:
        match event:
            case Connected():
                self._problem = None
            case ConnectionLost(reason=reason):
                self._problem = f"connection lost ({reason}); trying again"
            case Jobs(jobs=jobs):
                self._take_list(client, jobs)
            case Progress():
                with self._lock:
                    self._progress[event.job_id] = event
            case PreviewImage():
                with self._lock:
                    self._previews[event.job_id] = event
            case Event(state="failed" | "cancelled"):
                self._films.refuse(
                    event.job_id, ThreeDimoError(f"the job is {event.state}: there is no film")
                )
            case Result():
                self._films.fetch(client, event)
            case Fetched():
                self._films.arrived(event.job_id)
            case Refused(job_id=str(job_id), error=error):
                self._films.refuse(job_id, error)
            case _:
                pass

    def _take_list(self, client: Client, jobs: list[JobSummary]) -> None:
        unfinished = {job.job_id for job in jobs if job.state not in FINAL_STATES}
        for job_id in unfinished - self._followed:
            client.subscribe(job_id)
        with self._lock:
            self._followed = unfinished
            self._jobs = jobs
            for heard in (self._progress, self._previews):
                for job_id in heard.keys() - unfinished:
                    del heard[job_id]
