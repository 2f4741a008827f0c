"""Full disks and folders that may not be written: finished shards stay valid, others do not exist."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from threedimo.errors import NoSpace, UnwritableFolder
from threedimo_training.shards.index import write_index
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.shards.show import show
from threedimo_training.shards.writer import write_shards


def mount(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 600 kB."""
    yield from mount(tmp_path / "small", "size=600k")


@pytest.fixture
def fixed_disk(tmp_path) -> Iterator[Path]:
    """A disk that may only be read."""
    yield from mount(tmp_path / "fixed", "size=600k,ro")


def test_a_full_disk_ends_the_writing_and_keeps_what_is_finished(samples, small_disk):
    endless = (replace(samples[number % 6], sample_id=f"s{number}") for number in itertools.count())
    with pytest.raises(NoSpace, match="the disk is full"):
        write_shards(endless, small_disk / "out", shard_samples=3)
    shards = ShardFolder(small_disk / "out")
    assert len(shards) >= 3
    shards.verify()
    assert {file.suffix for file in (small_disk / "out").iterdir()} == {".tar", ".json"}


def test_a_full_disk_is_foreseen_after_the_first_shard(render, small_disk):
    with pytest.raises(NoSpace, match=r"the disk will be full.*goes on from here"):
        render(small_disk / "out", clips=400, workers=1)
    shards = ShardFolder(small_disk / "out")
    assert len(shards) == 4
    shards.verify()


def test_a_full_disk_in_a_worker_is_told_as_such(render, small_disk):
    (small_disk / "filler").write_bytes(bytes(540_000))
    with pytest.raises(NoSpace, match=r"the disk is full.*shard-0000"):
        render(small_disk / "out", workers=1)


def test_a_disk_that_may_only_be_read(samples, folder, render, fixed_disk):
    for write in (
        lambda: write_shards(samples, fixed_disk / "out"),
        lambda: render(fixed_disk / "out"),
        lambda: show(folder, fixed_disk / "out", 1, 0),
        lambda: write_index(fixed_disk, []),
    ):
        with pytest.raises(UnwritableFolder, match="cannot be written"):
            write()


def test_a_file_in_the_folders_place(samples, render, tmp_path):
    (tmp_path / "file").write_text("")
    for write in (
        lambda: write_shards(samples, tmp_path / "file"),
        lambda: write_shards(samples, tmp_path / "file" / "out"),
        lambda: render(tmp_path / "file" / "out"),
    ):
        with pytest.raises(UnwritableFolder, match="file"):
            write()
