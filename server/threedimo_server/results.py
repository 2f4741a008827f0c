"""The folders of results: an attempt is written aside and becomes the result by one rename."""

from __future__ import annotations

import shutil
from pathlib import Path

from threedimo.errors import StorageError
from threedimo.wire.messages import ResultFile
from threedimo_server.storage import make_private_folder, require_space, storage_errors, sync_folder

_ATTEMPTS = ".attempts"


class ResultStore:
    """Result folders named by job id, and attempts named by job id and epoch, on one disk.

    Args:
        folder: Where results lie; made if missing. Attempts that a dead server left are deleted.
        reserve_bytes: Disk that an attempt must find free.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int):
        self._folder = make_private_folder(folder)
        # Attempts lie inside the results' folder because a rename is atomic on one disk only.
        self._attempts = folder / _ATTEMPTS
        shutil.rmtree(self._attempts, ignore_errors=True)
        make_private_folder(self._attempts)
        self._reserve_bytes = reserve_bytes

    def new_attempt(self, job_id: str, epoch: int) -> Path:
        """Make an empty folder for one attempt at a job.

        Raises:
            NoSpace: The disk is too full to begin.
            StorageError: The folder cannot be made.
        """
        require_space(self._attempts, 0, self._reserve_bytes)
        folder = self._attempt(job_id, epoch)
        shutil.rmtree(folder, ignore_errors=True)
        return make_private_folder(folder)

    def discard_attempt(self, job_id: str, epoch: int) -> None:
        """Delete what an attempt wrote. What a dying worker still holds is deleted at the next start."""
        shutil.rmtree(self._attempt(job_id, epoch), ignore_errors=True)

    def publish_attempt(self, job_id: str, epoch: int) -> None:
        """Give an attempt its final name. What an unfinished publication left under that name is replaced.

        Raises:
            StorageError: The system refused.
        """
        with storage_errors("the result"):
            if self.path(job_id).exists():
                shutil.rmtree(self.path(job_id))
            self._attempt(job_id, epoch).rename(self.path(job_id))
            sync_folder(self._folder)

    def path(self, job_id: str) -> Path:
        """The folder of a job's result."""
        return self._folder / job_id

    def read(self, job_id: str, file: ResultFile, offset: int, num_bytes: int) -> bytes:
        """Bytes of a result file, from an offset inside it.

        Raises:
            StorageError: The file is not as it was published.
        """
        expected = min(num_bytes, file.size - offset)
        with storage_errors("the result"), (self.path(job_id) / file.name).open("rb") as stream:
            stream.seek(offset)
            found = stream.read(expected)
        if len(found) != expected:
            raise StorageError("the result file was changed on the server", given=file.name)
        return found

    def remove(self, job_id: str) -> None:
        """Delete a job's result."""
        shutil.rmtree(self.path(job_id), ignore_errors=True)

    def _attempt(self, job_id: str, epoch: int) -> Path:
        return self._attempts / f"{job_id}-{epoch}"
