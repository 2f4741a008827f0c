"""Damaged, foreign and hostile shards are refused by name, and samples that contradict themselves too."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from threedimo.errors import InvalidShard
from threedimo_training.shards.index import index_folder, read_index
from threedimo_training.shards.reader import ShardFolder, open_shard
from threedimo_training.shards.writer import write_shard, write_shards

Members = list[tuple[str, bytes]]


@pytest.fixture
def rewrite(sample, tmp_path) -> Callable[[Callable[[Members], Members]], Path]:
    """Writes a shard of one sample with its members changed, by the standard library."""

    def change(edit: Callable[[Members], Members]) -> Path:
        write_shard(tmp_path / "whole.tar", [sample])
        with tarfile.open(tmp_path / "whole.tar") as archive:
            members = [(member.name, archive.extractfile(member).read()) for member in archive]
        with tarfile.open(tmp_path / "changed.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in edit(members):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return tmp_path / "changed.tar"

    return change


def replaced(kind: str, edit: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    return lambda members: [
        (name, edit(content) if name.partition(".")[2] == kind else content) for name, content in members
    ]


def test_the_untouched_copy_is_read(rewrite, sample):
    (after,) = open_shard(rewrite(lambda members: members))
    assert after.sample_id == sample.sample_id


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_shard_cut_off_anywhere_is_refused(folder, share):
    shard = folder / "shard-00001.tar"
    content = shard.read_bytes()
    # alone, without an index that would notice at once
    (folder / "index.json").unlink()
    shard.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidShard, match=r"shard-00001\.tar.*What to do"):
        list(open_shard(shard))


def test_a_shard_cut_off_between_two_members_is_refused(folder):
    shard = folder / "shard-00000.tar"
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[5]  # the second sample's first: the first sample is whole
    (folder / "index.json").unlink()
    shard.write_bytes(shard.read_bytes()[: last.offset])
    with pytest.raises(InvalidShard, match="cut off"):
        open_shard(shard)


@pytest.mark.parametrize("kind", ["json", "driving.mp4", "target.mp4", "hands.mp4", "npz"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"\0" * len(content)]
)
def test_a_corrupt_member_is_named(rewrite, sample, kind, damage):
    shard = rewrite(replaced(kind, damage))
    with pytest.raises(InvalidShard) as caught:
        list(open_shard(shard))
    assert f"{shard}: {sample.sample_id}.{kind}" in str(caught.value)


@pytest.mark.parametrize("kind", ["json", "driving.mp4", "npz"])
def test_a_missing_member_is_named(rewrite, sample, kind):
    shard = rewrite(lambda members: [m for m in members if not m[0].endswith(f".{kind}")])
    with pytest.raises(InvalidShard, match=rf"{sample.sample_id}\.{kind} is missing"):
        open_shard(shard)


def test_hands_that_are_announced_must_be_there(rewrite, sample):
    shard = rewrite(lambda members: [m for m in members if not m[0].endswith("hands.mp4")])
    with pytest.raises(InvalidShard, match=r"hands\.mp4 is missing"):
        list(open_shard(shard))


@pytest.mark.parametrize(
    "name", ["../../outside.json", "/etc/passwd", "folder/a.json", "a.exe", "a.json.gz", "a"]
)
def test_members_that_are_no_sample_are_refused(rewrite, name):
    shard = rewrite(lambda members: [*members, (name, b"{}")])
    with pytest.raises(InvalidShard, match="is no file of a sample"):
        open_shard(shard)


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        link = tarfile.TarInfo("a.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InvalidShard, match="not a plain file"):
        open_shard(tmp_path / "s.tar")


def test_a_member_that_claims_gigabytes_is_refused_before_memory_is_taken(tmp_path):
    info = tarfile.TarInfo("a.npz")
    info.size = 8 * 1024**3 - 1
    (tmp_path / "s.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240))
    with pytest.raises(InvalidShard, match=r"claims \d+ bytes"):
        open_shard(tmp_path / "s.tar")
    info.size = 1024**2
    (tmp_path / "s.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240))
    with pytest.raises(InvalidShard, match=r"cut off in a\.npz"):
        open_shard(tmp_path / "s.tar")


def test_an_array_that_unpacks_to_gigabytes_is_refused(rewrite):
    def bomb(_: bytes) -> bytes:
        file = io.BytesIO()
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("target_silhouette.npy", "w") as stream,
        ):
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "|b1", "fortran_order": False, "shape": (9, 64, 64)}
            )
            for _ in range(64):
                stream.write(bytes(1024**2))
        return file.getvalue()

    with pytest.raises(InvalidShard, match="target_silhouette is not the array"):
        list(open_shard(rewrite(replaced("npz", bomb))))


def test_a_record_that_announces_a_huge_clip_is_refused(rewrite):
    edit = replaced("json", lambda content: content.replace(b'"num_frames":9', b'"num_frames":99999')
                    .replace(b'"width":64,"height":64', b'"width":16384,"height":16384'))  # fmt: skip
    with pytest.raises(InvalidShard, match="too large"):
        list(open_shard(rewrite(edit)))


def test_pickled_objects_are_refused(rewrite):
    def objects(_: bytes) -> bytes:
        file = io.BytesIO()
        np.savez(file, target_smpl_pose=np.array([{"a": 1}], object))
        return file.getvalue()

    with pytest.raises(InvalidShard, match="npz"):
        list(open_shard(rewrite(replaced("npz", objects))))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ((b'"version":1', b'"version":2'), "version 1"),
        ((b'"role":"moving_camera"', b'"role":"sideways"'), "unknown role"),
        ((b'"fps":12.0', b'"fps":-1'), "fps"),
        ((b'"num_frames":9', b'"num_frames":8'), "announces"),
        ((b'"text"', b'"words"'), "words"),
        ((b'"sample_id":"s7', b'"sample_id":"x7'), "belongs to another sample"),
    ],
)
def test_records_that_do_not_fit_are_refused(rewrite, edit, message):
    with pytest.raises(InvalidShard, match=message):
        list(open_shard(rewrite(replaced("json", lambda content: content.replace(*edit)))))


def test_a_sample_in_two_pieces_is_refused(rewrite):
    with pytest.raises(InvalidShard, match="comes twice"):
        open_shard(rewrite(lambda members: [*members, members[0]]))


def test_a_changed_byte_is_noticed_by_the_checksum(folder):
    shard = folder / "shard-00001.tar"
    content = bytearray(shard.read_bytes())
    content[2000] ^= 1
    shard.write_bytes(content)
    shards = ShardFolder(folder)
    assert shards[0].role == "same_view"
    for read in (lambda: shards[2], lambda: open_shard(shard), shards.verify):
        with pytest.raises(InvalidShard, match=r"shard-00001\.tar is not the shard that the index lists"):
            read()


def test_a_folder_must_fit_its_index(folder, sample):
    for spoil, message in (
        (lambda: (folder / "shard-00002.tar").write_bytes(b"short"), "given: 5 bytes"),
        (lambda: (folder / "shard-00002.tar").unlink(), "a shard of the index is missing"),
        (lambda: write_shard(folder / "shard-00009.tar", [sample]), "missing"),
        (lambda: (folder / "index.json").write_text("{"), "the index is damaged"),
        (lambda: (folder / "index.json").unlink(), "no index of its shards"),
    ):
        spoil()
        with pytest.raises(InvalidShard, match=message):
            ShardFolder(folder)
    index_folder(folder)
    assert [entry.name for entry in read_index(folder)] == [
        "shard-00000.tar", "shard-00001.tar", "shard-00009.tar",
    ]  # fmt: skip
    assert len(ShardFolder(folder)) == 5


def test_a_folder_that_does_not_exist_is_said_so(tmp_path):
    with pytest.raises(InvalidShard, match="no such folder of shards"):
        ShardFolder(tmp_path / "nowhere")


def test_a_shard_that_is_not_in_the_index_is_named(folder, sample):
    write_shard(folder / "shard-00007.tar", [sample])
    with pytest.raises(InvalidShard, match=r"not in the index.*shard-00007\.tar.*threedimo-train index"):
        ShardFolder(folder)
    with pytest.raises(InvalidShard, match="not in the index"):
        open_shard(folder / "shard-00007.tar")


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InvalidShard, match="no index"):
        ShardFolder(tmp_path)
    with pytest.raises(InvalidShard, match="holds no shards"):
        index_folder(tmp_path)
    with pytest.raises(InvalidShard, match="cannot be read"):
        open_shard(tmp_path / "shard-00000.tar")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, sample_id="a/b"), "id"),
        (lambda s: replace(s, sample_id="a.b"), "id"),
        (lambda s: replace(s, role="sideways"), "role"),
        (lambda s: replace(s, source="elsewhere"), "source"),
        (
            lambda s: replace(
                s, driving=replace(s.driving, smpl_pose=s.driving.smpl_pose.astype(np.float64))
            ),
            "smpl_pose",
        ),
        (lambda s: replace(s, motion_id="m" * 2**20), "too large"),
        (lambda s: replace(s, hand_crops=s.hand_crops[:, :1]), "hand_crops"),
        (lambda s: replace(s, fps=24.0), "camera path"),
        (lambda s: replace(s, driving=replace(s.driving, frames=s.driving.frames[1:])), "frames"),
        (
            lambda s: replace(s, target=replace(s.target, joints_world=s.target.joints_world[:, :24])),
            "joints",
        ),
    ],
)
def test_a_sample_that_contradicts_itself_is_not_written(sample, tmp_path, change, message):
    with pytest.raises(InvalidShard, match=message):
        write_shards([change(sample)], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_samples_of_one_id_are_refused(sample, tmp_path):
    with pytest.raises(InvalidShard, match="same id"):
        write_shard(tmp_path / "s.tar", [sample, sample])
