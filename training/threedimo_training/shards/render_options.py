"""`render.json`: the options that a folder of shards is rendered with, so that no call mixes two kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from threedimo.errors import InvalidRequest, InvalidShard, UnwritableFolder
from threedimo_training.samples.sample import ROLES
from threedimo_training.shards.durable import write_file
from threedimo_training.shards.facts import MAX_FRAMES, MAX_SIDE_PX
from threedimo_training.shards.index import shard_files

RENDER_FILE = "render.json"
_MAX_BYTES = 1024**2
Positive = Annotated[int, msgspec.Meta(ge=1)]


class RenderOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every sample of a folder shares, as the function that draws them gets it.

    Attributes:
        size: Width and height of the target in pixels.
        num_frames: Frames of both clips.
        fps: Their frames per second.
        roles: Which roles to draw, in equal numbers; see `samples.sample.ROLES`.
        held_out: Draw people and motions that are kept for evaluation, instead of those of training.
    """

    size: int
    num_frames: int
    fps: float
    roles: tuple[str, ...]
    held_out: bool

    def __post_init__(self) -> None:
        _check_range("size", self.size, 16, MAX_SIDE_PX)
        _check_range("num_frames", self.num_frames, 1, MAX_FRAMES)
        _check_range("fps", self.fps, 1e-4, 1000)
        if not self.roles or set(self.roles) - set(ROLES) or len(set(self.roles)) != len(self.roles):
            raise InvalidRequest(
                "the roles to render are unknown, or not distinct",
                given=", ".join(self.roles) or "none",
                allowed=", ".join(ROLES),
            )


class RenderPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole folder: how many samples, in shards of how many, from which seed, drawn by what, and how.

    Shard k holds the samples from `k * shard_clips` on; the last one may hold fewer.
    """

    format: Literal["threedimo-render"]
    version: Literal[1]
    clips: int
    shard_clips: int
    seed: int
    drawn_by: str
    options: RenderOptions

    def __post_init__(self) -> None:
        _check_range("clips", self.clips, 1, 10**9)
        _check_range("shard_clips", self.shard_clips, 1, 10**6)
        _check_range("seed", self.seed, 0, 2**63 - 1)

    def shard_counts(self) -> list[int]:
        """How many samples each shard holds."""
        full, rest = divmod(self.clips, self.shard_clips)
        return [self.shard_clips] * full + [rest] * (rest > 0)


def _check_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise InvalidRequest(f"{name} is out of range", given=value, allowed=f"{lowest:g} to {highest:g}")


def read_plan(folder: Path) -> RenderPlan | None:
    """The plan of a rendered folder, None where no renderer has written one.

    Raises:
        InvalidShard: The file is damaged.
    """
    file = folder / RENDER_FILE
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES)
        return msgspec.json.decode(content, type=RenderPlan)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, InvalidRequest) as error:
        raise InvalidShard(f"the options of the rendering cannot be read: {error}", given=file) from error


def adopt_plan(folder: Path, plan: RenderPlan) -> None:
    """Write the plan into a folder, unless the folder was begun with another one.

    More clips than before are welcome; anything else must be as it was.

    Raises:
        InvalidRequest: The folder was begun with other options; each is named.
        UnwritableFolder: It holds shards that no renderer made, or cannot be written.
        NoSpace: The disk is full.
    """
    begun = read_plan(folder)
    if begun is None and shard_files(folder):
        raise UnwritableFolder(
            "the folder holds shards that were not rendered into it",
            given=folder,
            allowed="a new folder, or one that the same command began",
        )
    if begun is not None:
        grown = msgspec.structs.replace(begun, clips=max(begun.clips, plan.clips))
        changed = [
            f"{name} {old} is now {new}"
            for (name, old), new in zip(_flat(grown).items(), _flat(plan).values(), strict=True)
            if old != new
        ]
        if changed:
            raise InvalidRequest(
                "the output folder was begun with other options",
                given="; ".join(changed),
                allowed="the same options; only the number of clips may grow",
                remedy=f"repeat them, or choose another folder than {folder}",
            )
    if begun != plan:
        write_file(folder / RENDER_FILE, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")


def _flat(plan: RenderPlan) -> dict[str, object]:
    values = msgspec.to_builtins(plan)
    return {**values.pop("options"), **values}
