"""The camera of a clip in words: by rule from its path, by its owner, by a model, or by the check.

Nothing is guessed. A clip whose camera moves is left out where nothing says how it moves.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from threedimo.camera import CameraPath, describe
from threedimo.camera.describe import STATIC
from threedimo.errors import DataError, InvalidRequest
from threedimo.media import write_png
from threedimo_training.ingest.camera_check import CameraVerdict
from threedimo_training.ingest.tracking import ClipLeftOut

_STILL_ENDING = f"camera {STATIC}."
STATIC_TEXT = f"The {_STILL_ENDING}"
MAX_TEXT = 1000
_CAPTIONER_S = 300
_SHEET_FRAMES, _SHEET_COLUMNS = 8, 4


def camera_moves(text: str, path: CameraPath | None, verdict: CameraVerdict) -> bool:
    """Whether a clip counts as filmed by a moving camera, which a trembling hand alone is not.

    Where the text does not say that the camera remains static, a known path moves; else the check decides,
    and what it cannot tell counts as moving.
    """
    if text.endswith(_STILL_ENDING):
        return False
    return path is not None or verdict.state != "static"


def text_for(
    frames: np.ndarray,
    *,
    path: CameraPath | None,
    caption: str | None,
    captioner: str | None,
    verdict: CameraVerdict,
) -> str:
    """The text of one clip.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        path: Its camera, if known: described by `threedimo.camera.describe`.
        caption: What the video's caption file says, if it has one.
        captioner: A command that prints one line for the picture whose path is its last argument.
        verdict: What the check of the background says.

    Raises:
        ClipLeftOut: Nothing says what the camera does.
        DataError: The captioner fails.
        InvalidRequest: The captioner cannot be started.
    """
    if path is not None:
        return describe(path)
    if caption is not None:
        return caption
    if captioner is not None:
        return _captioned(frames, captioner)
    if verdict.state == "static":
        return STATIC_TEXT
    what = "moves" if verdict.state == "moving" else "cannot be told from the background"
    raise ClipLeftOut(
        f"the camera {what}, and neither cameras, a caption file nor a captioner say how it moves"
    )


def read_caption(video: Path) -> str | None:
    """The line in `VIDEO.txt` beside `VIDEO.mp4`, or None if there is no such file.

    Raises:
        DataError: It cannot be read, or does not hold one line.
    """
    file = video.with_suffix(".txt")
    if not file.exists():
        return None
    try:
        content = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the caption file cannot be read: {error}", given=file) from error
    return _one_line(content, str(file))


def _captioned(frames: np.ndarray, captioner: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        sheet = Path(scratch) / "contact-sheet.png"
        write_png(sheet, _contact_sheet(frames))
        try:
            done = subprocess.run(
                [*shlex.split(captioner), str(sheet)],
                capture_output=True,
                timeout=_CAPTIONER_S,
                check=False,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, ValueError, IndexError) as error:
            raise InvalidRequest(f"the captioner cannot be started: {error}", given=captioner) from error
        except subprocess.TimeoutExpired as error:
            raise DataError(
                "the captioner gave no answer", given=captioner, allowed=f"{_CAPTIONER_S} s"
            ) from error
    if done.returncode:
        raise DataError(
            f"the captioner failed with status {done.returncode}: {done.stderr.strip()[-300:]}",
            given=captioner,
        )
    return _one_line(done.stdout, f"the answer of {captioner}")


def _one_line(content: str, where: str) -> str:
    lines = content.strip().splitlines()
    if len(lines) != 1 or len(lines[0]) > MAX_TEXT:
        raise DataError(
            f"{where} is not one line of text",
            given=f"{len(lines)} lines, {len(content)} letters",
            allowed=f"one line of at most {MAX_TEXT} letters",
        )
    return lines[0].strip()


def _contact_sheet(frames: np.ndarray) -> np.ndarray:
    """Eight frames of a clip, evenly apart, in two rows: what a model needs to tell how the camera moves."""
    chosen = frames[np.linspace(0, len(frames) - 1, _SHEET_FRAMES).round().astype(int)]
    rows = [np.concatenate(list(row), axis=1) for row in np.split(chosen, _SHEET_FRAMES // _SHEET_COLUMNS)]
    return np.concatenate(rows, axis=0)
