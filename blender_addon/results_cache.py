# SPDX-License-Identifier: GPL-3.0-or-later
"""The room that results of files which were never saved may take up. No bpy here.

They are in the extension's own folder, where nobody looks for them. Results beside a .blend, and those in a
folder that a person chose, are theirs and never touched.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from threedimo.errors import ThreeDimoError

from .takes import SHEET_FILE, delete_files

log = logging.getLogger(__name__)

# Another Blender may still be at work on what is younger.
_YOUNG_S = 24 * 3600.0


def trim_results(folder: Path, most_bytes: int, kept: frozenset[str]) -> list[str]:
    """Delete the oldest takes of a folder until the rest fits.

    Args:
        folder: Holds a folder for each take, named by its job id.
        most_bytes: What all of them together may take up.
        kept: Job ids that stay, however large they are: those of the file that is open. So do all takes of
            the last day.

    Returns:
        The job ids of the takes that were deleted, oldest first.
    """
    sizes = {sheet.parent: _num_bytes(sheet.parent) for sheet in folder.glob(f"*/{SHEET_FILE}")}
    total, deleted = sum(sizes.values()), []
    written = {take: (take / SHEET_FILE).stat().st_mtime for take in sizes}
    for take in sorted(sizes, key=lambda each: written[each]):
        if total <= most_bytes or time.time() - written[take] < _YOUNG_S:
            break
        if take.name in kept:
            continue
        try:
            delete_files(take, take.name)
        except ThreeDimoError as error:
            log.warning("an old take stays: %s", error)
            continue
        total -= sizes[take]
        deleted.append(take.name)
    return deleted


def _num_bytes(folder: Path) -> int:
    """What the files of a take take up; one file under two names counts once."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            found[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(found.values())
