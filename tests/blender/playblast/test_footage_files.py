"""The footage on disk: kept once, nothing but pixels, and never half of it."""

from __future__ import annotations

import contextlib
import resource

import pytest

from .conftest import choose

pytestmark = pytest.mark.blender


def test_same_footage_is_kept_once_and_carries_nothing_but_pixels(scene, anna, shoot, tmp_path):
    choose(scene, "OBJECT", anna)
    home = tmp_path / "footage"

    first, second = shoot(range(1, 4)), shoot(range(1, 4))
    other = shoot(range(2, 5))

    assert first == second
    assert other[0].parent != first[0].parent
    assert {path.name for path in home.iterdir()} == {first[0].parent.name, other[0].parent.name}
    for word in (b"tEXt", b"iTXt", b"zTXt", b"tIME"):
        assert word not in first[0].read_bytes()
    first[1].write_bytes(b"damaged")
    assert shoot(range(1, 4)) == first
    assert first[1].read_bytes() != b"damaged"


@contextlib.contextmanager
def short_files(num_bytes):
    """No file can be longer, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("full", [True, False])
def test_picture_that_is_not_written_whole_is_noticed(scene, anna, addon, shoot, tmp_path, monkeypatch, full):
    from threedimo.errors import NoSpace, StorageError, UnwritableFolder

    choose(scene, "OBJECT", anna)
    usage = addon("playblast").shutil.disk_usage(tmp_path)
    if full:
        monkeypatch.setattr(addon("playblast").shutil, "disk_usage", lambda _: usage._replace(free=1000))

    with short_files(2000), pytest.raises(StorageError) as failed:
        shoot()

    assert type(failed.value) is (NoSpace if full else UnwritableFolder)
    assert failed.value.code == ("storage.no_space" if full else "storage.unwritable")
    assert not any((tmp_path / "footage").iterdir())


def test_folder_that_goes_away_is_told_from_a_failed_render(scene, anna, addon, shoot, monkeypatch):
    from threedimo.errors import UnwritableFolder

    choose(scene, "OBJECT", anna)
    playblast = addon("playblast")
    shot = playblast._shoot

    def block(stage, scene_frame, place, turn, file):
        if file.name == "00002.png":
            playblast.shutil.rmtree(file.parent)
            file.parent.write_text("in the way")
        shot(stage, scene_frame, place, turn, file)

    monkeypatch.setattr(playblast, "_shoot", block)

    with pytest.raises(UnwritableFolder, match=r"cannot be written: Not a directory.*another output folder"):
        shoot()


def test_folder_that_cannot_be_made_is_refused(scene, anna, shoot, tmp_path):
    from threedimo.errors import UnwritableFolder

    choose(scene, "OBJECT", anna)
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UnwritableFolder, match="another output folder"):
        shoot(home=tmp_path / "file")
