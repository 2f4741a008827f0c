"""A batch made by one 3DiMo server: all jobs queued at once, collected as they come.

Notable: each job's id is in the batch's book before the job is sent. Whatever stops the command, even a
power cut, the same command later finds what the server has made meanwhile.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import JobCancelled, ServerUnreachable, ThreeDimoError
from threedimo.model_info import EMBEDDED, read_model_info
from threedimo.wire.client import (
    Client,
    ClientEvent,
    Event,
    Fetched,
    Fetching,
    Progress,
    Refused,
    Result,
)
from threedimo.wire.connection import find_server
from threedimo.wire.messages import FINAL_STATES, ModelInfo, ResultInfo
from threedimo.wire.model_ids import choose_model
from threedimo_server.batch_ledger import BatchLedger
from threedimo_server.generate import model_of, some_server
from threedimo_server.job_progress import JobProgress
from threedimo_server.job_run import PUMP_INTERVAL_S, CheckAlive, Patience, end_of

_CANCEL_LIMIT_S = 15.0


@dataclass(frozen=True)
class LocalEngine:
    """The server at `server`, or this user's running one, or one for this batch alone (embedded model)."""

    server: str | None = None
    model_id: str = ""

    def expected_model(self) -> ModelInfo | None:
        """What will make the shots, where that is known without starting anything.

        Raises:
            ModelNotFound: A server for this batch alone has no other model than the embedded one.
        """
        if self.server is not None:
            return None
        try:
            find_server()
        except ServerUnreachable:
            return choose_model([read_model_info(EMBEDDED)], self.model_id)
        return None

    @contextmanager
    def start(self, progress: JobProgress) -> Iterator[LocalRun]:
        """Connect to the server.

        Raises:
            ServerError: None answers, or none can be started.
        """
        with some_server(self.server, progress) as (client, check_alive):
            yield LocalRun(client, model_of(client, self.model_id), check_alive or (lambda: None))


class LocalRun:
    """A batch at a connected server.

    Args:
        client: Of the server.
        model: One of its models.
        check_alive: Raises if the server is known to be gone for good.
    """

    def __init__(self, client: Client, model: ModelInfo, check_alive: CheckAlive):
        self.model = model
        self._client, self._check_alive = client, check_alive
        self._names: dict[str, str] = {}
        self._results: dict[str, ResultInfo] = {}
        self._folders: dict[str, Path] = {}

    def make(self, ledger: BatchLedger) -> None:
        """Queue what is not there, and follow it to its end.

        Raises:
            ServerError: The server is gone.
        """
        self._queue(ledger)
        patience = Patience()
        while ledger.left:
            for event in self._client.pump():
                patience.see(event, ledger.progress)
                self._take(ledger, event)
            patience.check(f"{_counted(len(self._names))} of this batch")
            self._check_alive()
            self._client.wait(PUMP_INTERVAL_S)

    def cancel(self, ledger: BatchLedger) -> JobCancelled:
        """Cancel on the server what is not done, and say how that went."""
        left = ledger.left
        going = {job_id: name for job_id, name in self._names.items() if name in left}
        for job_id in going:
            self._client.cancel(job_id)
        deadline, waited = time.monotonic() + _CANCEL_LIMIT_S, set(going)
        while waited and time.monotonic() < deadline:
            for event in self._client.pump():
                if isinstance(event, Event) and event.state in FINAL_STATES:
                    waited.discard(event.job_id)
            self._client.wait(PUMP_INTERVAL_S)
        ledger.forget_jobs([name for job_id, name in going.items() if job_id not in waited])
        return JobCancelled(
            f"interrupted; {_counted(len(going) - len(waited))} cancelled"
            + (f", {len(waited)} not confirmed by the server" if waited else ""),
            remedy="the same command makes the rest",
        )

    def _queue(self, ledger: BatchLedger) -> None:
        jobs: dict[str, str] = {}
        for name in ledger.left:
            before, is_same = ledger.job_before(name)
            if before and not is_same:
                self._client.cancel(before)  # nobody wants it any more
            jobs[name] = before if before and is_same else str(uuid.uuid4())
        ledger.enter(jobs)
        for name, job_id in jobs.items():
            self._names[job_id] = name
            try:
                # harmless where the server has it: it tells the job's story again
                ledger.prepared[name].submit(self._client, job_id, f"{ledger.output.name} {name}")
            except ThreeDimoError as error:
                ledger.fail(name, error)
        ledger.progress.note(f"{_counted(len(jobs))} queued")

    def _take(self, ledger: BatchLedger, event: ClientEvent) -> None:
        name = self._names.get(getattr(event, "job_id", None) or "")
        match event:
            case Refused(job_id=None):
                raise event.error
            case _ if name is None:
                pass
            case Refused():
                ledger.fail(name, event.error)
            case Event(state="failed" | "cancelled"):
                ledger.fail(name, end_of(event))
            case Progress():
                ledger.progress.step(f"{name} {event.phase}", event.step, event.num_steps, event.eta_s)
            case Result():
                self._fetch(ledger, name, event)
            case Fetching():
                ledger.progress.transfer(f"{name} fetching", event.received, event.total)
            case Fetched():
                ledger.arrive(name, self._results[name], self._folders[name])
            case _:
                pass

    def _fetch(self, ledger: BatchLedger, name: str, result: Result) -> None:
        if name in self._results:
            return  # told again after a reconnection
        self._results[name], self._folders[name] = result.info, ledger.workshop(name)
        self._client.fetch(result.job_id, result, self._folders[name])


def _counted(number: int) -> str:
    """So many jobs, in words."""
    return f"{number} job{'' if number == 1 else 's'}"
