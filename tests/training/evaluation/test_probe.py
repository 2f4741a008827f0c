from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from threedimo.errors import (
    InvalidModel,
    InvalidRequest,
    InvalidShard,
    ModelNotFound,
    TrainingDiverged,
    TrainingMismatch,
)
from threedimo_training.evaluation import probe_training
from threedimo_training.evaluation.probe import Probe, ProbeNetwork, load_probe
from threedimo_training.evaluation.probe_frames import FrameBlocks, probe_frames, shard_samples
from threedimo_training.evaluation.probe_training import ProbeRecipe, own_errors, spoiled, train_probe
from threedimo_training.shards.writer import write_shards

TINY = {"widths": (8, 16, 16, 24), "batch_size": 16, "first_blocks": 1, "num_blocks": 2, "rising_steps": 5}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("threedimo_training.evaluation.probe_frames.BLOCK_SAMPLES", 6)


def train(work, numbered, num_steps: int, **changes):
    recipe = ProbeRecipe(**{**TINY, "num_steps": num_steps, "steps_per_block": 3} | changes)
    return train_probe(recipe, work, numbered(False), numbered(True), minutes=5, say=lambda _: None)


def test_the_probe_learns(tmp_path, numbered, monkeypatch):
    monkeypatch.setattr(probe_training, "REPORT_STEPS", 20)
    lines: list[str] = []
    recipe = ProbeRecipe(**TINY, num_steps=120, steps_per_block=1, learning_rate=4e-3)
    errors = train_probe(recipe, tmp_path, numbered(False), numbered(True), minutes=5, say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < 0.5 * losses[0]
    truth = FrameBlocks(tmp_path / "probe-frames", numbered(False)).block(0)
    learnt = own_errors(load_probe(tmp_path / "probe.safetensors"), truth)
    knows_nothing = own_errors(Probe(ProbeNetwork(TINY["widths"]), {}), truth)
    assert learnt.silhouette_iou > 0.4 > knows_nothing.silhouette_iou
    assert learnt.pose_error_deg < 0.8 * knows_nothing.pose_error_deg
    assert errors.frames == 48


def test_the_file_says_how_good_the_probe_is(tmp_path, numbered):
    errors = train(tmp_path, numbered, 2)
    facts = load_probe(tmp_path / "probe.safetensors").facts
    assert facts["step"] == "2"
    assert float(facts["pose_error_deg"]) == pytest.approx(errors.pose_error_deg, abs=1e-3)
    assert float(facts["camera_error_deg"]) == pytest.approx(errors.camera_error_deg, abs=1e-3)
    with safe_open(tmp_path / "probe.safetensors", framework="pt") as stored:
        assert stored.metadata()["seed"] == "0"


def test_stopping_and_going_on_changes_nothing(tmp_path, numbered, monkeypatch):
    train(tmp_path / "whole", numbered, 6)
    stopped = tmp_path / "stopped"
    real_step, taken = probe_training._Training.take_step, []

    def killed(self, batch):
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(self.step)
        return real_step(self, batch)

    monkeypatch.setattr(probe_training, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(probe_training._Training, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, numbered, 6)
    monkeypatch.setattr(probe_training._Training, "take_step", real_step)
    train(stopped, numbered, 6)
    whole, again = (load_file(folder / "probe-state.safetensors") for folder in (tmp_path / "whole", stopped))
    assert taken == [0, 1, 2]
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole if name != "random_state")


def test_another_recipe_does_not_go_on(tmp_path, numbered):
    train(tmp_path, numbered, 1)
    before = (tmp_path / "probe-state.safetensors").read_bytes()
    with pytest.raises(TrainingMismatch, match="another recipe"):
        train(tmp_path, numbered, 1, learning_rate=5e-4)
    assert (tmp_path / "probe-state.safetensors").read_bytes() == before


def test_a_damaged_state_is_named(tmp_path, numbered):
    train(tmp_path, numbered, 1)
    file = tmp_path / "probe-state.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InvalidModel, match=r"probe-state\.safetensors"):
        train(tmp_path, numbered, 1)


def test_a_loss_that_is_no_number_leaves_the_last_good_state(tmp_path, numbered, monkeypatch):
    recipe = ProbeRecipe(**{**TINY, "learning_rate": 1e18, "rising_steps": 1})
    monkeypatch.setattr(probe_training, "SAVE_SECONDS", 0.0)
    with pytest.raises(TrainingDiverged, match="no number"):
        train_probe(recipe, tmp_path, numbered(False), numbered(True), minutes=5, say=lambda _: None)
    state = load_file(tmp_path / "probe-state.safetensors")
    assert all(value.isfinite().all() for name, value in state.items() if name.startswith("network/"))
    assert not (tmp_path / "probe.safetensors").exists()


def test_missing_and_damaged_probes_are_named(tmp_path):
    with pytest.raises(ModelNotFound, match="threedimo-train probe"):
        load_probe(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not at all")
    with pytest.raises(InvalidModel, match=r"bad\.safetensors"):
        load_probe(tmp_path / "bad.safetensors")


def test_a_damaged_block_is_named(tmp_path, numbered):
    blocks = FrameBlocks(tmp_path, numbered(False))
    blocks.block(0)
    file = tmp_path / "block-00000.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InvalidShard, match=r"block-00000.*made again"):
        FrameBlocks(tmp_path, numbered(False)).block(0)


def test_blocks_are_the_same_when_made_again(tmp_path, numbered):
    first = FrameBlocks(tmp_path / "a", numbered(False)).batch(np.random.default_rng(5), 2, 10)
    second = FrameBlocks(tmp_path / "b", numbered(False)).batch(np.random.default_rng(5), 2, 10)
    assert len(first) == 10
    assert (first.frames == second.frames).all()
    assert (first.joints == second.joints).all()


def test_places_of_joints_lie_on_the_person(numbered):
    frames = probe_frames(numbered(False)(0).target)
    columns, rows = (frames.places * 64).astype(int).clip(0, 63)[:, [1, 2, 4, 5, 12, 15]].transpose(2, 0, 1)
    assert (frames.parts[np.arange(len(frames))[:, None], rows, columns] > 0).all()


def test_footage_without_a_camera_cannot_teach_the_probe(numbered):
    with pytest.raises(InvalidRequest, match="rendered"):
        probe_frames(replace(numbered(False)(0).target, path=None))


def test_the_probe_reads_any_square_size(numbered):
    probe = Probe(ProbeNetwork(TINY["widths"]), {})
    reading = probe.read(np.zeros((2, 80, 80, 3), np.uint8))
    assert reading.parts.shape == (2, 80, 80)
    assert reading.joints.shape == (2, 24, 3)
    with pytest.raises(InvalidRequest, match="square"):
        probe.read(np.zeros((2, 80, 64, 3), np.uint8))


def test_spoiled_frames_stay_pictures_and_follow_the_generator():
    frames = torch.rand(4, 3, 64, 64) * 2 - 1
    first, second, third = (spoiled(frames, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.abs().max() <= 1
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_shards_teach_what_was_written_and_nothing_held_out(tmp_path, numbered):
    samples = [replace(numbered(index == 1)(index), sample_id=f"stick-{index}") for index in range(3)]
    write_shards(samples, tmp_path / "shards")
    source = shard_samples(tmp_path / "shards")
    assert [source(index).sample_id for index in range(4)] == ["stick-0", "stick-2", "stick-0", "stick-2"]
    written, read = (probe_frames(sample.target) for sample in (samples[2], source(1)))
    assert (written.parts == read.parts).all()
    assert np.abs(written.joints - read.joints).max() < 1e-5
    assert np.abs(written.frames.astype(int) - read.frames).mean() < 4


def test_shards_of_held_out_samples_alone_teach_nothing(tmp_path, numbered):
    write_shards([numbered(True)(0)], tmp_path)
    with pytest.raises(InvalidShard, match="for training"):
        shard_samples(tmp_path)
