"""Result files on their way to clients: exactly the chunks that a client gave credit for, in order."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from threedimo.errors import InvalidRequest, LimitExceeded, StorageError
from threedimo.wire.messages import Chunk, ErrorReply, Fetch, ResultFile
from threedimo_server.doors import Door
from threedimo_server.logs import for_job
from threedimo_server.results import ResultStore

logger = logging.getLogger(__name__)

MAX_FETCHES = 64


@dataclass
class _Grant:
    fetch: Fetch
    file: ResultFile
    offset: int
    num_chunks: int


class Downloads:
    """What each client at the data door may still be sent.

    Args:
        door: The data door.
        results: Where the files are.
        chunk_bytes: Size of every chunk but a file's last.
    """

    def __init__(self, door: Door, results: ResultStore, chunk_bytes: int):
        self._door = door
        self._results = results
        self._chunk_bytes = chunk_bytes
        self._grants: dict[bytes, deque[_Grant]] = {}

    @property
    def some_waiting(self) -> bool:
        """Whether `send_some` has something to do."""
        return bool(self._grants)

    def grant(self, client: bytes, fetch: Fetch, file: ResultFile) -> None:
        """A client asks for chunks.

        Raises:
            LimitExceeded: It has asked for too much that it did not take yet.
            InvalidRequest: The offset lies beyond the end of the file.
        """
        if fetch.offset > file.size:
            raise InvalidRequest(
                "the offset lies beyond the end of the file",
                given=fetch.offset,
                allowed=f"at most {file.size}",
            )
        grants = self._grants.setdefault(client, deque())
        if len(grants) >= MAX_FETCHES:
            raise LimitExceeded(
                "too many fetches wait",
                given=len(grants) + 1,
                allowed=f"{MAX_FETCHES} that are not answered yet",
            )
        grants.append(_Grant(fetch, file, fetch.offset, fetch.credit))

    def send_some(self) -> bool:
        """Send each client one chunk, if it takes it. Returns whether anybody took one."""
        moved = False
        for client, grants in list(self._grants.items()):
            if grants and self._door.knows(client):
                moved |= self._send_chunk(client, grants)
            if not grants or not self._door.knows(client):
                del self._grants[client]
        return moved

    def _send_chunk(self, client: bytes, grants: deque[_Grant]) -> bool:
        grant = grants[0]
        fetch, file = grant.fetch, grant.file
        try:
            body = self._results.read(fetch.job_id, file, grant.offset, self._chunk_bytes)
        except StorageError as error:
            logger.exception("%s cannot be read", file.name, extra=for_job(fetch.job_id))
            self._door.reply(client, ErrorReply(reply_to=fetch.id, code=error.code, message=str(error)))
            grants.popleft()
            return True
        end = grant.offset + len(body)
        last = end == file.size
        chunk = Chunk(reply_to=fetch.id, job_id=fetch.job_id, name=file.name, offset=grant.offset, last=last)
        if not self._door.offer(client, chunk, body):
            return False
        grant.offset = end
        grant.num_chunks -= 1
        if last or grant.num_chunks == 0:
            grants.popleft()
        return True
