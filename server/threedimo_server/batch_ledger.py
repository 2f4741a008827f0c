"""What is known of a batch's shots during one run, whoever makes them: prepared, booked, done or failed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import ThreeDimoError, UnwritableFolder
from threedimo.media.writing import storage_errors
from threedimo.wire.messages import ModelInfo, ResultInfo
from threedimo_server.batch_list import Book, ShotEntry, digest
from threedimo_server.generate import write_sheet
from threedimo_server.job_progress import JobProgress, estimate
from threedimo_server.output_folder import RESULT_FILE, check_output, publish_folder
from threedimo_server.shot_inputs import PreparedShot, ShotInputs, ShotOptions, prepare_shot

_WORKSHOP = ".unfinished"


@dataclass(frozen=True)
class Outcome:
    """What became of a shot; neither `info` nor `error` where it was there before."""

    info: ResultInfo | None = None
    error: ThreeDimoError | None = None


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say which shot an error is about."""
    try:
        yield
    except ThreeDimoError as error:
        raise type(error)(
            f"shot {name}: {error.problem}", given=error.given, allowed=error.allowed, remedy=error.remedy
        ) from error


class BatchLedger:
    """The shots of a batch in one run, and the only one who writes their book and publishes them.

    Args:
        model: What makes them.
        shots: What a person asks for and the files of it, by name. Files are read through for their hashes.
        book: What earlier runs have left.
        progress: Is told what becomes of each shot.

    Raises:
        ThreeDimoError: The model cannot make a shot as it is listed, or its folder holds something else; the
            message names the shot.
    """

    def __init__(
        self,
        model: ModelInfo,
        shots: Mapping[str, tuple[ShotOptions, ShotInputs]],
        book: Book,
        progress: JobProgress,
    ):
        self.model = model
        self.progress = progress
        self.prepared: dict[str, PreparedShot] = {}
        self._book = book
        self._outcomes: dict[str, Outcome] = {}
        self._began_s: float | None = None
        for name, (options, inputs) in shots.items():
            with naming(name):
                self.prepared[name] = prepare_shot(model, options, inputs)
                self._look_for(name)
        self.output = next(iter(self.prepared.values())).options.output.parent
        if self._outcomes:
            progress.note(f"{len(self._outcomes)} of {len(self.prepared)} done before")

    @property
    def left(self) -> list[str]:
        """Names of the shots that have no outcome yet, as they are listed."""
        return [name for name in self.prepared if name not in self._outcomes]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What became of each shot that has come to its end, as they are listed."""
        return {name: self._outcomes[name] for name in self.prepared if name in self._outcomes}

    def job_before(self, name: str) -> tuple[str, bool]:
        """The job of a shot that an earlier run has left on a server.

        Returns:
            Its id, "" if there is none; and whether it makes what is asked for now.
        """
        entry = self._book.shots.get(name)
        return ("", False) if entry is None else (entry.job_id, entry.asked == digest(self.prepared[name]))

    def enter(self, jobs: Mapping[str, str]) -> None:
        """Note in the book that shots are sent now.

        Args:
            jobs: The job of each, by the shot's name; "" where it dies with this command.

        Raises:
            StorageError: The book cannot be written.
        """
        self._began_s = self._began_s or time.monotonic()
        for name, job_id in jobs.items():
            self._book.shots[name] = ShotEntry(digest(self.prepared[name]), job_id)
        self._book.write(self.output)

    def forget_jobs(self, names: list[str]) -> None:
        """Note that the jobs of these shots were cancelled.

        Raises:
            StorageError: The book cannot be written.
        """
        for name in names:
            self._book.shots[name].job_id = ""
        self._book.write(self.output)

    def workshop(self, name: str) -> Path:
        """A folder that does not exist, in one that does, for the files of a result on their way.

        Raises:
            StorageError: Something is in the way.
        """
        folder = self.output / _WORKSHOP / name
        shutil.rmtree(folder, ignore_errors=True)
        with storage_errors(folder):
            folder.parent.mkdir(exist_ok=True)
        return folder

    def arrive(self, name: str, info: ResultInfo, folder: Path) -> None:
        """Publish a shot whose files lie in its workshop. If that is not possible, the shot has failed."""
        shot = self.prepared[name]
        try:
            write_sheet(folder, shot, info)
            publish_folder(folder, shot.options.output)
        except ThreeDimoError as error:
            self._end(name, Outcome(error=error))
            return
        self._book.shots[name].state = "done"
        self._end(name, Outcome(info=info))

    def fail(self, name: str, error: ThreeDimoError) -> None:
        """Note that a shot cannot be made, and why."""
        # the next attempt is another job: the server would only tell again how this one ended
        self._book.shots[name].job_id, self._book.shots[name].state = "", "failed"
        self._end(name, Outcome(error=error))

    def sweep(self) -> None:
        """Delete what the run has used on its way."""
        shutil.rmtree(self.output / _WORKSHOP, ignore_errors=True)

    def _look_for(self, name: str) -> None:
        """See whether a shot is there already, and made of what is listed now."""
        folder, entry = self.prepared[name].options.output, self._book.shots.get(name)
        if not (folder / RESULT_FILE).exists():
            check_output(folder, overwrite=False)
            return
        if entry is None or entry.asked != digest(self.prepared[name]):
            raise UnwritableFolder(
                "the folder holds a result that was made of something else than is listed now",
                given=folder,
                remedy="give the shot another name, or delete the folder to make it anew",
            )
        self._outcomes[name] = Outcome()

    def _end(self, name: str, outcome: Outcome) -> None:
        self._book.write(self.output)
        self._outcomes[name] = outcome
        how = "done" if outcome.error is None else f"failed: {outcome.error}"
        counted = f"{len(self._outcomes)} of {len(self.prepared)}"
        self.progress.note(f"{name} {how} ({counted}{self._about()})")

    def _about(self) -> str:
        """How long the rest takes if it goes on like this."""
        made = sum(1 for each in self._outcomes.values() if each != Outcome())
        if self._began_s is None or not self.left:
            return ""
        return f", {estimate((time.monotonic() - self._began_s) / made * len(self.left))}"
