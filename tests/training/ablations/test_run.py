from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from safetensors import safe_open

from threedimo.errors import (
    InvalidRequest,
    ModelNotFound,
    TrainingError,
    TrainingMismatch,
)
from threedimo_training.ablations.ground import open_ground
from threedimo_training.ablations.held_out_loss import FIGURES
from threedimo_training.ablations.run import run_ablations
from threedimo_training.ablations.training import saved_step
from threedimo_training.ablations.variants import FULL, VARIANTS
from threedimo_training.cli import main
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.evaluation.measure import METRICS
from threedimo_training.trainer.loop import state_file

SPLITS = {"same_view", "cross_view", "moving_camera"}


def quietly(_: str) -> None:
    pass


def test_every_variant_is_trained_and_measured(plan, document):
    stored = json.loads((plan.output / "ablations.json").read_bytes())
    assert set(stored["variants"]) == set(VARIANTS) == set(document["variants"])
    assert (stored["steps"], stored["clips"], stored["generated"]) == (2, 1, 1)
    for name, row in stored["variants"].items():
        assert saved_step(plan.output / name) == 2
        assert set(row["held_out"]) == SPLITS | {"all"}
        assert set(row["held_out"]["all"]) == set(FIGURES)
        assert row["held_out"]["all"]["flow_loss"]["n"] == 3
        assert row["held_out"]["all"]["flow_loss"]["mean"] > 0
        assert set(row["generated"]) == SPLITS
        for runs in row["generated"].values():
            assert set(runs) == {"generated", "text_alone", "other_motion"}
            assert set(runs["generated"]) == set(METRICS)
        assert ("sentence" in row) == (name != FULL)
    assert stored["ground_truth"]["cross_view"]["psnr"]["mean"] == pytest.approx(58.92, abs=0.01)
    assert len(stored["order"]["ours"]) == 7


def test_differences_are_against_the_whole_method(document):
    rows = document["variants"]
    for split in SPLITS | {"all"}:
        assert rows[FULL]["against_full"][split]["flow_loss"]["mean"] == 0
    losses = [rows[name]["held_out"]["all"]["flow_loss"]["mean"] for name in (FULL, "channel_concatenation")]
    assert losses[0] != losses[1]


def test_without_hints_hints_change_nothing(document):
    found = document["variants"]["no_hints"]["held_out"]["all"]
    assert found["flow_loss"] == found["hinted_flow_loss"]


def test_table_and_page_show_every_variant_beside_the_paper(plan, document):
    table, page = ((plan.output / f"ablations.{suffix}").read_text() for suffix in ("md", "html"))
    for name in VARIANTS:
        assert re.search(rf"^\| {name} \|.*\|$", table, re.MULTILINE)
        assert f'<tr class="{name}">' in page
        assert page.count(f"<figcaption>{name}</figcaption>") == 3
    assert "| 0.684 | 15.8 | 0.347 | 51.3 | 383.1 |" in table
    assert page.count("<polyline") == len(VARIANTS)
    assert page.count("data:image/png;base64,") == 3 * (len(VARIANTS) + 2)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_finished_comparison_is_not_made_again(plan, document):
    lines: list[str] = []
    again = run_ablations(plan, lines.append)
    assert lines == [str(plan.output / f"ablations.{suffix}") for suffix in ("json", "md", "html")]
    assert again["variants"] == document["variants"]


def test_a_stopped_comparison_goes_on_to_the_same_figures(plan, fewer, document, monkeypatch):
    monkeypatch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
    losses, stopped = GeneratorStage.losses, []

    def stop(self, step, generator):
        if step == 1 and not stopped:
            stopped.append(type(self))
            raise KeyboardInterrupt
        return losses(self, step, generator)

    monkeypatch.setattr(GeneratorStage, "losses", stop)
    with pytest.raises(KeyboardInterrupt):
        run_ablations(fewer, quietly)
    assert saved_step(fewer.output / FULL) == 1
    assert not (fewer.output / "ablations.json").exists()
    lines: list[str] = []
    resumed = run_ablations(fewer, lines.append)
    assert any("no_hints (2/2)  generator 2/2" in line and "for all variants" in line for line in lines)
    assert list(resumed["variants"]) == [FULL, "no_hints"]
    assert resumed["generated"] == 0
    for name, row in resumed["variants"].items():
        assert row["held_out"] == document["variants"][name]["held_out"]


def test_the_work_folder_is_only_read(work, plan, document):
    assert {file.name for file in work.iterdir()} >= {"recipe.json", "clips", "latents"}
    with safe_open(state_file(work, "generator"), framework="pt") as stored:
        assert stored.metadata()["step"] == "0"


def test_an_output_folder_keeps_its_plan(plan, document):
    with pytest.raises(TrainingMismatch, match="steps 2, seed 0"):
        run_ablations(replace(plan, steps=3), quietly)
    with pytest.raises(TrainingMismatch, match="other ablations"):
        run_ablations(replace(plan, seed=1), quietly)


def test_a_training_that_is_not_far_enough_is_refused(work, tmp_path):
    with pytest.raises(TrainingError, match=r"recipe\.json.*threedimo-train embedded"):
        open_ground(tmp_path / "none", 1, 0)
    copy = shutil.copytree(work, tmp_path / "work", copy_function=os.link)
    shutil.rmtree(copy / "latents")
    with pytest.raises(TrainingError, match="no latents"):
        open_ground(copy, 1, 0)


def test_damaged_files_are_named(plan, document, tmp_path):
    linked = shutil.copytree(plan.output, tmp_path / "copy", copy_function=os.link)
    copy = replace(plan, output=linked, variants=())
    clip = next((copy.output / FULL).glob("generated-*")) / "same_view-00000.json"
    for file, error in (
        (clip, TrainingMismatch),
        (copy.output / FULL / "held-out-1.json", TrainingMismatch),
        (copy.output / FULL / "generator.safetensors", TrainingError),
        (copy.output / "plan.json", TrainingMismatch),
    ):
        file.unlink()  # the file that it links to stays whole
        file.write_text("{")
        with pytest.raises(error, match=re.escape(file.name)):
            run_ablations(copy, quietly)


def test_impossible_plans_are_refused(plan, tmp_path):
    with pytest.raises(InvalidRequest, match="clips"):
        replace(plan, clips=0)
    with pytest.raises(InvalidRequest, match="generated"):
        replace(plan, generated=2)
    with pytest.raises(InvalidRequest, match="from 1 step"):
        run_ablations(replace(plan, steps=0), quietly)
    with pytest.raises(ModelNotFound, match="no probe"):
        run_ablations(replace(plan, probe=tmp_path / "none"), quietly)


def test_the_command_says_what_is_missing(tmp_path, capsys):
    arguments = ["ablations", "--work", str(tmp_path), "--output", str(tmp_path / "out"), "--steps", "1"]
    assert main([*arguments, "--device", "cpu"]) == 13
    assert "threedimo-train embedded" in capsys.readouterr().err
    assert main([*arguments, "--device", "cpu", "--variants", "no_camera"]) == 5
    assert not (tmp_path / "out").exists()


def test_the_help_names_every_variant(capsys):
    with pytest.raises(SystemExit):
        main(["ablations", "--help"])
    words = re.findall(r"\w+", capsys.readouterr().out)
    assert set(VARIANTS) <= set(words)
