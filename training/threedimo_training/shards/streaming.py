"""A folder of shards as a stream, for training on many nodes.

`webdataset` deals the shards to nodes (where `torch.distributed` runs) and to the workers of a data loader,
so that every sample is seen once. The bytes are read by `reader`, with all its checks. Random access
(`reader.ShardFolder`) is for everything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from webdataset.filters import detshuffle
from webdataset.pipeline import DataPipeline
from webdataset.shardlists import SimpleShardList, split_by_node, split_by_worker

from threedimo.errors import InvalidShard
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.files import FIELDS, members_for
from threedimo_training.shards.index import check_listed, read_index
from threedimo_training.shards.reader import open_shard


def stream_shards(folder: Path, *, seed: int | None, fields: Collection[str] = FIELDS) -> DataPipeline:
    """An iterable data set of `Sample` for `torch.utils.data.DataLoader`.

    Args:
        folder: Holds shards and their index.
        seed: Decides the order of the shards, alike on all nodes: give another one for each epoch. None keeps
            them in order. The samples of a shard stay in order: append `webdataset.shuffle(n)` to mix them.
        fields: Which of `FIELDS` to decode (see `files.sample_of`).

    Raises:
        InvalidShard: The index is missing or damaged, lists nothing, or does not fit the shards; and, while
            reading, a shard is damaged.
    """
    members_for(fields)
    entries = read_index(folder)
    check_listed(folder, entries)
    if not entries:
        raise InvalidShard("there are no shards to read", given=folder)
    files = [str(folder / entry.name) for entry in entries]
    return DataPipeline(
        SimpleShardList(files),
        None if seed is None else detshuffle(len(files), len(files), seed),
        split_by_node,
        split_by_worker,
        _Read(tuple(fields)),
    )


class _Read:
    """Shards to samples; a class, so that workers can be spawned."""

    def __init__(self, fields: tuple[str, ...]):
        self._fields = fields

    def __call__(self, shards: Iterable[dict[str, str]]) -> Iterator[Sample]:
        for shard in shards:
            yield from open_shard(Path(shard["url"]), fields=self._fields)
