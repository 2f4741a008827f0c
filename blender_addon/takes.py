# SPDX-License-Identifier: GPL-3.0-or-later
"""A take on disk: its sheet, which says how it is made, and the files that belong to it. No bpy here.

The sheet (`take.json`) is written when a shot is queued and never changes in what was asked for. From it a
take can be sent after a restart, made once more with another seed, and understood years later.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from threedimo.camera import CameraPath
from threedimo.errors import InvalidRequest, UnreadableMedia, UnwritableFolder

from .jobs import PLANE_FOLDER, RESULT_FOLDER
from .orders import Order
from .result_presets import ResultSettings
from .timeline import FrameMapping

if TYPE_CHECKING:
    from threedimo.wire.messages import GenerateRequest

SHEET_FILE = "take.json"
CAMERA_FILE = "camera.json"
# Beside the takes: what was filmed for them, and references that are no files; several can share it.
FOOTAGE_FOLDER = "footage"
# Footage of 10,000 pictures in deep folders stays below this.
MAX_SHEET_BYTES = 16 * 1024 * 1024
_MAX_RESULT_BYTES = 1024 * 1024

# As `sequence.publish_pictures` names them.
_FOOTAGE_NAME = re.compile("[0-9a-f]{32}")

# What is told apart by more than its value, or says nothing of the frames.
_OF_ONE_TAKE = frozenset({"job_id", "queued_at", "reference_image", "driving_files"})

_Kind = TypeVar("_Kind")
_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that went in.

    Attributes:
        path: Where it was.
        hash: BLAKE2b-256 of its content in hexadecimal, as the wire names assets; "" until it was read.
    """

    path: str
    hash: str = ""


class TakeSheet(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="version", tag=2
):
    """How a take is made.

    Attributes:
        job_id: The job's UUID, also the name of its folder.
        queued_at: When it was queued: ISO 8601, UTC.
        camera_hash: SHA-256 of the camera path, by which equal camera work is recognised.
        model_id: Which of the server's models was asked for; "" before servers had several.
        result: How the frames are made; None, the model's own way, before there was a choice.
    """

    job_id: str
    queued_at: str
    frame_start: int
    num_scene_frames: _Count
    scene_fps: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    num_frames: _Count
    reference_image: InputFile
    driving_files: Annotated[list[InputFile], msgspec.Meta(min_length=1, max_length=10_000)]
    driving_fps: float | None
    driving_start_s: float
    text: str
    # Blender's integers end here.
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    camera_hash: str
    model_id: Annotated[str, msgspec.Meta(max_length=200)] = ""
    result: ResultSettings | None = None


class _FirstInputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `InputFile`: only the name of the field was wrong."""

    path: str
    sha256: str = ""

    def renamed(self) -> InputFile:
        return InputFile(self.path, self.sha256)


class _FirstSheet(TakeSheet, frozen=True, kw_only=True, tag=1):
    """A sheet of version 1."""

    reference_image: _FirstInputFile
    driving_files: Annotated[list[_FirstInputFile], msgspec.Meta(min_length=1, max_length=10_000)]

    def renamed(self) -> TakeSheet:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        fields["reference_image"] = self.reference_image.renamed()
        fields["driving_files"] = [file.renamed() for file in self.driving_files]
        return TakeSheet(**fields)


class _ResultModel(msgspec.Struct):
    """The part of the server's `result.json` that is asked for here."""

    model_id: str


def check_job_id(job_id: str) -> None:
    """Refuse what is no UUID in its usual form: the id becomes the name of a folder.

    Raises:
        InvalidRequest: It is something else.
    """
    try:
        usual = str(uuid.UUID(job_id)) == job_id
    except ValueError:
        usual = False
    if not usual:
        raise InvalidRequest(
            "a job id is a UUID", given=job_id, allowed="such as 0f0e0d0c-1111-4222-8333-444455556666"
        )


def camera_hash(path: CameraPath) -> str:
    """SHA-256 of all that a camera path says."""
    frame = f"{path.fps!r} {path.width} {path.height}".encode()
    return hashlib.sha256(frame + path.to_bytes()).hexdigest()


def write_take(
    folder: Path, job_id: str, order: Order, mapping: FrameMapping, known_hashes: dict[str, str]
) -> TakeSheet:
    """Make the folder of a new take, with its sheet and its camera.

    Args:
        folder: Must not be there yet: a take never takes another's place.
        job_id: As `check_job_id` wants it.
        order: What is asked for.
        mapping: Which scene frames the shot has.
        known_hashes: BLAKE2b-256 by path for the files that must be what they were for an earlier take.

    Raises:
        UnwritableFolder: The folder exists or cannot be made.
    """
    sheet = TakeSheet(
        job_id=job_id,
        queued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        frame_start=mapping.frame_start,
        num_scene_frames=mapping.num_scene_frames,
        scene_fps=mapping.scene_fps,
        num_frames=mapping.num_frames,
        reference_image=_input_file(order.reference_image, known_hashes),
        driving_files=[_input_file(path, known_hashes) for path in order.driving_files],
        driving_fps=order.driving_fps,
        driving_start_s=order.driving_start_s,
        text=order.text,
        seed=order.seed,
        camera_hash=camera_hash(order.camera_path),
        model_id=order.model_id,
        result=order.result,
    )
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UnwritableFolder(
            f"the job's folder cannot be made: {error.strerror}",
            given=folder,
            remedy="choose another output folder in the add-on's preferences",
        ) from error
    order.camera_path.to_json(folder / CAMERA_FILE)
    _write_sheet(folder, sheet)
    return sheet


def read_sheet(folder: Path) -> TakeSheet:
    """Read a take's sheet, also one of version 1.

    Raises:
        UnreadableMedia: It is missing, too large or damaged.
    """
    sheet = _read_json(folder / SHEET_FILE, MAX_SHEET_BYTES, TakeSheet | _FirstSheet)
    return sheet.renamed() if isinstance(sheet, _FirstSheet) else sheet


def read_order(folder: Path) -> tuple[TakeSheet, Order]:
    """What was asked for, as it stood when the take was queued.

    Raises:
        UnreadableMedia: The sheet is missing or damaged.
        InvalidCameraPath: The camera is missing or damaged.
    """
    sheet = read_sheet(folder)
    order = Order(
        reference_image=_moved(Path(sheet.reference_image.path), folder.parent),
        driving_files=tuple(_moved(Path(file.path), folder.parent) for file in sheet.driving_files),
        driving_fps=sheet.driving_fps,
        driving_start_s=sheet.driving_start_s,
        text=sheet.text,
        camera_path=CameraPath.from_json(folder / CAMERA_FILE),
        seed=sheet.seed,
        model_id=sheet.model_id,
        result=sheet.result,
    )
    return sheet, order


def is_same(sheet: TakeSheet, earlier: TakeSheet) -> bool:
    """Whether a take is asked for exactly as an earlier one was, and so becomes the same frames.

    A file that was written since the earlier one was queued counts as another.
    """
    asked = [name for name in TakeSheet.__struct_fields__ if name not in _OF_ONE_TAKE]
    if any(getattr(sheet, name) != getattr(earlier, name) for name in asked):
        return False
    now, before = ([each.reference_image, *each.driving_files] for each in (sheet, earlier))
    if [file.path for file in now] != [file.path for file in before]:
        return False
    # Its last second counts in full: the sheet's time has no fractions.
    queued_s = datetime.fromisoformat(earlier.queued_at).timestamp() + 1.0
    return all(_is_unchanged(*pair, queued_s) for pair in zip(now, before, strict=True))


def _is_unchanged(now: InputFile, before: InputFile, since_s: float) -> bool:
    if now.hash and before.hash:
        return now.hash == before.hash
    try:
        return Path(now.path).stat().st_mtime < since_s
    except OSError:
        return False


def seal(folder: Path, request: GenerateRequest) -> None:
    """Compare the files that were read with those the take was queued with; note the hashes of new ones.

    Raises:
        InvalidRequest: A file is not what it was.
        UnreadableMedia, UnwritableFolder: The sheet cannot be read or written.
    """
    sheet = read_sheet(folder)
    queued = [sheet.reference_image, *sheet.driving_files]
    read = [request.reference_image, *request.driving_footage.files]
    for before, now in zip(queued, read, strict=True):
        if before.hash not in ("", now.hash):
            raise InvalidRequest(
                "a file was changed since this take was queued",
                given=before.path,
                remedy="put the file back, or generate the shot anew",
            )
    sealed = [InputFile(before.path, now.hash) for before, now in zip(queued, read, strict=True)]
    if sealed != queued:
        _write_sheet(
            folder, msgspec.structs.replace(sheet, reference_image=sealed[0], driving_files=sealed[1:])
        )


def read_model_id(folder: Path) -> str:
    """Which model made the take, as the server's own `result.json` says.

    Raises:
        UnreadableMedia: The file is missing or damaged.
    """
    return _read_json(folder / RESULT_FOLDER / "result.json", _MAX_RESULT_BYTES, _ResultModel).model_id


def is_complete(plane_folder: Path, num_scene_frames: int) -> bool:
    """Whether there is a frame for every scene frame: a missing one would render magenta."""
    try:
        names = {path.name for path in plane_folder.iterdir()}
    except OSError:
        return False
    return all(f"{j:05d}.png" in names for j in range(num_scene_frames))


def delete_files(folder: Path, job_id: str) -> None:
    """Delete what belongs to a take, and nothing else that may lie in its folder.

    What was filmed or written for it goes with the last take that was made of it.

    A .blend from elsewhere can name any folder: only one that carries the job's id and its sheet is touched.

    Raises:
        UnreadableMedia: The folder holds no sheet.
        InvalidRequest: The folder is not this job's.
        UnwritableFolder: Something cannot be deleted.
    """
    sheet = read_sheet(folder) if folder.name == job_id else None
    if sheet is None or sheet.job_id != job_id:
        raise InvalidRequest("this is not the folder of the take", given=folder, allowed=job_id)
    try:
        for name in (RESULT_FOLDER, f"{RESULT_FOLDER}.part", PLANE_FOLDER):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        for name in (CAMERA_FILE, SHEET_FILE):
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
        for used in ([sheet.reference_image], sheet.driving_files):
            _delete_unused_footage([Path(file.path) for file in used], folder.parent)
    except OSError as error:
        raise UnwritableFolder(
            f"the take's files cannot be deleted: {error.strerror}",
            given=error.filename,
            remedy=f"delete {folder} by hand",
        ) from error


def _delete_unused_footage(files: list[Path], takes_folder: Path) -> None:
    """Delete what was made for a take that is gone, unless another take beside it was made of it too."""
    footage = files[0].parent
    if footage.parent != takes_folder / FOOTAGE_FOLDER or not _FOOTAGE_NAME.fullmatch(footage.name):
        return
    for sheet in takes_folder.glob(f"*/{SHEET_FILE}"):
        # The name is a hash: where it stands in a sheet, even a damaged one, this footage is meant.
        if footage.name.encode() in sheet.read_bytes():
            return
    for file in files:
        (footage / file.name).unlink(missing_ok=True)
    if footage.is_dir() and not any(footage.iterdir()):
        footage.rmdir()


def _moved(file: Path, takes_folder: Path) -> Path:
    """Where a file is: where it was, or, if it was filmed, beside the takes that were moved with it."""
    inside = Path(FOOTAGE_FOLDER) / file.parent.name / file.name
    if not file.is_file() and Path(*file.parts[-3:]) == inside and (takes_folder / inside).is_file():
        return takes_folder / inside
    return file


def _input_file(path: Path, known_hashes: dict[str, str]) -> InputFile:
    return InputFile(str(path), known_hashes.get(str(path), ""))


def _write_sheet(folder: Path, sheet: TakeSheet) -> None:
    file = folder / SHEET_FILE
    part = folder / f".{SHEET_FILE}.part"
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(sheet), indent=1))
        part.replace(file)
    except OSError as error:
        raise UnwritableFolder(
            f"the take's sheet cannot be written: {error.strerror}", given=file, remedy="free some space"
        ) from error


def _read_json(file: Path, max_bytes: int, kind: type[_Kind]) -> _Kind:
    try:
        if file.stat().st_size > max_bytes:
            raise UnreadableMedia("the file is too large", given=file, allowed=f"{max_bytes} bytes")
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise UnreadableMedia(
            f"a file of the take cannot be read: {error.strerror}",
            given=file,
            remedy="put the take's files back, or generate the shot anew",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMedia(
            f"a file of the take is damaged: {error}", given=file, remedy="generate the shot anew"
        ) from error
