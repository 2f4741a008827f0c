# pyright: strict
"""The file behind the queue: SQLite for one owner, and transactions that survive a kill at any moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threedimo.errors import NoSpace, ServerError, StorageError, ThreeDimoError

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    last_seq INTEGER NOT NULL,
    request BLOB NOT NULL,
    camera BLOB,
    label TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    submitted_at_s REAL NOT NULL,
    changed_at_s REAL NOT NULL
) STRICT;
CREATE INDEX waiting_jobs ON jobs (priority DESC, seq) WHERE state = 'queued';
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    retryable INTEGER NOT NULL
) STRICT;
CREATE INDEX events_of_job ON events (job_id, seq);
CREATE TABLE results (job_id TEXT PRIMARY KEY, files BLOB NOT NULL, info BLOB NOT NULL) STRICT;
"""


class JobDatabase:
    """One SQLite file in WAL mode with `synchronous=FULL`, locked for this process until it ends.

    Args:
        path: The file; made if missing.

    Raises:
        ServerError: Another server uses the file.
        NoSpace: The disk is full.
        StorageError: The file was made by a newer version, is damaged, or may not be written.
    """

    def __init__(self, path: Path):
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        except sqlite3.Error as error:
            raise _cannot_open(path, error) from error
        self._connection.row_factory = sqlite3.Row
        try:
            # A lock rather than a pid file: it cannot outlive the process that owns the queue.
            self.execute("PRAGMA locking_mode=EXCLUSIVE")
            self.execute("PRAGMA journal_mode=WAL")
            self.execute("PRAGMA synchronous=FULL")
            self._make_tables()
            with self.transaction():
                pass
        except sqlite3.Error as error:
            self._connection.close()
            raise _cannot_open(path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing, on disk when the block ends.

        Raises:
            NoSpace: The disk is full; nothing was changed.
        """
        try:
            self.execute("BEGIN IMMEDIATE")
            yield
            self.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise NoSpace(
                    "the disk is full: the queue cannot be written", remedy="free some space"
                ) from error
            raise

    def _make_tables(self) -> None:
        version: int = self.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StorageError(
                "the queue was made by a newer version",
                given=f"schema {version}",
                allowed=f"schema {SCHEMA_VERSION}",
                remedy="update the server, or choose another home folder",
            )
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )


def _cannot_open(path: Path, error: sqlite3.Error) -> ThreeDimoError:
    # The low byte is the kind of error; what stands above it only refines it.
    kind = error.sqlite_errorcode & 0xFF
    if kind == sqlite3.SQLITE_BUSY:
        return ServerError(
            "another server uses this home folder",
            given=path.parent,
            remedy="stop that server, or choose another home folder",
        )
    if kind == sqlite3.SQLITE_FULL:
        return NoSpace(
            "the disk is full: the queue cannot be written",
            given=path,
            remedy="free some space, or choose another home folder",
        )
    return StorageError(
        f"the queue cannot be opened: {error}",
        given=path,
        remedy="check that you may write there; a damaged file must be moved away, and its jobs are lost",
    )
