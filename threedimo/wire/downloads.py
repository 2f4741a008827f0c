"""A result on its way from the server into a folder.

Files arrive in `<folder>.part`, each is hashed as it is written, and only the complete folder gets its final
name: a folder that looks finished is finished. What an interrupted download left in `<folder>.part` is hashed
and continued, never trusted. There is no fsync: the server keeps the result, and each one would stall the
thread that pumps for many milliseconds.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import AssetCorrupt, MalformedMessage, NoSpace, UnwritableFolder
from threedimo.wire.assets import HASH_BYTES
from threedimo.wire.codec import Buffer
from threedimo.wire.messages import CHUNK_BYTES, Chunk, Fetch, Result, ResultFile

MAX_CHUNKS_UNDER_WAY = 8

_MARKER = ".job_id"  # No name of a result file begins with a dot.
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(eq=False)
class _File:
    """One file: `received` bytes of it are written and hashed, `asked` bytes are received or under way."""

    entry: ResultFile
    path: Path
    found: int = 0
    received: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.hasher = hashlib.blake2b(digest_size=HASH_BYTES)

    def take(self, body: Buffer) -> None:
        self.hasher.update(body)
        self.received += len(body)

    def start_over(self) -> None:
        self.path.unlink(missing_ok=True)
        self.hasher = hashlib.blake2b(digest_size=HASH_BYTES)
        self.found = self.received = self.asked = 0


@dataclass(frozen=True)
class _Request:
    file: _File
    end: int


class Download:
    """The files of one result, in three moves that `Client.pump` repeats: `check`, `next_fetch`, `receive`.

    Args:
        result: The manifest.
        folder: Where the files go; it must not exist yet, or be empty.

    Raises:
        MalformedMessage: The manifest names a file twice, or a file and a folder alike.
        UnwritableFolder: The folder holds something already, or cannot be made.
        NoSpace: The disk has less free space than the files need.
    """

    def __init__(self, result: Result, folder: Path):
        self.job_id = result.job_id
        self.folder = folder
        self.total_bytes = sum(entry.size for entry in result.files)
        self.received_bytes = 0
        self._partial = folder.with_name(f"{folder.name}.part")
        _check_names(result)
        with _storage_errors(folder):
            self._prepare(result)
        self._waiting = deque(_File(entry, self._partial / entry.name) for entry in result.files)
        self._checking: _File | None = None
        self._receiving: list[_File] = []
        self._requests: dict[int, _Request] = {}
        self._chunks_under_way = 0

    @property
    def complete(self) -> bool:
        """Whether every file is there with the right hash; `finish` is next."""
        return not (self._waiting or self._checking or self._receiving)

    @property
    def moving(self) -> bool:
        """Whether a chunk is due from the server."""
        return bool(self._requests)

    @property
    def ready(self) -> bool:
        """Whether there is a move to make without waiting for the server."""
        may_ask = self._chunks_under_way < MAX_CHUNKS_UNDER_WAY and self._next_to_ask() is not None
        may_check = bool(self._waiting) and self._next_to_ask() is None
        return self.complete or may_ask or may_check or self._checking is not None

    def check(self) -> bool:
        """Look at what an earlier download left of the next file, at most one chunk of it.

        Returns:
            Whether there was anything to do.

        Raises:
            NoSpace, UnwritableFolder: The file cannot be read or made.
        """
        if self._checking is None:
            if not self._waiting or self._next_to_ask() is not None:
                return False
            self._checking = self._waiting.popleft()
            with _storage_errors(self._checking.path):
                self._begin(self._checking)
        file = self._checking
        with _storage_errors(file.path):
            if file.received < file.found:
                self._hash_found(file)
        if file.received >= file.found:
            self._checking = None
            self._receiving.append(file)
            self._end_if_whole(file)
        return True

    def next_fetch(self, chunk_bytes: int) -> Fetch | None:
        """What to ask the server for next, within the credit, or None. Follow with `asked`."""
        free = MAX_CHUNKS_UNDER_WAY - self._chunks_under_way
        file = self._next_to_ask()
        if free <= 0 or file is None:
            return None
        credit = min(free, -(-(file.entry.size - file.asked) // chunk_bytes))
        return Fetch(job_id=self.job_id, name=file.entry.name, offset=file.asked, credit=credit)

    def asked(self, fetch: Fetch, chunk_bytes: int, message_id: int) -> None:
        """The fetch left with this id."""
        file = next(file for file in self._receiving if file.entry.name == fetch.name)
        file.asked = min(file.entry.size, fetch.offset + fetch.credit * chunk_bytes)
        self._requests[message_id] = _Request(file, file.asked)
        self._chunks_under_way += fetch.credit

    def receive(self, chunk: Chunk, body: Buffer) -> bool:
        """Write a chunk.

        Returns:
            False if nothing asked for it (it belongs to a download that was given up).

        Raises:
            AssetCorrupt: It is not the chunk that was due, or the whole file has another hash than announced.
            NoSpace, UnwritableFolder: It cannot be written.
        """
        request = self._requests.get(chunk.reply_to)
        if request is None:
            return False
        file = request.file
        end = chunk.offset + len(body)
        in_order = chunk.name == file.entry.name and chunk.offset == file.received and end <= request.end
        if not in_order or not body or chunk.last != (end == file.entry.size):
            raise AssetCorrupt(
                "the server sent another part of the file than it was asked for",
                given=f"{chunk.name}, bytes {chunk.offset} to {end}",
                allowed=f"{file.entry.name}, from byte {file.received}",
                remedy="fetch the result again",
            )
        with _storage_errors(file.path), file.path.open("ab") as stream:
            stream.write(body)
        file.take(body)
        self.received_bytes += len(body)
        self._chunks_under_way -= 1
        if file.received == request.end:
            del self._requests[chunk.reply_to]
        self._end_if_whole(file)
        return True

    def owns(self, message_id: int) -> bool:
        """Whether a fetch of this download left with this id."""
        return message_id in self._requests

    def restart(self) -> None:
        """After a new connection: what was under way has to be asked for again."""
        self._requests.clear()
        self._chunks_under_way = 0
        for file in self._receiving:
            file.asked = file.received

    def finish(self) -> None:
        """Give the complete folder its final name.

        Raises:
            UnwritableFolder: Somebody put something there meanwhile.
        """
        with _storage_errors(self.folder):
            if self.folder.exists():
                self.folder.rmdir()
            self._partial.rename(self.folder)
            (self.folder / _MARKER).unlink()

    def _next_to_ask(self) -> _File | None:
        return next((file for file in self._receiving if file.asked < file.entry.size), None)

    def _prepare(self, result: Result) -> None:
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UnwritableFolder(
                "there is something in the folder already",
                given=self.folder,
                remedy="choose another folder, or delete this one",
            )
        marker = self._partial / _MARKER
        if self._partial.is_dir() and any(self._partial.iterdir()):
            if not marker.is_file():
                raise UnwritableFolder(
                    "the folder for unfinished downloads holds other files",
                    given=self._partial,
                    remedy="move them away, or choose another folder",
                )
            if marker.read_text("utf-8") != self.job_id:
                shutil.rmtree(self._partial)  # The rest of another job's download, marked as such.
        self._partial.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._partial).free
        missing = sum(max(0, entry.size - _size(self._partial / entry.name)) for entry in result.files)
        if missing > free:
            raise NoSpace(
                "the result does not fit on the disk",
                given=f"{missing} bytes to fetch, {free} bytes free at {self.folder}",
                remedy="free space, or choose a folder on another disk",
            )
        marker.write_text(self.job_id, "utf-8")

    def _begin(self, file: _File) -> None:
        file.path.parent.mkdir(exist_ok=True)
        file.found = _size(file.path)
        if file.found > file.entry.size:
            file.start_over()
        file.path.touch()

    def _hash_found(self, file: _File) -> None:
        with file.path.open("rb") as stream:
            stream.seek(file.received)
            body = stream.read(min(CHUNK_BYTES, file.found - file.received))
        if not body:
            file.found = file.received
            return
        file.take(body)
        file.asked = file.received
        self.received_bytes += len(body)

    def _end_if_whole(self, file: _File) -> None:
        if file.received < file.entry.size:
            return
        if file.hasher.hexdigest() == file.entry.hash:
            self._receiving.remove(file)
            return
        resumed = file.found > 0
        self.received_bytes -= file.received
        with _storage_errors(file.path):
            file.start_over()
        if not resumed:
            raise AssetCorrupt(
                "a file of the result arrived with another hash than announced",
                given=file.entry.name,
                remedy="fetch the result again",
            )


def _check_names(result: Result) -> None:
    # Compared as the file systems of Windows and macOS do.
    names = [entry.name.casefold() for entry in result.files]
    parents = {name.partition("/")[0] for name in names if "/" in name}
    if len(set(names)) < len(names) or parents & set(names):
        raise MalformedMessage("the result names a file twice", given=result.job_id)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _storage_errors(path: Path) -> Generator[None]:
    """Turn the system's errors into the project's."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise NoSpace(
                "the disk is full", given=path, remedy="free space and fetch again: what has arrived is kept"
            ) from error
        raise UnwritableFolder(
            f"the file or folder cannot be written: {error.strerror}",
            given=path,
            remedy="choose a folder that can be written",
        ) from error
