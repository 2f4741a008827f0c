"""The folder that a shot is written to: refused when it holds anything else, and complete or unchanged."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import UnwritableFolder
from threedimo.media.writing import storage_errors

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Layout:
    """How the folder of an earlier result is known.

    Attributes:
        facts: The file that every such folder holds.
        contents: All that may be in it.
    """

    facts: str
    contents: frozenset[str]


SHOT = Layout(
    RESULT_FILE, frozenset({"frames", "video.mp4", "comparison.mp4", RESULT_FILE, "contact_sheet.png"})
)


def check_output(output: Path, *, overwrite: bool, layout: Layout = SHOT) -> None:
    """Refuse a folder whose content would be lost, before any work is done.

    An empty folder may be used; with `overwrite`, also one that holds an earlier result of this layout and
    nothing else.

    Raises:
        UnwritableFolder: It is a file, or holds something that may not be replaced.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise UnwritableFolder("the output is a file", given=output, allowed="a new or empty folder")
    found = {entry.name for entry in output.iterdir()}
    if not found:
        return
    if layout.facts not in found or not found <= layout.contents:
        strangers = ", ".join(sorted(found - layout.contents)[:3]) or ", ".join(sorted(found)[:3])
        raise UnwritableFolder(
            "the output folder holds other files, which would be lost",
            given=f"{output}: {strangers}",
            allowed="a new or empty folder, or an earlier result with --overwrite",
            remedy="choose another folder",
        )
    if not overwrite:
        raise UnwritableFolder(
            "the output folder holds an earlier result",
            given=output,
            remedy="choose another folder, or add --overwrite to replace it",
        )


@contextmanager
def written_folder(output: Path) -> Iterator[Path]:
    """Give a new folder to write into; it becomes `output` in one step, or vanishes if the block fails.

    The folder given does not exist yet, but its parent does and is on the same disk as `output`.

    Raises:
        UnwritableFolder: The parent of `output` cannot be made or written.
        NoSpace: The disk is full.
    """
    output = output.absolute()
    with storage_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        made = workshop / "new"
        yield made
        with storage_errors(output):
            _replace(output, made, aside=workshop / "old")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def publish_folder(made: Path, output: Path) -> None:
    """Give a finished folder on the same disk its name in one step; an earlier result there is deleted.

    Raises:
        StorageError: The system refused; both folders are as they were.
    """
    with storage_errors(output):
        aside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
        try:
            _replace(output, made, aside=aside / "old")
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _replace(output: Path, made: Path, *, aside: Path) -> None:
    if not output.exists():
        made.rename(output)
        return
    # Aside, not deleted: at every moment either the old or the new result lies whole on the disk.
    output.rename(aside)
    try:
        made.rename(output)
    except OSError:
        aside.rename(output)
        raise
