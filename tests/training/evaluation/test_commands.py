"""The commands on the real engine: one sample a block, one clip a split."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from threedimo.errors import InvalidRequest, InvalidShard, TrainingMismatch, UntrainedModel
from threedimo_training.evaluation import commands
from threedimo_training.evaluation.evaluate import EvaluationPlan
from threedimo_training.evaluation.probe_training import ProbeRecipe
from threedimo_training.shards.writer import write_shards


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("threedimo_training.evaluation.probe_frames.BLOCK_SAMPLES", 1)

    def small(source: str = "synthetic") -> ProbeRecipe:
        return ProbeRecipe(
            widths=(4, 4, 4, 4), batch_size=4, first_blocks=1, num_blocks=1, num_steps=2, source=source
        )

    monkeypatch.setattr(commands, "ProbeRecipe", small)


def test_a_probe_is_trained_and_judges_a_model(tmp_path, tiny_pipeline_folder):
    lines: list[str] = []
    errors = commands.train_probe_command(tmp_path / "work", 5, lines.append)
    assert errors.frames == 16
    assert "true frames of unseen people" in lines[-1]
    probe = tmp_path / "work" / "probe.safetensors"
    plan = EvaluationPlan(str(tiny_pipeline_folder), probe, tmp_path / "figures.json", clips=1, device="cpu")
    document = commands.evaluate_command(plan, lines.append)
    stored = json.loads(plan.output.read_bytes())
    assert stored["splits"]["cross_view"]["psnr"]["n"] == 1
    assert stored["frames"] == {"count": 9, "size": 32, "fps": 8.0}
    assert stored["probe"]["training"]["source"] == "synthetic"
    assert document["seconds_per_clip"] == pytest.approx(stored["seconds_per_clip"])
    assert lines[-1] == f"figures in {plan.output}"


def test_an_adapter_is_judged_in_its_base(tmp_path, tiny_stock_folder, tiny_trained_stock):
    commands.train_probe_command(tmp_path / "work", 5, lambda _: None)
    tiny_trained_stock.save_adapter(tmp_path / "adapter", base=tiny_stock_folder.name)
    plan = EvaluationPlan(
        str(tiny_stock_folder), tmp_path / "work" / "probe.safetensors", tmp_path / "figures.json",
        clips=1, device="cpu", adapter=tmp_path / "adapter",
    )  # fmt: skip
    model = commands.evaluate_command(plan, lambda _: None)["model"]
    assert (model["id"], model["adapter"]) == ("danced", str(tmp_path / "adapter"))
    with pytest.raises(UntrainedModel, match="--adapter"):
        commands.evaluate_command(replace(plan, adapter=None), lambda _: None)


def test_a_probe_does_not_go_on_from_something_else(tmp_path, numbered):
    write_shards([numbered(False)(0)], tmp_path / "shards")
    commands.train_probe_command(tmp_path / "work", 5, lambda _: None, shards=tmp_path / "shards")
    with pytest.raises(TrainingMismatch, match="another work folder"):
        commands.train_probe_command(tmp_path / "work", 5, lambda _: None)


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="minutes"):
        commands.train_probe_command(tmp_path, -1, lambda _: None)
    with pytest.raises(InvalidShard, match=r"index\.json"):
        commands.train_probe_command(tmp_path, 0, lambda _: None, shards=tmp_path)
