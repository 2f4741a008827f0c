"""Reading samples back: one shard in order, or a folder at random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidShard
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.facts import SampleFacts
from threedimo_training.shards.files import FACTS, FIELDS, MEMBERS, members_for, sample_of
from threedimo_training.shards.index import (
    INDEX_FILE,
    ShardEntry,
    check_bytes,
    check_listed,
    read_index,
)
from threedimo_training.shards.tar import PackedSample, scan


def open_shard(path: Path, *, fields: Collection[str] = FIELDS) -> Iterator[Sample]:
    """Read the samples of one shard in order.

    With an index beside it, the shard must be the one that the index lists, byte by byte; a shard alone is
    read too, and its members are checked one by one as they are decoded.

    Args:
        path: The tar.
        fields: Which of `FIELDS` to decode (see `files.sample_of`); other members are not even read.

    Raises:
        InvalidShard: Truncated, damaged, not as indexed, or not a shard; the message names file and member.
    """
    members_for(fields)
    return (unpack(each, fields) for each in indexed_scan(path))


def indexed_scan(path: Path) -> list[PackedSample]:
    """Find the samples of a shard, after comparing it with the index beside it, if there is one.

    Raises:
        InvalidShard: Truncated, damaged, not as indexed, or not a shard.
    """
    if (path.parent / INDEX_FILE).exists():
        listed = [entry for entry in read_index(path.parent) if entry.name == path.name]
        if not listed:
            raise InvalidShard(
                "the shard is not in the index beside it",
                given=path,
                remedy="`threedimo-train index FOLDER` writes the index again",
            )
        check_bytes(path.parent, listed[0])
    return scan(path)


def unpack(packed: PackedSample, fields: Collection[str] = FIELDS) -> Sample:
    """Decode one sample of a shard.

    Raises:
        InvalidShard: A member is damaged, or its id is not that of its file's name.
    """
    sample = sample_of(packed.read, {kind: packed.member_name(kind) for kind in MEMBERS}, fields)
    if sample.sample_id != packed.sample_id:
        raise InvalidShard(
            f"{packed.member_name(FACTS)} belongs to another sample",
            given=sample.sample_id,
            allowed=packed.sample_id,
        )
    return sample


class ShardFolder:
    """All samples of a folder, by number. May be used from threads, pickled, and copied into processes.

    Args:
        folder: Holds shards and their index.
        fields: Which of `FIELDS` to decode (see `files.sample_of`).
        verify: Compare each shard with its checksum when it is first touched in a process, which reads it
            once; sizes are always compared.

    Raises:
        InvalidShard: The index is missing or damaged, a shard is missing, of another size, or not in the
            index; and, on access, a shard is damaged. The message names it and the remedy.
    """

    def __init__(self, folder: Path, *, fields: Collection[str] = FIELDS, verify: bool = True):
        members_for(fields)
        self.folder = folder
        self.entries = read_index(folder)
        check_listed(folder, self.entries)
        self._fields, self._verify = tuple(fields), verify
        self._ends = np.cumsum([entry.samples for entry in self.entries], dtype=np.int64)
        # Filled without a lock: two threads may scan the same shard, and find the same.
        self._scanned: dict[int, list[PackedSample]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Sample:
        return unpack(self.packed(index), self._fields)

    def facts(self, index: int) -> SampleFacts:
        """Who, what and which camera in words, without decoding anything else.

        Raises:
            InvalidShard: The shard is damaged.
        """
        return self.packed(index).facts()

    def verify(self, done: Callable[[ShardEntry], None] = lambda _: None) -> None:
        """Compare every shard with its checksum; `done` hears of each.

        Raises:
            InvalidShard: One differs; it is named.
        """
        for entry in self.entries:
            check_bytes(self.folder, entry)
            done(entry)

    def packed(self, index: int) -> PackedSample:
        """Where sample `index` lies.

        Raises:
            IndexError: There is no such sample.
            InvalidShard: The shard is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        entry = self.entries[number]
        if number not in self._scanned:
            self._scanned[number] = self._scan(entry)
        first = int(self._ends[number]) - entry.samples
        return self._scanned[number][index - first]

    def _scan(self, entry: ShardEntry) -> list[PackedSample]:
        if self._verify:
            check_bytes(self.folder, entry)
        packed = scan(self.folder / entry.name)
        if len(packed) != entry.samples:
            raise InvalidShard(
                f"{self.folder / entry.name} holds another number of samples than the index says",
                given=len(packed),
                allowed=str(entry.samples),
                remedy="`threedimo-train index FOLDER` writes the index again",
            )
        return packed
