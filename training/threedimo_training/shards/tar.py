"""Where the members of a shard lie, without believing what its headers say.

Notable: not `tarfile`'s reader, which ends quietly where a file was cut between two members, and follows
headers that allocate whatever they claim. Shards need one kind of header only; everything else is refused.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from threedimo.errors import InvalidShard
from threedimo_training.shards.facts import ID_PATTERN, SampleFacts, decode_facts
from threedimo_training.shards.files import ARRAYS, DRIVING, FACTS, HANDS, MEMBERS, REQUIRED_MEMBERS, TARGET

_BLOCK = tarfile.BLOCKSIZE
_EMPTY = bytes(_BLOCK)
_MIB = 1024**2
# Far above any clip of some hundred frames, and small enough to hold.
MAX_MEMBER_BYTES = {FACTS: _MIB} | dict.fromkeys((DRIVING, TARGET, HANDS, ARRAYS), 512 * _MIB)
_COPY_AGAIN = "copy or make the shard again"


@dataclass(frozen=True)
class Span:
    """Where a member's bytes lie in the shard."""

    offset: int
    size: int


@dataclass(frozen=True)
class PackedSample:
    """One sample in a shard: its id and its members by kind."""

    shard: Path
    sample_id: str
    spans: Mapping[str, Span]

    def member_name(self, kind: str) -> str:
        """Shard and member, as errors name them."""
        return f"{self.shard}: {self.sample_id}.{kind}"

    def facts(self) -> SampleFacts:
        """Who, what and which camera in words, without decoding anything else.

        Raises:
            InvalidShard: The record is damaged.
        """
        return decode_facts(self.read(FACTS) or b"", self.member_name(FACTS))

    def read(self, kind: str) -> bytes | None:
        """The bytes of a member, None where the sample has none. Safe in threads and processes.

        Raises:
            InvalidShard: The shard cannot be read, or has become shorter.
        """
        span = self.spans.get(kind)
        if span is None:
            return None
        with open_file(self.shard) as file:
            file.seek(span.offset)
            content = file.read(span.size)
        if len(content) != span.size:
            raise InvalidShard(f"{self.member_name(kind)} is cut off", remedy=_COPY_AGAIN)
        return content


def open_file(path: Path) -> io.BufferedReader:
    """Open a shard.

    Raises:
        InvalidShard: It cannot be opened.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidShard(f"the shard cannot be read: {error.strerror}", given=path) from error


def write_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a member that tells nothing but its name and bytes: no time, no owner.

    Raises:
        InvalidShard: It is larger than a reader accepts.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    limit = MAX_MEMBER_BYTES[name.partition(".")[2]]
    if info.size > limit:
        raise InvalidShard(
            f"{name} is too large for a shard",
            given=f"{info.size} bytes",
            allowed=f"{limit} bytes",
            remedy="make shorter or smaller clips",
        )
    archive.addfile(info, io.BytesIO(content))


def scan(path: Path) -> list[PackedSample]:
    """Find the samples of a shard; reads headers only.

    Raises:
        InvalidShard: Truncated, damaged, or not laid out as a shard; the message names the member.
    """
    with open_file(path) as file:
        members = list(_members(file, path))
    samples: dict[str, dict[str, Span]] = {}
    last = ""
    for name, span in members:
        stem, _, kind = name.partition(".")
        if kind in samples.get(stem, {}) or (stem in samples and stem != last):
            raise _refused(path, name, "comes twice, or apart from its sample")
        samples.setdefault(stem, {})[kind] = span
        last = stem
    for stem, spans in samples.items():
        missing = [kind for kind in REQUIRED_MEMBERS if kind not in spans]
        if missing:
            raise _refused(path, f"{stem}.{missing[0]}", "is missing")
    return [PackedSample(path, stem, spans) for stem, spans in samples.items()]


def _members(file: io.BufferedReader, path: Path) -> Iterable[tuple[str, Span]]:
    num_bytes = os.fstat(file.fileno()).st_size
    while True:
        at = file.tell()
        block = file.read(_BLOCK)
        if block == _EMPTY:
            # Two empty blocks end a tar: with fewer, some of it is missing.
            if file.read(_BLOCK) != _EMPTY:
                raise _truncated(path, at)
            return
        if len(block) < _BLOCK:
            raise _truncated(path, at)
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise InvalidShard(
                f"the shard is no tar, or damaged at byte {at}: {error}", given=path, remedy=_COPY_AGAIN
            ) from error
        _check_member(path, info)
        span = Span(file.tell(), info.size)
        end = span.offset + -(-info.size // _BLOCK) * _BLOCK
        if end > num_bytes:
            raise _truncated(path, at, info.name)
        yield info.name, span
        file.seek(end)


def _check_member(path: Path, info: tarfile.TarInfo) -> None:
    stem, _, kind = info.name.partition(".")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise _refused(path, repr(info.name), "is not a plain file")
    if not ID_PATTERN.fullmatch(stem) or kind not in MEMBERS:
        raise _refused(
            path, repr(info.name), "is no file of a sample", "ID." + ", ID.".join(MEMBERS) + "; no folders"
        )
    if not 0 <= info.size <= MAX_MEMBER_BYTES[kind]:
        raise _refused(
            path, info.name, f"claims {info.size} bytes", f"at most {MAX_MEMBER_BYTES[kind]} bytes"
        )


def _refused(path: Path, member: str, problem: str, allowed: str | None = None) -> InvalidShard:
    return InvalidShard(f"{path}: {member} {problem}", allowed=allowed, remedy="make the shard again")


def _truncated(path: Path, at: int, member: str = "") -> InvalidShard:
    where = f"in {member}" if member else f"at byte {at}"
    return InvalidShard(f"the shard is cut off {where}", given=path, remedy=_COPY_AGAIN)
