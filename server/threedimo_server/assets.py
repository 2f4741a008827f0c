"""The store of reference images and driving footage: files named by the hash of their content.

An upload grows `<hash>.part` from its end and can stop and go on at any byte. Only a part whose hash is right
gets its final name, by an atomic rename, so that a file with a final name is always whole.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path

from threedimo.errors import AssetCorrupt, LimitExceeded, MalformedMessage
from threedimo_server.storage import make_private_folder, require_space, storage_errors, sync_folder

logger = logging.getLogger(__name__)

MAX_PARTS = 1000
"""Uploads that may be unfinished at the same time; of more, the one that stood still longest is forgotten."""
MAX_OPEN_PARTS = 64
PART_LIFETIME_S = 86_400.0
_READ_BYTES = 1024 * 1024


class AssetStore:
    """Content-addressed files in one folder.

    Args:
        folder: Where the files lie; made if missing.
        max_bytes: Largest asset.
        chunk_bytes: Largest chunk.
        reserve_bytes: Disk that uploads must leave free.
    """

    def __init__(self, folder: Path, *, max_bytes: int, chunk_bytes: int, reserve_bytes: int):
        self._folder = make_private_folder(folder)
        self._max_bytes = max_bytes
        self._chunk_bytes = chunk_bytes
        self._reserve_bytes = reserve_bytes
        # Running hashes of growing parts, so that the end of an upload need not read the file again.
        self._hashers: OrderedDict[str, hashlib.blake2b] = OrderedDict()
        # Those that stood still longest first.
        parts = sorted(self._folder.glob("*.part"), key=lambda part: part.stat().st_mtime)
        self._parts = OrderedDict.fromkeys(part.stem for part in parts)

    def path(self, asset_hash: str) -> Path:
        """Where the whole asset lies or will lie."""
        return self._folder / asset_hash

    def holds(self, asset_hash: str) -> bool:
        """Whether the whole asset is there."""
        return self.path(asset_hash).is_file()

    def next_offset(self, asset_hash: str, size: int) -> int:
        """The byte from which an asset that is not held must be sent.

        Raises:
            LimitExceeded: The asset is larger than the server accepts.
            NoSpace: The disk is too full for it.
        """
        if size > self._max_bytes:
            raise LimitExceeded(
                "the file is too large for the server",
                given=f"{size} bytes",
                allowed=f"at most {self._max_bytes} bytes",
                remedy="trim or compress the footage",
            )
        offset = self._part_size(asset_hash)
        require_space(self._folder, max(0, size - offset), self._reserve_bytes)
        return offset

    def put(self, asset_hash: str, size: int, offset: int, chunk: bytes | memoryview) -> int | None:
        """Append a chunk.

        A chunk that does not start where the part ends changes nothing; the answer says where to go on, so
        that a repeated or lost chunk needs no special case.

        Args:
            asset_hash: BLAKE2b-256 of the whole content.
            size: Bytes of the whole content.
            offset: Where the chunk starts.
            chunk: The bytes, at least one.

        Returns:
            The offset from which to go on, or None when the asset is whole.

        Raises:
            MalformedMessage: The chunk is empty or reaches beyond `size`.
            LimitExceeded: The chunk or the asset is too large.
            NoSpace: The disk is too full.
            AssetCorrupt: All bytes are there and their hash is wrong; the upload starts again from 0.
        """
        if self.holds(asset_hash):
            return None
        self._require_chunk(size, offset, len(chunk))
        end = self.next_offset(asset_hash, size)
        if end > size:
            self._discard(asset_hash)
            return 0
        if offset == end and end < size:
            self._append(asset_hash, offset, chunk)
            end += len(chunk)
        if end < size:
            return end
        self._complete(asset_hash)
        return None

    def prune(self, needed: set[str], before_s: float) -> int:
        """Delete assets that no unfinished job needs and that are older than a moment; returns how many."""
        num_deleted = 0
        for path in self._folder.iterdir():
            is_part = path.suffix == ".part"
            limit_s = time.time() - PART_LIFETIME_S if is_part else before_s
            if path.stem not in needed and path.stat().st_mtime < limit_s:
                path.unlink()
                self._forget_part(path.stem)
                num_deleted += 1
        return num_deleted

    def _require_chunk(self, size: int, offset: int, length: int) -> None:
        if length == 0 or offset + length > size:
            raise MalformedMessage(
                "a chunk must lie inside the asset",
                given=f"{length} bytes at {offset}",
                allowed=f"1 or more bytes below {size}",
            )
        if length > self._chunk_bytes:
            raise LimitExceeded(
                "the chunk is too large",
                given=f"{length} bytes",
                allowed=f"at most {self._chunk_bytes} bytes",
            )

    def _part(self, asset_hash: str) -> Path:
        return self._folder / f"{asset_hash}.part"

    def _part_size(self, asset_hash: str) -> int:
        part = self._part(asset_hash)
        return part.stat().st_size if part.exists() else 0

    def _append(self, asset_hash: str, offset: int, chunk: bytes | memoryview) -> None:
        hasher = self._hasher(asset_hash)
        try:
            with storage_errors("the asset"), self._part(asset_hash).open("ab") as file:
                file.write(chunk)
        except BaseException:
            # A half-written chunk would leave the running hash behind the file.
            self._hashers.pop(asset_hash, None)
            if self._part(asset_hash).exists():
                os.truncate(self._part(asset_hash), offset)
            raise
        hasher.update(chunk)
        self._parts[asset_hash] = None
        self._parts.move_to_end(asset_hash)
        if len(self._parts) > MAX_PARTS:
            oldest = next(iter(self._parts))
            logger.warning("forgot the upload %s: more than %d are unfinished", oldest[:12], MAX_PARTS)
            self._discard(oldest)

    def _hasher(self, asset_hash: str) -> hashlib.blake2b:
        hasher = self._hashers.get(asset_hash)
        if hasher is None:
            hasher = hashlib.blake2b(digest_size=32)
            if self._part(asset_hash).exists():
                with self._part(asset_hash).open("rb") as file:
                    while block := file.read(_READ_BYTES):
                        hasher.update(block)
            self._hashers[asset_hash] = hasher
            if len(self._hashers) > MAX_OPEN_PARTS:
                self._hashers.popitem(last=False)
        self._hashers.move_to_end(asset_hash)
        return hasher

    def _complete(self, asset_hash: str) -> None:
        found = self._hasher(asset_hash).hexdigest()
        if found != asset_hash:
            self._discard(asset_hash)
            raise AssetCorrupt(
                "the bytes that arrived do not have the announced hash",
                given=found[:12],
                allowed=asset_hash[:12],
                remedy="send the file again",
            )
        self._forget_part(asset_hash)
        part = self._part(asset_hash)
        with storage_errors("the asset"):
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(self.path(asset_hash))
            sync_folder(self._folder)
        logger.info("asset %s held", asset_hash[:12])

    def _discard(self, asset_hash: str) -> None:
        self._forget_part(asset_hash)
        self._part(asset_hash).unlink(missing_ok=True)

    def _forget_part(self, asset_hash: str) -> None:
        self._hashers.pop(asset_hash, None)
        self._parts.pop(asset_hash, None)
