"""The list of a batch, and the book that is kept of it beside the results, by one run at a time.

A list is JSON; paths in it are relative to its own folder:

    {"shots": [
        {"name": "010", "reference": "woman.png", "drive": "dance.mp4", "camera_path": "cam_010.json"},
        {"name": "020", "reference": "woman.png", "drive": ["a.png", "b.png"], "drive_fps": 12, "seed": 3}
    ]}

Every field but `name` is an option of `threedimo generate`, and means the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from filelock import FileLock, Timeout

from threedimo.errors import FolderInUse, InvalidRequest, UnwritableFolder
from threedimo.media.writing import storage_errors
from threedimo_server.shot_inputs import PreparedShot, ShotOptions

BOOK_FILE = "batch.json"
LOCK_FILE = ".batch.lock"
MAX_LIST_BYTES = 16 * 1024 * 1024

_Whole = Annotated[int, msgspec.Meta(ge=1)]
_Rate = Annotated[float, msgspec.Meta(gt=0)]


class ListedShot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shot of a list; see `ShotOptions`."""

    # the name of its folder, which no system reads as anything else
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
    reference: str
    drive: str | Annotated[list[str], msgspec.Meta(min_length=1)]
    drive_fps: _Rate | None = None
    drive_start: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    camera_path: str | None = None
    text: str | None = None
    frames: _Whole | None = None
    fps: _Rate | None = None
    follow_person: bool = False
    size: str | None = None
    steps: _Whole | None = None
    preset: str = ""
    step_cache: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0

    def options(self, folder: Path, output: Path, preset: str = "") -> ShotOptions:
        """What `generate` would be asked for.

        Args:
            folder: Of the list.
            output: Folder of the batch.
            preset: If the shot names none.
        """
        drive = [self.drive] if isinstance(self.drive, str) else self.drive
        return ShotOptions(
            reference=folder / self.reference,
            drive=tuple(folder / each for each in drive),
            drive_fps=self.drive_fps,
            drive_start_s=self.drive_start,
            camera_path=None if self.camera_path is None else folder / self.camera_path,
            text=self.text,
            num_frames=self.frames,
            fps=self.fps,
            follow_person=self.follow_person,
            size=self.size,
            num_inference_steps=self.steps,
            preset=self.preset or preset,
            step_cache=self.step_cache,
            seed=self.seed,
            output=output / self.name,
        )


class _ShotList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shots: Annotated[list[ListedShot], msgspec.Meta(min_length=1, max_length=10_000)]


def read_list(file: Path) -> list[ListedShot]:
    """Read the list of a batch.

    Raises:
        InvalidRequest: There is no such file, it is too large or no such list, or two shots have one name.
    """
    try:
        if file.stat().st_size > MAX_LIST_BYTES:
            raise InvalidRequest(
                "the list is too large", given=file, allowed=f"at most {MAX_LIST_BYTES} bytes"
            )
        shots = msgspec.json.decode(file.read_bytes(), type=_ShotList).shots
    except OSError as error:
        raise InvalidRequest(
            f"the list cannot be read: {error.strerror}",
            given=file,
            remedy="check its path; `threedimo batch --help` shows a list",
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"the list cannot be used: {error}", given=file, remedy="see `threedimo batch --help`"
        ) from error
    # as names of folders some systems read them
    names = [shot.name.lower() for shot in shots]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRequest(
            "two shots have one name", given=", ".join(twice[:3]), remedy="name each shot differently"
        )
    return shots


class ShotEntry(msgspec.Struct, forbid_unknown_fields=True):
    """What the book says of a shot.

    Attributes:
        asked: Digest of all that decides its pictures, see `digest`.
        job_id: Its job on a server that outlives the command, written before it is sent; "" where there is
            none, and after it failed, as the next attempt is another job.
        state: How far it is.
    """

    asked: str
    job_id: str
    state: Literal["sent", "done", "failed"] = "sent"


class Book(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of the shots of a batch, by name. It outlives whatever may stop the command."""

    shots: dict[str, ShotEntry] = msgspec.field(default_factory=dict)

    def write(self, output: Path) -> None:
        """Store it in the batch's folder, all of it or nothing.

        Raises:
            StorageError: The folder cannot be written.
        """
        file, part = output / BOOK_FILE, output / f".{BOOK_FILE}.part"
        with storage_errors(file):
            part.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
            part.replace(file)


@contextmanager
def held_book(output: Path) -> Iterator[Book]:
    """The book of a batch's folder, which is made if it is new and held until the block ends.

    The system frees the lock when this process ends in whatever way. Its file stays: deleting one that
    another process has just opened would let two runs hold two files of one name.

    Raises:
        FolderInUse: Another run holds it.
        UnwritableFolder: It holds something else, or its book is damaged.
        StorageError: It cannot be made.
    """
    _open_book(output)  # what is not a batch's folder gets no lock file either
    lock = FileLock(output / LOCK_FILE, timeout=0)
    with storage_errors(output / LOCK_FILE):
        try:
            lock.acquire()
        except Timeout:
            raise FolderInUse(
                "another run of `threedimo batch` makes the shots of this folder now",
                given=output,
                remedy="wait until it has ended; the same command then makes what is missing",
            ) from None
    try:
        # anew: the run that held it may have ended just now
        yield _open_book(output)
    finally:
        lock.release()


def _open_book(output: Path) -> Book:
    """The book of a batch's folder, which is made if it is new.

    Raises:
        UnwritableFolder: It holds something else, or its book is damaged.
        StorageError: It cannot be made.
    """
    with storage_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    file = output / BOOK_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Book)
    except FileNotFoundError:
        strangers = [entry.name for entry in output.iterdir() if not entry.name.startswith(".")]
        if strangers:
            raise UnwritableFolder(
                "the output folder holds something else",
                given=f"{output}: {', '.join(sorted(strangers)[:3])}",
                allowed=f"a new or empty folder, or a batch's with its {BOOK_FILE}",
                remedy="choose another folder",
            ) from None
        return Book()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnwritableFolder(
            f"the batch's {BOOK_FILE} cannot be read: {error}",
            given=file,
            remedy="choose another folder, or move this file away to make every shot anew",
        ) from error


def digest(prepared: PreparedShot) -> str:
    """Names all that decides a shot's pictures: files by content, numbers, camera, model."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in (
        prepared.model.id.encode(),
        msgspec.json.encode(prepared.request),
        prepared.camera_numbers or b"",
    ):
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.hexdigest()
