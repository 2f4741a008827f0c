"""`threedimo batch`: all shots of a list made by one server or by a Ray cluster, and never made twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from threedimo.errors import JobCancelled, JobFailed
from threedimo.wire.messages import ModelInfo
from threedimo_server.batch_ledger import BatchLedger, Outcome, naming
from threedimo_server.batch_list import held_book, read_list
from threedimo_server.job_progress import JobProgress
from threedimo_server.shot_inputs import read_inputs


@dataclass(frozen=True)
class BatchOptions:
    """What a person asks for.

    Attributes:
        shots: The list, see `batch_list`.
        output: Folder of the batch; each shot gets one in it.
        preset: Of every shot that names none.
    """

    shots: Path
    output: Path
    preset: str = ""


class BatchRun(Protocol):
    """An engine at work on one batch."""

    model: ModelInfo

    def make(self, ledger: BatchLedger) -> None:
        """Bring every shot that is left to its end."""
        ...

    def cancel(self, ledger: BatchLedger) -> JobCancelled:
        """Stop what `make` has begun, after Ctrl-C, and say how that went."""
        ...


class BatchEngine(Protocol):
    """Who makes the shots: `batch_local.LocalEngine` or `batch_ray.RayEngine`."""

    def expected_model(self) -> ModelInfo | None:
        """What will make the shots, where that is known without starting anything."""
        ...

    def start(self, progress: JobProgress) -> AbstractContextManager[BatchRun]:
        """Be ready to make shots."""
        ...


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


def make_batch(options: BatchOptions, engine: BatchEngine) -> FinishedBatch:
    """Make all shots of a list that are not there yet.

    Every shot is checked before any is sent. One that fails does not hold up the others. Where the model is
    known beforehand and nothing is left to make, the engine is not started.

    Raises:
        JobCancelled: By Ctrl-C; what was not done is cancelled.
        FolderInUse: Another run makes the shots of this folder.
        ThreeDimoError: A shot cannot be made as it is listed, the folder is not a batch's, or the engine
            cannot work.
    """
    shots = {}
    for listed in read_list(options.shots):
        shot = listed.options(options.shots.parent, options.output, options.preset)
        with naming(listed.name):
            shots[listed.name] = (shot, read_inputs(shot))
    with held_book(options.output) as book, JobProgress() as progress:
        expected = engine.expected_model()
        ledger = None if expected is None else BatchLedger(expected, shots, book, progress)
        if ledger is None or ledger.left:
            with engine.start(progress) as run:
                if ledger is None or run.model != expected:
                    ledger = BatchLedger(run.model, shots, book, progress)
                _make(run, ledger)
        ledger.sweep()
    return FinishedBatch(options.output, ledger.outcomes)


def _make(run: BatchRun, ledger: BatchLedger) -> None:
    if not ledger.left:
        return
    try:
        run.make(ledger)
    except KeyboardInterrupt:
        ledger.progress.note("cancelling what is not done; Ctrl-C again leaves at once")
        raise run.cancel(ledger) from None
