"""Assets on the client's side: bytes in memory or a file, named by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from threedimo.errors import AssetCorrupt, AssetMissing, EmptyMedia, UnreadableMedia
from threedimo.wire.messages import CHUNK_BYTES, Asset, GenerateRequest

AssetSource = Path | bytes
"""Where a client takes an asset from; a file is read chunk by chunk."""

HASH_BYTES = 32


def make_asset(source: AssetSource, name: str) -> Asset:
    """Name bytes by their BLAKE2b-256 hash. A file is read once, in chunks; this takes about a second per GB.

    Raises:
        UnreadableMedia: The file cannot be read.
        EmptyMedia: There are no bytes.
    """
    hasher = hashlib.blake2b(digest_size=HASH_BYTES)
    size = 0
    if isinstance(source, bytes):
        hasher.update(source)
        size = len(source)
    else:
        try:
            with source.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    hasher.update(chunk)
                    size += len(chunk)
        except OSError as error:
            raise UnreadableMedia(f"the file cannot be read: {error.strerror}", given=source) from error
    if size == 0:
        raise EmptyMedia("there is nothing in it", given=name, remedy="choose another file")
    return Asset(hash=hasher.hexdigest(), size=size, name=name)


def assets_of(request: GenerateRequest) -> dict[str, Asset]:
    """Every asset that a request uses, by hash."""
    footage = request.driving_footage
    return {asset.hash: asset for asset in (request.reference_image, *footage.files)}


def check_source(source: AssetSource, asset: Asset) -> None:
    """Refuse a source that cannot be the asset, as far as that shows without reading it.

    Raises:
        AssetMissing: The file is gone.
        AssetCorrupt: The size differs.
    """
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError as error:
        raise AssetMissing(f"the file cannot be read: {error.strerror}", given=source) from error
    if size != asset.size:
        raise _changed(asset, f"{size} bytes instead of {asset.size}")


def read_chunk(source: AssetSource, asset: Asset, offset: int, length: int) -> bytes | memoryview:
    """The bytes of an asset from `offset` on, `length` of them or as many as there are to its end.

    Raises:
        AssetMissing: The file is gone.
        AssetCorrupt: The file ends too early.
    """
    wanted = min(length, asset.size - offset)
    if isinstance(source, bytes):
        return memoryview(source)[offset : offset + wanted]
    try:
        # Opened anew for each chunk: footage may be thousands of files, and none stays open meanwhile.
        with source.open("rb", buffering=0) as stream:
            stream.seek(offset)
            chunk = stream.read(wanted)
    except OSError as error:
        raise AssetMissing(f"the file cannot be read: {error.strerror}", given=source) from error
    if len(chunk) != wanted:
        raise _changed(asset, "it ends too early")
    return chunk


def _changed(asset: Asset, how: str) -> AssetCorrupt:
    return AssetCorrupt(
        "the file changed after it was named",
        given=f"{asset.name or asset.hash}: {how}",
        remedy="submit the job again when nothing writes to the file",
    )
