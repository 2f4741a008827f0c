"""`threedimo batch`: all shots of a list queued at once, collected as they come, and never made twice.

Notable: each job's id is in the batch's book before the job is sent. Whatever stops the command, even a
power cut, the same command later finds what the server has made meanwhile.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import JobCancelled, JobFailed, ThreeDimoError, UnwritableFolder
from threedimo.media.writing import storage_errors
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
from threedimo.wire.messages import FINAL_STATES, ResultInfo
from threedimo_server.batch_list import Book, ShotEntry, digest, open_book, read_list
from threedimo_server.generate import model_of, some_server, write_sheet
from threedimo_server.job_progress import JobProgress, estimate
from threedimo_server.job_run import PUMP_INTERVAL_S, CheckAlive, Patience, end_of
from threedimo_server.output_folder import RESULT_FILE, check_output, publish_folder
from threedimo_server.shot_inputs import PreparedShot, prepare_shot, read_inputs

_CANCEL_LIMIT_S = 15.0
_WORKSHOP = ".unfinished"


@dataclass(frozen=True)
class BatchOptions:
    """What a person asks for.

    Attributes:
        shots: The list, see `batch_list`.
        output: Folder of the batch; each shot gets one in it.
    """

    shots: Path
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a shot; neither `info` nor `error` where it was there before."""

    info: ResultInfo | None = None
    error: ThreeDimoError | None = None


@dataclass(frozen=True)
class FinishedBatch:
    """A batch that has come to its end; what failed can be tried again by the same command."""

    output: Path
    outcomes: dict[str, Outcome]

    def check(self) -> None:
        """Raise if a shot could not be made.

        Raises:
            JobFailed: Names them.
        """
        failed = [name for name, outcome in self.outcomes.items() if outcome.error is not None]
        if failed:
            raise JobFailed(
                f"{len(failed)} of {len(self.outcomes)} shots could not be made",
                given=", ".join(failed[:5]) + (" ..." if len(failed) > 5 else ""),
                remedy="mend what the table names; the same command then makes them, and nothing twice",
            )

    def lines(self) -> list[str]:
        """A table for a person."""
        width = max(len("shot"), *(len(name) for name in self.outcomes))
        return [
            f"{'shot':{width}}  {'state':6}  {'frames':>6}  {'seconds':>7}  seed",
            *(f"{name:{width}}  {_told(outcome)}" for name, outcome in self.outcomes.items()),
        ]


def _told(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"failed  [{outcome.error.code}] {outcome.error}"
    if outcome.info is None:
        return "done before"
    seconds = sum(outcome.info.seconds.values())
    return f"done    {outcome.info.num_frames:6}  {seconds:7.1f}  {outcome.info.seed}"


def make_batch(options: BatchOptions, server: str | None = None) -> FinishedBatch:
    """Make all shots of a list that are not there yet, with a server as `generate` finds it.

    Every shot is checked before any is sent. One that fails does not hold up the others.

    Raises:
        JobCancelled: By Ctrl-C; jobs that were not done are cancelled.
        ThreeDimoError: A shot cannot be made as it is listed, the folder is not a batch's, or no server
            answers.
    """
    listed = {
        shot.name: shot.options(options.shots.parent, options.output) for shot in read_list(options.shots)
    }
    inputs = {}
    for name, shot in listed.items():
        with _naming(name):
            inputs[name] = read_inputs(shot)
    book = open_book(options.output)
    with JobProgress() as progress, some_server(server, progress) as (client, check_alive):
        model = model_of(client)
        prepared: dict[str, PreparedShot] = {}
        for name, shot in listed.items():
            with _naming(name):
                prepared[name] = prepare_shot(model, shot, inputs[name])
                _require_same(book, prepared[name], name)
        run = _BatchRun(client, prepared, book, progress)
        return FinishedBatch(options.output, run.finish(check_alive))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say which shot an error is about."""
    try:
        yield
    except ThreeDimoError as error:
        raise type(error)(
            f"shot {name}: {error.problem}", given=error.given, allowed=error.allowed, remedy=error.remedy
        ) from error


def _require_same(book: Book, prepared: PreparedShot, name: str) -> None:
    folder, entry = prepared.options.output, book.shots.get(name)
    if not (folder / RESULT_FILE).exists():
        check_output(folder, overwrite=False)
    elif entry is None or entry.asked != digest(prepared):
        raise UnwritableFolder(
            "the folder holds a result that was made of something else than is listed now",
            given=folder,
            remedy="give the shot another name, or delete the folder to make it anew",
        )


class _BatchRun:
    """One run of the command over a batch."""

    def __init__(self, client: Client, prepared: dict[str, PreparedShot], book: Book, progress: JobProgress):
        self._client, self._prepared, self._book, self._progress = client, prepared, book, progress
        self._output = next(iter(prepared.values())).options.output.parent
        self._names: dict[str, str] = {}
        self._results: dict[str, ResultInfo] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._began_s = time.monotonic()

    def finish(self, check_alive: CheckAlive | None) -> dict[str, Outcome]:
        """Queue what is not there, and follow it to its end."""
        for name, shot in self._prepared.items():
            if (shot.options.output / RESULT_FILE).exists():
                self._outcomes[name] = Outcome()
        if self._outcomes:
            self._progress.note(f"{len(self._outcomes)} of {len(self._prepared)} done before")
        try:
            self._queue([name for name in self._prepared if name not in self._outcomes])
            self._collect(check_alive or (lambda: None))
        except KeyboardInterrupt:
            self._progress.note("cancelling what is not done; Ctrl-C again leaves at once")
            raise self._cancelled() from None
        shutil.rmtree(self._output / _WORKSHOP, ignore_errors=True)
        return {name: self._outcomes[name] for name in self._prepared}

    def _queue(self, names: list[str]) -> None:
        for name in names:
            asked, entry = digest(self._prepared[name]), self._book.shots.get(name)
            if entry is not None and entry.asked != asked and entry.job_id:
                self._client.cancel(entry.job_id)  # nobody wants it any more
            if entry is None or entry.asked != asked or not entry.job_id:
                self._book.shots[name] = ShotEntry(asked, str(uuid.uuid4()))
        self._book.write(self._output)
        for name in names:
            job_id = self._book.shots[name].job_id
            self._names[job_id] = name
            try:
                # harmless where the server has it: it tells the job's story again
                self._prepared[name].submit(self._client, job_id, f"{self._output.name} {name}")
            except ThreeDimoError as error:
                self._fail(name, error)
        self._progress.note(f"{_counted(len(names))} queued")

    def _collect(self, check_alive: CheckAlive) -> None:
        patience = Patience()
        while len(self._outcomes) < len(self._prepared):
            for event in self._client.pump():
                patience.see(event, self._progress)
                self._take(event)
            patience.check(f"{_counted(len(self._names))} of this batch")
            check_alive()
            self._client.wait(PUMP_INTERVAL_S)

    def _take(self, event: ClientEvent) -> None:
        name = self._names.get(getattr(event, "job_id", None) or "")
        match event:
            case Refused(job_id=None):
                raise event.error
            case _ if name is None:
                pass
            case Refused():
                self._fail(name, event.error)
            case Event(state="failed" | "cancelled"):
                self._fail(name, end_of(event))
            case Progress():
                self._progress.step(f"{name} {event.phase}", event.step, event.num_steps, event.eta_s)
            case Result():
                self._fetch(name, event)
            case Fetching():
                self._progress.transfer(f"{name} fetching", event.received, event.total)
            case Fetched():
                self._arrive(name)
            case _:
                pass

    def _fetch(self, name: str, result: Result) -> None:
        if name in self._results:
            return  # told again after a reconnection
        self._results[name] = result.info
        folder = self._workshop(name)
        shutil.rmtree(folder, ignore_errors=True)
        with storage_errors(folder):
            folder.parent.mkdir(exist_ok=True)
        self._client.fetch(result.job_id, result, folder)

    def _arrive(self, name: str) -> None:
        info, shot = self._results[name], self._prepared[name]
        try:
            write_sheet(self._workshop(name), shot, info)
            publish_folder(self._workshop(name), shot.options.output)
        except ThreeDimoError as error:
            self._end(name, Outcome(error=error))
            return
        self._book.shots[name].state = "done"
        self._end(name, Outcome(info=info))

    def _fail(self, name: str, error: ThreeDimoError) -> None:
        # the next attempt is another job: the server would only tell again how this one ended
        self._book.shots[name].job_id, self._book.shots[name].state = "", "failed"
        self._end(name, Outcome(error=error))

    def _end(self, name: str, outcome: Outcome) -> None:
        self._book.write(self._output)
        self._outcomes[name] = outcome
        made = sum(1 for each in self._outcomes.values() if each != Outcome())
        left = len(self._prepared) - len(self._outcomes)
        about = f", {estimate((time.monotonic() - self._began_s) / made * left)}" if left else ""
        how = "done" if outcome.error is None else f"failed: {outcome.error}"
        self._progress.note(f"{name} {how} ({len(self._outcomes)} of {len(self._prepared)}{about})")

    def _cancelled(self) -> JobCancelled:
        going = {job_id: name for job_id, name in self._names.items() if name not in self._outcomes}
        for job_id in going:
            self._client.cancel(job_id)
        deadline, waited = time.monotonic() + _CANCEL_LIMIT_S, set(going)
        while waited and time.monotonic() < deadline:
            for event in self._client.pump():
                if isinstance(event, Event) and event.state in FINAL_STATES:
                    waited.discard(event.job_id)
            self._client.wait(PUMP_INTERVAL_S)
        for job_id, name in going.items():
            if job_id not in waited:
                self._book.shots[name].job_id = ""
        self._book.write(self._output)
        return JobCancelled(
            f"interrupted; {_counted(len(going) - len(waited))} cancelled"
            + (f", {len(waited)} not confirmed by the server" if waited else ""),
            remedy="the same command makes the rest",
        )

    def _workshop(self, name: str) -> Path:
        return self._output / _WORKSHOP / name


def _counted(number: int) -> str:
    """So many jobs, in words."""
    return f"{number} job{'' if number == 1 else 's'}"
