"""Samples to shards; shards that have their name are complete, whatever interrupts the writing of others."""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterable
from pathlib import Path

from threedimo.errors import InvalidShard, UnwritableFolder
from threedimo.media.writing import storage_errors
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.durable import whole_file
from threedimo_training.shards.facts import SampleFacts, decode_facts
from threedimo_training.shards.files import FACTS, members_of
from threedimo_training.shards.index import (
    ShardEntry,
    check_listed,
    entry_for,
    read_index,
    shard_files,
    shard_name,
    write_index,
)
from threedimo_training.shards.render_options import RENDER_FILE
from threedimo_training.shards.tar import write_member

SHARD_SAMPLES = 64
"""Samples of a shard unless said otherwise: some minutes of rendering, a few hundred MB at full size."""


def write_shard(path: Path, samples: Iterable[Sample]) -> ShardEntry:
    """Write one shard, replacing any of this name. The same samples give the same bytes.

    Raises:
        InvalidShard: A sample contradicts itself, or two have the same id.
        NoSpace: The disk is full; nothing of the shard remains.
        UnwritableFolder: The folder is missing or may not be written.
    """
    facts: dict[str, SampleFacts] = {}
    with whole_file(path) as file:
        archive = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for sample in samples:
            if sample.sample_id in facts:
                raise InvalidShard(
                    "two samples of a shard have the same id", given=sample.sample_id, remedy="name each once"
                )
            members = members_of(sample)
            facts[sample.sample_id] = decode_facts(members[FACTS], sample.sample_id)
            with storage_errors(path):
                for kind, content in members.items():
                    write_member(archive, f"{sample.sample_id}.{kind}", content)
        with storage_errors(path):
            archive.close()
    return entry_for(path, facts.values())


def write_shards(
    samples: Iterable[Sample], output: Path, *, shard_samples: int = SHARD_SAMPLES
) -> list[ShardEntry]:
    """Write samples into a folder of shards and keep its index; shards that it holds already stay.

    Args:
        samples: Read one at a time.
        output: A new folder, or one that an earlier call wrote: numbering goes on after its last shard.
        shard_samples: Samples of a shard; the last one may hold fewer.

    Returns:
        The entries of the new shards.

    Raises:
        InvalidShard: A sample contradicts itself, or the folder's shards do not fit its index.
        NoSpace: The disk is full; finished shards stay valid.
        UnwritableFolder: The folder cannot be made or written, or is one that `render` fills.
    """
    if (output / RENDER_FILE).exists():
        raise UnwritableFolder(
            "the folder holds rendered shards, to which nothing can be added by hand",
            given=output,
            remedy="choose another folder; training takes several",
        )
    with storage_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    files = shard_files(output)
    entries = read_index(output) if files else []
    check_listed(output, entries)
    number = int(files[-1].stem.removeprefix("shard-")) + 1 if files else 0
    added: list[ShardEntry] = []
    remaining = iter(samples)
    for first in remaining:
        block = itertools.chain([first], itertools.islice(remaining, shard_samples - 1))
        added.append(write_shard(output / shard_name(number + len(added)), block))
        write_index(output, entries + added)
    return added
