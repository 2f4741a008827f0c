"""The asset store: what is under a final name is whole and right, however the upload went."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from threedimo.errors import AssetCorrupt, LimitExceeded, MalformedMessage, NoSpace
from threedimo_server.assets import MAX_PARTS, AssetStore

CONTENT = bytes(range(256)) * 40
HASH = hashlib.blake2b(CONTENT, digest_size=32).hexdigest()
SIZE = len(CONTENT)


def open_store(tmp_path: Path, *, max_bytes: int = 1_000_000, reserve_bytes: int = 0) -> AssetStore:
    return AssetStore(tmp_path / "assets", max_bytes=max_bytes, chunk_bytes=4096, reserve_bytes=reserve_bytes)


def upload(store: AssetStore, content: bytes = CONTENT, start: int = 0, end: int | None = None) -> int | None:
    offset: int | None = start
    stop = len(content) if end is None else end
    while offset is not None and offset < stop:
        offset = store.put(HASH, len(content), offset, content[offset : min(stop, offset + 4096)])
    return offset


def test_an_upload_in_chunks_becomes_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert not store.holds(HASH)
    assert upload(store) is None
    assert store.holds(HASH)
    assert store.path(HASH).read_bytes() == CONTENT
    assert [path.name for path in store.path(HASH).parent.iterdir()] == [HASH]


def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    assert upload(open_store(tmp_path), end=5000) == 5000
    store = open_store(tmp_path)
    assert not store.holds(HASH)
    assert store.next_offset(HASH, SIZE) == 5000
    assert upload(store, start=5000) is None
    assert store.path(HASH).read_bytes() == CONTENT


def test_a_chunk_out_of_place_changes_nothing_and_is_told_where_to_go_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert upload(store, end=4096) == 4096
    assert store.put(HASH, SIZE, 0, CONTENT[:100]) == 4096
    assert store.put(HASH, SIZE, 8000, CONTENT[8000:8100]) == 4096
    assert upload(store, start=4096) is None


def test_wrong_bytes_are_refused_and_the_upload_starts_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(AssetCorrupt, match="send the file again"):
        upload(store, b"x" + CONTENT[1:])
    assert not store.holds(HASH)
    assert store.next_offset(HASH, SIZE) == 0
    assert upload(store) is None


def test_bytes_that_were_damaged_on_disk_are_found(tmp_path: Path) -> None:
    upload(open_store(tmp_path), end=5000)
    part = tmp_path / "assets" / f"{HASH}.part"
    part.write_bytes(b"y" * 5000)
    with pytest.raises(AssetCorrupt):
        upload(open_store(tmp_path), start=5000)


def test_too_large_an_asset_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    store = open_store(tmp_path, max_bytes=SIZE - 1)
    for ask in (lambda: store.next_offset(HASH, SIZE), lambda: upload(store)):
        with pytest.raises(LimitExceeded, match=str(SIZE)):
            ask()
    assert list((tmp_path / "assets").iterdir()) == []


def test_chunks_outside_the_asset_or_too_large_are_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for offset, chunk in ((0, b""), (SIZE - 1, b"ab"), (SIZE, b"a")):
        with pytest.raises(MalformedMessage, match="inside the asset"):
            store.put(HASH, SIZE, offset, chunk)
    with pytest.raises(LimitExceeded, match="4096"):
        store.put(HASH, SIZE, 0, CONTENT[:4097])


def test_a_full_disk_is_told_before_writing(tmp_path: Path) -> None:
    store = open_store(tmp_path, reserve_bytes=2**60)
    with pytest.raises(NoSpace, match="MB free"):
        upload(store)
    assert list((tmp_path / "assets").iterdir()) == []


def test_only_old_assets_that_nobody_needs_are_pruned(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload(store)
    assert store.prune(set(), before_s=0.0) == 0
    os.utime(store.path(HASH), (100.0, 100.0))
    assert store.prune({HASH}, before_s=200.0) == 0
    assert store.prune(set(), before_s=200.0) == 1
    assert not store.holds(HASH)


def test_of_too_many_unfinished_uploads_the_oldest_are_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload(store, end=100)
    others = [
        hashlib.blake2b(bytes([index % 256, index // 256]), digest_size=32).hexdigest()
        for index in range(MAX_PARTS)
    ]
    for other in others[:-1]:
        store.put(other, 2, 0, b"x")
    assert store.next_offset(HASH, SIZE) == 100
    store.put(others[-1], 2, 0, b"x")
    assert store.next_offset(HASH, SIZE) == 0
    assert len(list((tmp_path / "assets").iterdir())) == MAX_PARTS
    store = open_store(tmp_path)
    assert upload(store) is None
    assert len(list((tmp_path / "assets").glob("*.part"))) == MAX_PARTS - 1
