"""Camera paths as files and as bytes.

The file is JSON (UTF-8), version 1, an object with exactly these keys:

    format             "threedimo-camera-path"
    version            1
    fps                frames a second
    width, height      pixels that the intrinsics refer to
    world_from_camera  a 4 x 4 matrix for each frame, row by row: metres, z up, OpenCV camera
    intrinsics         a 3 x 3 matrix for each frame, row by row: pixels
    subject_position   three numbers, or null
    subject_forward    three numbers, or null

The bytes are the body of `submit` in `threedimo.wire`: little-endian float64, for each frame 16 numbers of
`world_from_camera` and 9 of `intrinsics`, row by row; then, with a subject, 3 of its position and 3 of its
forward direction. A forward direction of three zeros means that it is unknown.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from threedimo.camera.rotations import Floats
from threedimo.errors import InvalidCameraPath, UnwritableFolder

FORMAT = "threedimo-camera-path"
VERSION = 1
# The longest path that is allowed, with every digit of every number, stays below this.
MAX_FILE_BYTES = 96 * 1024 * 1024
NUMBERS_PER_FRAME = 16 + 9
NUMBERS_PER_SUBJECT = 3 + 3


class Document(TypedDict):
    """What a file says, apart from format and version; the fields of `CameraPath`."""

    fps: float
    width: int
    height: int
    world_from_camera: Any
    intrinsics: Any
    subject_position: Any
    subject_forward: Any


KEYS = ("format", "version", *Document.__annotations__)


def error_in_file(file: Path, error: InvalidCameraPath) -> InvalidCameraPath:
    """The same error, naming the file that it was found in."""
    return InvalidCameraPath(
        f"{file}: {error.problem}", given=error.given, allowed=error.allowed, remedy=error.remedy
    )


def write_document(file: Path, document: Document) -> None:
    """Write a file whole or not at all."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **document}, allow_nan=False)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableFolder(
            f"{file} cannot be written: {error.strerror}",
            remedy="choose a folder that exists and is yours to write",
        ) from error


def read_document(file: Path) -> Document:
    """Read a file and check everything about it but its numbers."""
    content = _read_object(file)
    if content.get("format") != FORMAT:
        raise InvalidCameraPath(
            f"{file} is not a camera path",
            given=f"format {content.get('format')!r}",
            allowed=f"format {FORMAT!r}",
        )
    if content.get("version") != VERSION:
        raise InvalidCameraPath(
            f"{file} is of another version",
            given=content.get("version"),
            allowed=str(VERSION),
            remedy="write it again with this version, or update",
        )
    unknown, missing = sorted(content.keys() - set(KEYS)), [key for key in KEYS if key not in content]
    if unknown or missing:
        raise InvalidCameraPath(
            f"{file} has the wrong keys",
            given=f"unknown {unknown}, missing {missing}",
            allowed="exactly " + ", ".join(KEYS),
        )
    return cast("Document", {key: content[key] for key in Document.__annotations__})


def _read_object(file: Path) -> dict[str, Any]:
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidCameraPath(
                f"{file} is too large", given=f"{size} bytes", allowed=f"{MAX_FILE_BYTES} bytes"
            )
        content: object = json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidCameraPath(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidCameraPath(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidCameraPath(
            f"{file} is not a camera path", given=type(content).__name__, allowed="an object"
        )
    return cast("dict[str, Any]", content)


def pack(poses: Floats, intrinsics: Floats, position: Floats | None, forward: Floats | None) -> bytes:
    """Write the bytes of a path."""
    frames = np.concatenate([poses.reshape(-1, 16), intrinsics.reshape(-1, 9)], axis=1)
    parts = [frames.ravel()]
    if position is not None:
        parts += [position, np.zeros(3) if forward is None else forward]
    return np.concatenate(parts).astype("<f8").tobytes()


def unpack(
    body: bytes, num_frames: int, has_subject: bool
) -> tuple[Floats, Floats, Floats | None, Floats | None]:
    """Read the bytes of a path into poses, intrinsics, the subject's position and its forward direction."""
    expected = 8 * (num_frames * NUMBERS_PER_FRAME + has_subject * NUMBERS_PER_SUBJECT)
    if len(body) != expected:
        raise InvalidCameraPath(
            "the camera's bytes do not have the announced length",
            given=f"{len(body)} bytes",
            allowed=f"{expected} bytes for {num_frames} frames with{'' if has_subject else 'out'} a subject",
        )
    values = np.frombuffer(body, dtype="<f8").astype(np.float64)
    frames = values[: num_frames * NUMBERS_PER_FRAME].reshape(num_frames, NUMBERS_PER_FRAME)
    poses, intrinsics = frames[:, :16].reshape(-1, 4, 4), frames[:, 16:].reshape(-1, 3, 3)
    if not has_subject:
        return poses, intrinsics, None, None
    position, forward = values[-6:-3], values[-3:]
    return poses, intrinsics, position, forward if forward.any() else None
