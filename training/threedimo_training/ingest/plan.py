"""`ingest.json`: the options of a folder and the surveys of its recordings, so that a second call goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from threedimo.errors import InvalidRequest, InvalidShard
from threedimo_training.shards.durable import write_file

PLAN_FILE = "ingest.json"
_MAX_BYTES = 256 * 1024**2


class SurveyedRecording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a look through a recording's videos found.

    Attributes:
        files: Names of its videos.
        bytes: Their sizes.
        num_frames: Frames of the shortest, at the folder's frame rate.
        cuts: Frames with which a new shot begins in any of them.
    """

    files: tuple[str, ...]
    bytes: tuple[int, ...]
    num_frames: int
    cuts: tuple[int, ...]


class IngestPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options that all samples of a folder share, and its recordings by name."""

    format: Literal["threedimo-ingest"]
    version: Literal[1]
    size: int
    num_frames: int
    fps: float
    recordings: dict[str, SurveyedRecording]


def adopt_plan(folder: Path, *, size: int, num_frames: int, fps: float) -> IngestPlan:
    """The folder's plan, or a new one.

    Raises:
        InvalidShard: The file is damaged.
        InvalidRequest: The folder was begun with other options.
    """
    file = folder / PLAN_FILE
    fresh = IngestPlan("threedimo-ingest", 1, size, num_frames, fps, {})
    if not file.exists():
        return fresh
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidShard("the plan is too large", given=file, allowed=f"{_MAX_BYTES} bytes")
        plan = msgspec.json.decode(file.read_bytes(), type=IngestPlan)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidShard(f"the plan cannot be read: {error}", given=file) from error
    if (plan.size, plan.num_frames, plan.fps) != (size, num_frames, fps):
        raise InvalidRequest(
            "the folder was begun with other options",
            given=f"{size} px, {num_frames} frames at {fps:g} a second",
            allowed=f"{plan.size} px, {plan.num_frames} frames at {plan.fps:g} a second",
            remedy="repeat those, or choose another folder",
        )
    return plan


def write_plan(folder: Path, plan: IngestPlan) -> None:
    """Write the plan, whole or not at all.

    Raises:
        UnwritableFolder, NoSpace: It cannot be written.
    """
    write_file(folder / PLAN_FILE, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
