"""Files that are whole or not there, whatever interrupts their writing: a full disk, a kill, a power cut."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from threedimo.media.writing import storage_errors

PART_PATTERN = ".*.part"
"""Names of files that are being written; what a kill leaves behind."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write into; it gets its name, synced to the disk, when the block ends well.

    Errors of the block itself pass through; whoever writes turns its own into storage errors.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder is missing or may not be written.
    """
    # a name of its own: a process that outlived a killed run may still be writing the same file
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    with storage_errors(path):
        file = part.open("xb")
    try:
        yield file
        with storage_errors(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            part.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):  # what could not be written was reported above
            file.close()
        part.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder is missing or may not be written.
    """
    with whole_file(path) as file, storage_errors(path):
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Make a new name last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
