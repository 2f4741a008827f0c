"""Many shards from one command, which may be killed and repeated at any time.

Each shard follows from the seed and its number alone. What has its name is finished and is kept; the rest is
made again from the start, so that an interrupted and an uninterrupted run leave the same bytes.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from threedimo.errors import InvalidRequest, InvalidShard, NoSpace
from threedimo.media.writing import storage_errors
from threedimo_training.shards.card import check_card, write_card
from threedimo_training.shards.durable import PART_PATTERN
from threedimo_training.shards.index import (
    INDEX_FILE,
    ShardEntry,
    check_listed,
    read_entry,
    read_index,
    shard_files,
    shard_name,
    write_index,
)
from threedimo_training.shards.local_workers import run_in_processes
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.ray_workers import run_with_ray
from threedimo_training.shards.render_options import RenderOptions, RenderPlan, adopt_plan
from threedimo_training.shards.shard_task import Draw, ShardTask
from threedimo_training.shards.writer import SHARD_SAMPLES

_LOG = logging.getLogger(__name__)
_SPACE_MARGIN = 1.05


def render_shards(
    *,
    clips: int,
    size: int,
    num_frames: int,
    fps: float,
    seed: int,
    output: Path,
    workers: int,
    roles: Sequence[str],
    held_out: bool,
    draw: Draw,
    report: RenderProgress,
    use_ray: bool = False,
    shard_clips: int = SHARD_SAMPLES,
) -> list[ShardEntry]:
    """Render samples into a folder of shards, going on where an earlier call stopped.

    Args:
        clips: Samples in all. May be more than in an earlier call.
        size: Width and height of the targets in pixels.
        num_frames: Frames of every clip.
        fps: Their frames per second.
        seed: Decides everything, with the shard's number.
        output: The folder; new, or begun by the same options.
        workers: Processes that each make one shard at a time; over all machines with Ray.
        roles: Which roles to draw.
        held_out: Draw what is kept for evaluation instead of what is trained on.
        draw: Draws one sample; see `shard_task.Draw`.
        report: Shows how far it is.
        use_ray: Use Ray's machines, which must all see `output` under this path.
        shard_clips: Samples of a shard. A kill costs each worker one shard that was begun.

    Returns:
        The entries of all shards of the folder.

    Raises:
        InvalidRequest: An option is out of range, or not what the folder was begun with.
        NoSpace: The disk is full, or the first shard shows that it will be.
        UnwritableFolder: The folder cannot be made or written, or holds other shards.
        InvalidShard: A finished shard has been changed, or `draw` gave a sample that contradicts itself.
        KeyboardInterrupt: On Ctrl-C; finished shards stay.
    """
    if workers < 1:
        raise InvalidRequest("the number of workers is out of range", given=workers, allowed="1 or more")
    options = RenderOptions(size, num_frames, fps, tuple(roles), held_out)
    plan = RenderPlan("threedimo-render", 1, clips, shard_clips, seed, _name_of(draw), options)
    output = output.absolute()
    with storage_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    check_card(output)
    adopt_plan(output, plan)
    entries = {entry.name: entry for entry in _finished(output, plan)}
    tasks = [
        ShardTask(output, seed, index, count, options, draw)
        for index, count in enumerate(plan.shard_counts())
        if shard_name(index) not in entries
    ]
    there = sum(entry.samples for entry in entries.values())
    report.begin(there, clips)
    run = run_with_ray if use_ray else run_in_processes
    if tasks:
        try:
            with closing(run(tasks, min(workers, len(tasks)), lambda n: report.clips(there + n))) as finished:
                for entry in finished:
                    entries[entry.name] = entry
                    write_index(output, entries.values())
                    _check_space(output, entries, clips)
        finally:
            _index_the_rest(output, entries)
    write_card(output)
    report.clips(clips)
    return read_index(output)


def _finished(output: Path, plan: RenderPlan) -> list[ShardEntry]:
    """The shards to keep, all of them in the index afterwards; what was left half-written is removed."""
    with storage_errors(output):
        for part in output.glob(PART_PATTERN):
            part.unlink()
    counts = {shard_name(index): count for index, count in enumerate(plan.shard_counts())}
    listed = {e.name: e for e in read_index(output)} if (output / INDEX_FILE).exists() else {}
    entries = []
    for file in shard_files(output):
        # a shard without an entry was finished in the moment before a kill
        entry = listed.get(file.name) or read_entry(file)
        count = counts.get(file.name, 0)
        if entry.samples > count or not count:
            raise InvalidShard(
                f"{file} holds more samples than the options ask for",
                given=entry.samples,
                allowed=str(count),
                remedy="choose another folder",
            )
        if entry.samples == count:
            entries.append(entry)
        else:
            _LOG.info("%s is made again with %d samples", file.name, count)
            with storage_errors(file):
                file.unlink()
    check_listed(output, entries)
    write_index(output, entries)
    return entries


def _index_the_rest(output: Path, entries: dict[str, ShardEntry]) -> None:
    """List all that is finished, also what an error or Ctrl-C kept from the list: the folder can be read."""
    late = [file for file in shard_files(output) if file.name not in entries]
    write_index(output, [*entries.values(), *map(read_entry, late)])


def _check_space(output: Path, entries: dict[str, ShardEntry], clips: int) -> None:
    """Stop early where the disk cannot hold what is still to come."""
    stored = sum(entry.bytes for entry in entries.values())
    done = sum(entry.samples for entry in entries.values())
    needed = _SPACE_MARGIN * stored / done * (clips - done)
    free = shutil.disk_usage(output).free
    if needed > free:
        raise NoSpace(
            f"the disk will be full before all clips are there: {done} of {clips} are",
            given=f"{free / 1e9:.2f} GB free",
            allowed=f"{needed / 1e9:.2f} GB",
            remedy="free some space, then repeat the command: it goes on from here",
        )


def _name_of(draw: Callable[..., object]) -> str:
    """What draws, in words that stay the same from run to run."""
    if isinstance(draw, functools.partial):
        bound = [repr(value) for value in draw.args]
        bound += [f"{name}={value!r}" for name, value in sorted(draw.keywords.items())]
        return f"{_name_of(draw.func)}({', '.join(bound)})"
    if not hasattr(draw, "__qualname__"):
        # the settings that an object carries would escape the comparison with an earlier call
        raise TypeError(f"samples are drawn by a function or a functools.partial of one, not by {draw!r}")
    return f"{draw.__module__}.{draw.__qualname__}"
