"""The shards are WebDataset shards: the package of that name reads them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import webdataset
from torch.utils.data import DataLoader

from threedimo.errors import InvalidShard
from threedimo_training.shards.index import index_folder
from threedimo_training.shards.streaming import stream_shards

# `webdataset` leaves it to the garbage collector to close the tars that it has read.
leaves_files_open = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*FileIO:pytest.PytestUnraisableExceptionWarning"
)


@leaves_files_open
def test_webdataset_itself_reads_every_member(samples, folder):
    urls = [str(file) for file in sorted(folder.glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [each["__key__"] for each in found] == [each.sample_id for each in samples]
    for each, sample in zip(found, samples, strict=True):
        assert each["json"]["target"]["text"] == sample.target.text
        assert np.array_equal(each["npz"]["target_world_from_camera"], sample.target.path.world_from_camera)
        assert {"driving.mp4", "target.mp4", "hands.mp4"} <= set(each)


@leaves_files_open
def test_numpy_itself_reads_the_arrays(samples, folder):
    urls = [str(folder / "shard-00000.tar")]
    raw, _ = webdataset.WebDataset(urls, shardshuffle=False)
    with np.load(io.BytesIO(raw["npz"]), allow_pickle=False) as arrays:
        assert arrays["driving_silhouette"].dtype == bool
        assert arrays["driving_joints_world"].shape == (9, 54, 3)
        assert arrays["target_hand_boxes"].shape == (9, 2, 4)


def test_a_stream_gives_whole_samples_in_order_or_shuffled(samples, folder):
    found = list(stream_shards(folder, seed=None))
    assert [each.sample_id for each in found] == [each.sample_id for each in samples]
    assert np.array_equal(found[0].target.silhouette, samples[0].target.silhouette)
    orders = {
        tuple(each.sample_id for each in stream_shards(folder, seed=seed, fields=())) for seed in range(6)
    }
    assert len(orders) > 1
    assert all(sorted(order) == sorted(each.sample_id for each in samples) for order in orders)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on a machine of one core
def test_workers_share_a_stream(samples, folder):
    loader = DataLoader(
        stream_shards(folder, seed=0, fields=("paths",)), batch_size=None, num_workers=2,
        multiprocessing_context="spawn",
    )  # fmt: skip
    assert sorted(each.sample_id for each in loader) == [each.sample_id for each in samples]


def test_damage_is_told_by_name(folder):
    shard = folder / "shard-00001.tar"
    content = bytearray(shard.read_bytes())
    at = content.index(b"ftyp")
    content[at - 4 : at + 400] = bytes(404)
    shard.write_bytes(content)
    with pytest.raises(InvalidShard, match=r"shard-00001\.tar is not the shard that the index lists"):
        list(stream_shards(folder, seed=None))
    index_folder(folder)
    with pytest.raises(InvalidShard, match=r"shard-00001\.tar.*driving\.mp4"):
        list(stream_shards(folder, seed=None))
