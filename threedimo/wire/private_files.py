"""Small files that belong to one user: tokens, keys and lists of keys, mode 0600."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from threedimo.errors import StorageError, UnwritableFolder

MAX_FILE_BYTES = 256 * 1024

_OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR


def read_small(path: Path) -> bytes | None:
    """The bytes of a file, or None if it is too large to be one of these. Raises `OSError`."""
    with path.open("rb") as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    return None if len(content) > MAX_FILE_BYTES else content


def open_to_others(path: Path, forbidden_mode: int) -> bool:
    """Whether the file's mode has one of these bits. False on Windows, which has no such bits."""
    return os.name == "posix" and bool(path.stat().st_mode & forbidden_mode)


def create_private(path: Path, content: bytes, what: str) -> None:
    """Write a new file, readable by its owner alone. Missing folders are made, mode 0700.

    Args:
        path: The file.
        content: Its bytes.
        what: The file in words, for errors.

    Raises:
        FileExistsError: There is a file already; it is left alone.
        UnwritableFolder, StorageError: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise
        raise _unwritable(path, what, error) from error
    try:
        _write(descriptor, content)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise StorageError(f"{what} cannot be written: {error.strerror}", given=path) from error


def replace_private(path: Path, content: bytes, what: str) -> None:
    """Write a file in one step, as `create_private`; an earlier one is replaced.

    Raises:
        UnwritableFolder, StorageError: It cannot be written; an earlier file is as it was.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    create_private(partial, content, what)
    try:
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise _unwritable(path, what, error) from error


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _unwritable(path: Path, what: str, error: OSError) -> UnwritableFolder:
    return UnwritableFolder(
        f"{what} cannot be written: {error.strerror}",
        given=path,
        remedy="free the folder, or set THREEDIMO_HOME to one that can be written",
    )
