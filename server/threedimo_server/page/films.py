"""Results on their way into the browser: one video of each, fetched when somebody wants to see it."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import msgspec

from threedimo.errors import ThreeDimoError
from threedimo.wire.client import Client, Result
from threedimo.wire.messages import ResultInfo

MAX_FILMS = 50
"""So many are kept on the disk; the one that was asked for longest ago goes first."""

_BEST_FIRST = ("comparison.mp4", "video.mp4")


@dataclass(frozen=True)
class Film:
    """A video of a result, in a file, and how the result was made."""

    file: Path
    info: ResultInfo


class Films:
    """What was asked for, by job; every method may be called from any thread.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._films: OrderedDict[str, Future[Film]] = OrderedDict()
        self._infos: dict[str, ResultInfo] = {}

    def wanted(self, job_id: str) -> tuple[Future[Film], bool]:
        """The film of a job, and whether it was asked for just now."""
        with self._lock:
            known = self._films.get(job_id)
            failed = known is not None and known.done() and known.exception() is not None
            if known is not None and not failed:
                self._films.move_to_end(job_id)
                return known, False
            self._films[job_id] = Future()
            self._forget_oldest()
            return self._films[job_id], True

    def awaited(self) -> list[str]:
        """The jobs whose films are on their way."""
        with self._lock:
            return [job_id for job_id, film in self._films.items() if not film.done()]

    def fetch(self, client: Client, result: Result) -> None:
        """Ask for the video of a result, if somebody waits for it."""
        if not self._waits(result.job_id):
            return
        files = {file.name: file for file in result.files}
        video = next(files[name] for name in _BEST_FIRST if name in files)
        self._infos[result.job_id] = result.info
        folder = self._folder / result.job_id
        shutil.rmtree(folder, ignore_errors=True)
        try:
            client.fetch(result.job_id, msgspec.structs.replace(result, files=[video]), folder)
        except ThreeDimoError as error:
            self.refuse(result.job_id, error)

    def arrived(self, job_id: str) -> None:
        """The video is in its folder."""
        if self._waits(job_id):
            (file,) = (self._folder / job_id).iterdir()
            self._films[job_id].set_result(Film(file, self._infos.pop(job_id)))

    def refuse(self, job_id: str, error: ThreeDimoError) -> None:
        """There is no film, and why."""
        if self._waits(job_id):
            self._infos.pop(job_id, None)
            self._films[job_id].set_exception(error)

    def _waits(self, job_id: str) -> bool:
        film = self._films.get(job_id)
        return film is not None and not film.done()

    def _forget_oldest(self) -> None:
        done = [job_id for job_id, film in self._films.items() if film.done()]
        for job_id in done[: max(0, len(self._films) - MAX_FILMS)]:
            del self._films[job_id]
            shutil.rmtree(self._folder / job_id, ignore_errors=True)
