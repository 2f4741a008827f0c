"""One shard to render: all that its bytes depend on, and nothing else, so that any process can make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from threedimo_training.samples.sample import Sample
from threedimo_training.shards.index import ShardEntry, shard_name
from threedimo_training.shards.render_options import RenderOptions
from threedimo_training.shards.writer import write_shard

Draw = Callable[[int, int, int, RenderOptions], Sample]
"""Draws sample `sample_index` of shard `shard_index`: `draw(seed, shard_index, sample_index, options)`.

The same arguments must give the same sample, in any process, in any order. It is pickled by name, so that its
module must be importable wherever workers run.
"""

# Set before numpy starts in a worker: workers share the cores among themselves, not within.
ONE_THREAD: dict[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class ShardTask:
    """A shard that is to be made: `count` samples, by `draw`, into `folder`."""

    folder: Path
    seed: int
    shard_index: int
    count: int
    options: RenderOptions
    draw: Draw

    def run(self, drawn: Callable[[], None]) -> ShardEntry:
        """Make the shard; `drawn` is called after each sample and may raise to stop.

        Raises:
            NoSpace, UnwritableFolder: The shard cannot be written; nothing of it remains.
            InvalidShard: A sample contradicts itself.
        """
        return write_shard(self.folder / shard_name(self.shard_index), self._samples(drawn))

    def _samples(self, drawn: Callable[[], None]) -> Iterator[Sample]:
        for index in range(self.count):
            yield self.draw(self.seed, self.shard_index, index, self.options)
            drawn()
