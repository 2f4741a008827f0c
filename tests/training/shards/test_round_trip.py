"""What goes into a shard comes out of it."""

from __future__ import annotations

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from threedimo.errors import InvalidShard
from threedimo_training.shards.files import FIELDS
from threedimo_training.shards.index import read_index
from threedimo_training.shards.reader import ShardFolder, open_shard
from threedimo_training.shards.writer import write_shard, write_shards


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


@pytest.fixture
def shard(samples, tmp_path):
    write_shard(tmp_path / "alone.tar", samples)
    return tmp_path / "alone.tar"


LABELS = ("path", "silhouette", "joints_world", "hand_boxes", "smpl_pose", "mano_pose")


def equal_bits(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and (
        one.tobytes() == other.tobytes()
    )  # fmt: skip


def test_labels_come_back_bit_by_bit(samples, shard):
    for before, after in zip(samples, open_shard(shard), strict=True):
        for name in ("sample_id", "role", "fps", "motion_id", "held_out", "seed", "source"):
            assert getattr(before, name) == getattr(after, name)
        for old, new in ((before.driving, after.driving), (before.target, after.target)):
            assert (old.person_id, old.text) == (new.person_id, new.text)
            for name in ("silhouette", "joints_world", "hand_boxes", "smpl_pose", "mano_pose"):
                assert equal_bits(getattr(old, name), getattr(new, name)), name
            for name in ("world_from_camera", "intrinsics", "subject_position", "subject_forward"):
                assert equal_bits(getattr(old.path, name), getattr(new.path, name)), name
            assert (new.path.width, new.path.height, new.path.fps) == (64, 64, 12.0)


def test_frames_come_back_nearly_as_they_were(samples, shard):
    for before, after in zip(samples, open_shard(shard), strict=True):
        assert psnr(before.driving.frames, after.driving.frames) > 38
        assert psnr(before.target.frames, after.target.frames) > 38
        assert psnr(before.hand_crops, after.hand_crops) > 38


def test_unseen_hands_are_exactly_black(samples, shard):
    for before, after in zip(samples, open_shard(shard), strict=True):
        unseen = ~before.hand_crops.any(axis=(2, 3, 4))
        assert unseen.any()
        assert np.array_equal(unseen, ~after.hand_crops.any(axis=(2, 3, 4)))


def test_odd_and_oblong_pictures_keep_their_size(sample, tmp_path):
    def cut(clip):
        return replace(clip, frames=clip.frames[:, :33, :47], path=None, silhouette=None)

    write_shard(
        tmp_path / "odd.tar", [replace(sample, driving=cut(sample.driving), target=cut(sample.target))]
    )
    (after,) = open_shard(tmp_path / "odd.tar")
    assert after.target.frames.shape == (9, 33, 47, 3)
    assert psnr(after.target.frames, sample.target.frames[:, :33, :47]) > 38


def test_what_is_unknown_is_absent(sample, tmp_path):
    def bare(clip):
        return replace(clip, **dict.fromkeys(LABELS))

    footage = replace(
        sample, driving=bare(sample.driving), target=bare(sample.target), source="footage", hand_crops=None
    )
    write_shard(tmp_path / "bare.tar", [footage])
    with tarfile.open(tmp_path / "bare.tar") as archive:
        assert not any(name.endswith("hands.mp4") for name in archive.getnames())
    (after,) = open_shard(tmp_path / "bare.tar")
    assert after.hand_crops is None
    for clip in (after.driving, after.target):
        assert all(getattr(clip, name) is None for name in LABELS)
        with pytest.raises(InvalidShard, match="silhouette"):
            clip.labels()
    assert len(after.target.frames) == 9


def test_a_path_without_a_subject_stays_without(sample, tmp_path):
    path = replace(sample.target.path, subject_position=None, subject_forward=None)
    write_shard(tmp_path / "s.tar", [replace(sample, target=replace(sample.target, path=path))])
    (after,) = open_shard(tmp_path / "s.tar")
    assert after.target.path.subject_position is None
    assert after.driving.path.subject_forward is not None


def test_only_the_fields_asked_for_are_decoded(sample, tmp_path):
    # the other members are damaged, which only those notice who read them
    write_shard(tmp_path / "s.tar", [sample])
    content = bytearray((tmp_path / "s.tar").read_bytes())
    with tarfile.open(tmp_path / "s.tar") as archive:
        for member in archive:
            if member.name.endswith(("driving.mp4", "hands.mp4", "npz")):
                content[member.offset_data : member.offset_data + member.size] = bytes(member.size)
    (tmp_path / "s.tar").write_bytes(content)
    (after,) = open_shard(tmp_path / "s.tar", fields=("target_frames",))
    assert after.target.frames.shape == (9, 64, 64, 3)
    assert after.driving.frames.shape == (0, 64, 64, 3)
    assert (after.target.path, after.target.silhouette, after.target.smpl_pose, after.hand_crops) == (
        None,
    ) * 4
    with pytest.raises(InvalidShard, match=r"npz"):
        next(open_shard(tmp_path / "s.tar", fields=("target_frames", "paths")))
    with pytest.raises(ValueError, match="unknown fields"):
        open_shard(tmp_path / "s.tar", fields=("frames",))


def test_a_folder_is_read_at_random(samples, folder):
    shards = ShardFolder(folder)
    assert len(shards) == len(samples)
    for index in (5, 0, 3):
        assert shards[index].sample_id == samples[index].sample_id
        assert shards.facts(index).target.text == samples[index].target.text
    with pytest.raises(IndexError):
        shards[6]
    with pytest.raises(IndexError):
        shards[-1]
    assert [each.sample_id for each in shards] == [each.sample_id for each in samples]


def test_threads_may_share_a_folder(samples, folder):
    shards = ShardFolder(folder, fields=("paths", "target_frames"))
    order = [5, 1, 4, 0, 3, 2] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: shards[index], order))
    assert [each.sample_id for each in found] == [samples[index].sample_id for index in order]
    for index, each in zip(order, found, strict=True):
        assert np.array_equal(each.target.frames, shards[index].target.frames)


def test_a_data_loader_with_processes_reads_a_folder(samples, folder):
    from torch.utils.data import DataLoader

    loader = DataLoader(
        ShardFolder(folder, fields=("poses",)),
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    assert [each.sample_id for each in loader] == [each.sample_id for each in samples]


def test_equal_samples_give_equal_bytes(stick_people, samples, tmp_path):
    from threedimo_training.shards.render_options import RenderOptions

    options = RenderOptions(64, 9, 12.0, ("same_view", "cross_view", "moving_camera"), False)
    again = [stick_people.draw(7, 0, index, options) for index in range(6)]
    one = write_shard(tmp_path / "shard-00000.tar", samples)
    assert write_shard(tmp_path / "shard-00001.tar", again).blake2b == one.blake2b
    other = [stick_people.draw(8, 0, index, options) for index in range(6)]
    assert write_shard(tmp_path / "shard-00002.tar", other).blake2b != one.blake2b


def test_a_tar_tells_nothing_about_who_wrote_it_and_when(shard):
    with tarfile.open(shard) as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


def test_writing_goes_on_after_the_last_shard(samples, folder):
    added = write_shards([replace(samples[0], sample_id="late")], folder)
    assert [entry.name for entry in added] == ["shard-00003.tar"]
    assert [entry.samples for entry in read_index(folder)] == [2, 2, 2, 1]
    assert ShardFolder(folder)[6].sample_id == "late"


def test_the_index_counts(folder):
    entries = read_index(folder)
    assert [entry.roles for entry in entries] == [
        {"cross_view": 1, "same_view": 1}, {"moving_camera": 1, "same_view": 1},
        {"cross_view": 1, "moving_camera": 1},
    ]  # fmt: skip
    assert sum(entry.held_out for entry in entries) == 0
    assert [entry.bytes for entry in entries] == [(folder / e.name).stat().st_size for e in entries]


def test_all_fields_are_told(sample, tmp_path):
    write_shard(tmp_path / "s.tar", [sample])
    (nothing,) = open_shard(tmp_path / "s.tar", fields=())
    for field in FIELDS:
        (some,) = open_shard(tmp_path / "s.tar", fields=(field,))
        assert _parts(some) - _parts(nothing), field


def _parts(sample) -> set[str]:
    held = {f"{n}.frames" for n in ("driving", "target") if len(getattr(sample, n).frames)}
    held |= {n for n in ("hand_crops",) if getattr(sample, n) is not None}
    return held | {n for n in LABELS if getattr(sample.target, n) is not None}
