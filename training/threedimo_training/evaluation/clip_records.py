"""Results of single clips on disk, so that a stopped evaluation goes on where it was.

Each clip has one JSON file, written last, and small animations of everything that a report may show.
"""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from threedimo.errors import InvalidShard
from threedimo_training.evaluation.held_out_clips import HeldOutClip
from threedimo_training.evaluation.measure import Values
from threedimo_training.evaluation.runs import Answers
from threedimo_training.shards.durable import write_file

_WEBP_QUALITY = 88


class ClipRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of one clip.

    Attributes:
        split: One of `held_out_clips.SPLITS`.
        index: Its number in the split.
        text: Of the camera that was asked for.
        other_text: The wrong text.
        motion_id: What is performed.
        driver: Who performs it in the driving frames.
        person: Who shall perform it.
        arc_deg: How far the camera truly gets around the person.
        seconds: The model's time for the right inputs.
        stranger_agreement: Identity agreement of the true frames with another clip's person.
        metrics: By the names of `runs.RUNS`, then of `measure.METRICS`.
    """

    split: str
    index: int
    text: str
    other_text: str
    motion_id: str
    driver: str
    person: str
    arc_deg: float
    seconds: float
    stranger_agreement: float | None
    metrics: dict[str, Values]


def record_file(folder: Path, split: str, index: int) -> Path:
    """Where the figures of a clip are kept."""
    return folder / f"{split}-{index:05d}.json"


def picture_file(folder: Path, split: str, index: int, name: str) -> Path:
    """Where an animation of a clip is kept: a name of `runs.RUNS`, "driving" or "other_driving"."""
    return folder / f"{split}-{index:05d}-{name}.webp"


def write_record(folder: Path, record: ClipRecord, clip: HeldOutClip, answers: Answers) -> None:
    """Keep a clip's pictures, then its figures.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder may not be written.
    """
    shown = {
        "driving": clip.sample.driving.frames,
        "other_driving": clip.other.driving.frames,
        **answers.frames,
    }
    for name, frames in shown.items():
        content = animation(frames, clip.sample.fps)
        write_file(picture_file(folder, clip.split, clip.index, name), content)
    write_file(record_file(folder, clip.split, clip.index), msgspec.json.encode(record))


def read_record(folder: Path, split: str, index: int) -> ClipRecord | None:
    """Read a clip's figures, None where it was not done yet.

    Raises:
        InvalidShard: The file is damaged.
    """
    file = record_file(folder, split, index)
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=ClipRecord)
    except msgspec.MsgspecError as error:
        raise InvalidShard(
            f"the figures of a clip are damaged: {error}",
            given=file,
            remedy="delete the file; the clip is made again",
        ) from error


def animation(frames: np.ndarray, fps: float) -> bytes:
    """Frames (F, H, W, 3) uint8 as a WebP that plays for ever."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    stream = io.BytesIO()
    first.save(
        stream,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=round(1000 / fps),
        loop=0,
        quality=_WEBP_QUALITY,
    )
    return stream.getvalue()
