"""What a user can get wrong: each is named, with what to do, and nothing that was good is touched."""

from __future__ import annotations

import shutil
from dataclasses import replace

import msgspec
import pytest
import torch

from threedimo.checkpoints import load_pipeline
from threedimo.errors import (
    InvalidModel,
    InvalidRequest,
    InvalidShard,
    StorageError,
    TrainingDiverged,
    TrainingError,
    TrainingMismatch,
    UnsupportedFrameCount,
    UnsupportedSize,
)
from threedimo_training.finetuning.base import Clips, load_base
from threedimo_training.finetuning.clips import ClipFormat
from threedimo_training.finetuning.export import export_finetuned
from threedimo_training.finetuning.finetune import finetune
from threedimo_training.finetuning.sources import SyntheticClips
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.trainer.loop import state_file


def run(options, **changes) -> None:
    finetune(replace(options, **changes), lambda _: None)


def test_a_loss_that_is_no_number_leaves_the_last_good_state(options):
    run(options)
    file = state_file(options.work, "finetune")
    before = file.read_bytes()
    plan = options.work / "finetune.json"
    plan.write_bytes(plan.read_bytes().replace(b'"steps": 2', b'"steps": 9').replace(b"0.0001", b"1e+38"))
    with pytest.raises(TrainingDiverged, match=r"no longer a number.*finetune\.safetensors"):
        run(options, steps=9, learning_rate=1e38)
    assert file.read_bytes() == before


def test_other_options_than_those_that_it_was_begun_with(options):
    run(options, minutes=0)
    with pytest.raises(TrainingMismatch, match=r"given: train lora, lora_rank 2\). Allowed: train adapters"):
        run(options, train="lora")
    (options.work / "finetune.json").write_text("{}")
    with pytest.raises(TrainingMismatch, match=r"finetune\.json is damaged"):
        run(options)


def test_another_base_of_the_same_name(options, base, tmp_path):
    moved = tmp_path / "model"
    shutil.copytree(base, moved)
    run(options, base=str(moved), steps=1)
    changed = load_pipeline(str(moved), device="cpu")
    torch.nn.init.normal_(changed.transformer.proj_out.weight)
    changed.save_pretrained(moved)
    with pytest.raises(TrainingMismatch, match=r"begun with other options.*base_weights"):
        run(options, base=str(moved), steps=1)
    with pytest.raises(TrainingMismatch, match="not the one that was trained"):
        export_finetuned(options.work, tmp_path / "out", whole=False, report=lambda _: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("clips", "problem"),
    [
        (Clips(32, 32, 13, 8.0), "too few frames.*render longer clips, or lower --frames"),
        (Clips(48, 48, 9, 8.0), "smaller than the training's pictures"),
        (Clips(32, 16, 9, 8.0), "another shape"),
        (Clips(32, 32, 9, 24.0), "another frame rate.*8 fps.*24 fps"),
    ],
)
def test_samples_that_do_not_fit(shards, clips, problem):
    facts = ShardFolder(shards).facts(0)
    with pytest.raises(InvalidShard, match=rf"{facts.sample_id} of shard-00000\.tar.*{problem}"):
        ClipFormat(clips, 32, 32).check(facts, "shard-00000.tar")


def test_hands_of_another_size(shards):
    facts = msgspec.structs.replace(ShardFolder(shards).facts(0), hand_crop_size=64)
    with pytest.raises(InvalidShard, match=r"hand crops of another size.*64.*32"):
        ClipFormat(Clips(32, 32, 9, 8.0), 32, 32).check(facts, "a shard")


def test_a_damaged_shard_is_named_before_training_begins(options, shards, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(shards, folder)
    tar = next(folder.glob("*.tar"))
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 255
    tar.write_bytes(content)
    with pytest.raises(InvalidShard, match=tar.name):
        run(options, data=(folder,), work=tmp_path / "new")
    assert not state_file(tmp_path / "new", "finetune").exists()


def test_a_role_that_the_later_stages_need(options, data):
    with pytest.raises(InvalidShard, match=r"no samples of same_view and cross_view and moving_camera"):
        run(options, data=data[1:])  # all of them are held out


@pytest.mark.parametrize("kind", ["latents", "texts"])
def test_a_damaged_cache_is_named_and_made_again_once_deleted(options, kind):
    for file in (options.work / kind).iterdir():
        file.write_bytes(b"damaged")
    with pytest.raises(StorageError, match=rf"{kind}.*delete it"):
        run(options)
    shutil.rmtree(options.work / kind)
    run(options)


def test_a_damaged_state(options):
    run(options)
    state_file(options.work, "finetune").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"finetune\.safetensors.*delete the file"):
        run(options)
    with pytest.raises(TrainingError, match="no readable state"):
        export_finetuned(options.work, options.work / "out", whole=False, report=lambda _: None)


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"batch": 3}, InvalidRequest, "--batch 3 among 1 processes of 2 at once"),
        ({"size": (40, 40)}, UnsupportedSize, "multiples of 16"),
        ({"num_frames": 8}, UnsupportedFrameCount, "4k.1"),
        ({"num_frames": 5}, UnsupportedFrameCount, "at least 9"),
    ],
)
def test_options_that_contradict_the_base(options, changes, error, problem):
    with pytest.raises(error, match=problem):
        run(options, **changes)


def test_synthetic_samples_are_square():
    with pytest.raises(InvalidRequest, match=r"square.*64x32"):
        SyntheticClips(ClipFormat(Clips(64, 32, 9, 8.0), 32, 32))


def test_a_stock_model_says_neither_size_nor_rate(options, stock):
    with pytest.raises(InvalidRequest, match="give --size and --frames"):
        run(options, base=str(stock))
    with pytest.raises(InvalidRequest, match="render --fps"):
        run(options, base=str(stock), size=(32, 32), num_frames=9, data=())


def test_models_that_cannot_be_trained(stock, tmp_path):
    shutil.copytree(stock, tmp_path / "other")
    (tmp_path / "other" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(InvalidModel, match="FluxPipeline"):
        load_base(str(tmp_path / "other"), torch.float32, None, 0)


def test_everything_trained_is_no_adapter(options, tmp_path):
    run(options, train="full", minutes=0)
    with pytest.raises(TrainingError, match="--whole"):
        export_finetuned(options.work, tmp_path / "out", whole=False, report=lambda _: None)
    with pytest.raises(TrainingMismatch, match="holds no training"):
        export_finetuned(tmp_path / "nothing", tmp_path / "out", whole=True, report=lambda _: None)
