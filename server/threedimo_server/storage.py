"""Files that survive a crash: folders, free space, and what a full disk looks like to a user."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threedimo.errors import NoSpace, StorageError, UnwritableFolder

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` of writing into a `StorageError` that says what could not be written.

    Args:
        what: The thing that is written, for the sentence: "the asset", "the result".

    Raises:
        NoSpace: The disk or a quota is full.
        UnwritableFolder: The folder does not allow it.
        StorageError: Anything else that the system refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(f"the disk is full: {what} cannot be written", remedy="free some space") from error
        if error.errno in _FORBIDDEN:
            raise UnwritableFolder(
                f"{what} cannot be written", given=error.filename, remedy="check the folder's permissions"
            ) from error
        raise StorageError(f"{what} cannot be written", given=error.strerror) from error


def make_private_folder(path: Path) -> Path:
    """Make a folder, and its parents, that only this user can read; return it."""
    with storage_errors("the folder"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def require_space(folder: Path, num_bytes: int, reserve_bytes: int) -> None:
    """Refuse before writing what would leave less than `reserve_bytes` free.

    Raises:
        NoSpace: Too little is free on the disk of `folder`.
    """
    free = shutil.disk_usage(folder).free
    if free - num_bytes < reserve_bytes:
        raise NoSpace(
            "too little free disk on the server",
            given=f"{num_bytes / 1e6:.0f} MB to write, {free / 1e6:.0f} MB free",
            allowed=f"writes that leave {reserve_bytes / 1e6:.0f} MB free",
            remedy="delete old results on the server",
        )


def sync_file(path: Path) -> None:
    """Wait until the disk holds the file's bytes."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the disk holds the folder's names. Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until the disk holds everything below a folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)
    sync_folder(folder)
