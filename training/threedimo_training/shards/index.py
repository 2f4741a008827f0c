"""`index.json`: which shards a folder holds, and what their bytes must be."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from threedimo.errors import InvalidShard
from threedimo_training.shards.durable import write_file
from threedimo_training.shards.facts import SampleFacts
from threedimo_training.shards.tar import open_file, scan

INDEX_FILE = "index.json"
SHARD_PATTERN = re.compile(r"shard-\d{5,9}\.tar")
MAX_INDEX_BYTES = 256 * 1024**2
_INDEX_AGAIN = "`threedimo-train index FOLDER` reads all shards and writes the index again"
Count = Annotated[int, msgspec.Meta(ge=0)]


class ShardEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finished shard.

    Attributes:
        name: File name in the folder.
        bytes: Its size.
        blake2b: BLAKE2b-256 of the file, in hexadecimal.
        samples: How many it holds.
        roles: How many of each role.
        held_out: How many are kept for evaluation.
    """

    name: Annotated[str, msgspec.Meta(pattern=f"^{SHARD_PATTERN.pattern}$")]
    bytes: Count
    blake2b: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    samples: Count
    roles: dict[str, Count]
    held_out: Count


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["threedimo-shards"]
    version: Literal[1]
    shards: list[ShardEntry]


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05d}.tar"


def shard_files(folder: Path) -> list[Path]:
    """The finished shards that lie in a folder, in order, whether indexed or not."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if SHARD_PATTERN.fullmatch(file.name))


def checksum(path: Path) -> str:
    """BLAKE2b-256 of a file, in hexadecimal.

    Raises:
        InvalidShard: It cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def entry_for(path: Path, facts: Iterable[SampleFacts]) -> ShardEntry:
    """Describe a shard whose samples are known."""
    listed = list(facts)
    return ShardEntry(
        name=path.name,
        bytes=path.stat().st_size,
        blake2b=checksum(path),
        samples=len(listed),
        roles=dict(sorted(Counter(each.role for each in listed).items())),
        held_out=sum(each.held_out for each in listed),
    )


def read_entry(path: Path) -> ShardEntry:
    """Describe a shard from its file.

    Raises:
        InvalidShard: It is damaged.
    """
    return entry_for(path, [packed.facts() for packed in scan(path)])


def index_folder(folder: Path) -> list[ShardEntry]:
    """Write the index of a folder anew from the shards that lie in it.

    Raises:
        InvalidShard: There is none, or one is damaged.
        UnwritableFolder, NoSpace: The index cannot be written.
    """
    files = shard_files(folder)
    if not files:
        raise InvalidShard("the folder holds no shards", given=folder, allowed="files like shard-00000.tar")
    entries = [read_entry(file) for file in files]
    write_index(folder, entries)
    return entries


def write_index(folder: Path, entries: Iterable[ShardEntry]) -> None:
    """Write the index, whole or not at all.

    Raises:
        UnwritableFolder, NoSpace: It cannot be written.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    content = msgspec.json.encode(_Index("threedimo-shards", 1, ordered))
    write_file(folder / INDEX_FILE, msgspec.json.format(content, indent=1) + b"\n")


def read_index(folder: Path) -> list[ShardEntry]:
    """Read the index.

    Raises:
        InvalidShard: It or the folder is missing, or it is damaged.
    """
    if not folder.is_dir():
        raise InvalidShard("there is no such folder of shards", given=folder, remedy="check the spelling")
    file = folder / INDEX_FILE
    try:
        if file.stat().st_size > MAX_INDEX_BYTES:
            raise InvalidShard("the index is too large", given=file, allowed=f"{MAX_INDEX_BYTES} bytes")
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InvalidShard(
            "the folder has no index of its shards", given=file, remedy=_INDEX_AGAIN
        ) from error
    except OSError as error:
        raise InvalidShard(f"the index cannot be read: {error.strerror}", given=file) from error
    try:
        return msgspec.json.decode(content, type=_Index).shards
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidShard(
            f"the index is damaged or of another version: {error}", given=file, remedy=_INDEX_AGAIN
        ) from error


def check_listed(folder: Path, entries: Iterable[ShardEntry]) -> None:
    """Compare an index with the files beside it: names and sizes, not bytes.

    Raises:
        InvalidShard: A shard is missing, of another size, or not in the index; it is named.
    """
    files = {file.name: file for file in shard_files(folder)}
    for entry in entries:
        file = files.pop(entry.name, None)
        if file is None:
            raise InvalidShard(
                "a shard of the index is missing", given=folder / entry.name, remedy=_replace(entry.name)
            )
        if file.stat().st_size != entry.bytes:
            raise _changed(file, f"{file.stat().st_size} bytes", f"{entry.bytes} bytes")
    if files:
        raise InvalidShard("a shard is not in the index", given=folder / min(files), remedy=_INDEX_AGAIN)


def check_bytes(folder: Path, entry: ShardEntry) -> None:
    """Compare a shard with its checksum.

    Raises:
        InvalidShard: They differ.
    """
    found = checksum(folder / entry.name)
    if found != entry.blake2b:
        raise _changed(folder / entry.name, f"BLAKE2b {found[:16]}...", f"{entry.blake2b[:16]}...")


def _changed(file: Path, given: str, allowed: str) -> InvalidShard:
    return InvalidShard(
        f"{file} is not the shard that the index lists",
        given=given,
        allowed=allowed,
        remedy=_replace(file.name),
    )


def _replace(name: str) -> str:
    return f"copy {name} again from where it was whole; a rendered one may be deleted and rendered again"
