from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from threedimo.errors import InvalidRequest, InvalidShard, ModelNotFound
from threedimo_training.evaluation import evaluate as evaluation
from threedimo_training.evaluation.evaluate import EvaluationPlan, evaluate
from threedimo_training.evaluation.held_out_clips import held_out_clip

METRICS = {
    *("psnr", "person_psnr", "ssim", "gmsd", "silhouette_iou", "pose_error_deg", "camera_error_deg"),
    "identity_agreement",
}
CONTROLS = {"frozen_reference", "other_motion", "other_camera_text", "reconstruction"}
SPLITS = {"same_view", "cross_view", "moving_camera"}


def always(draw):
    return lambda _: draw


def quietly(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def plan(tmp_path_factory, probe_file, tiny_pipeline_folder) -> EvaluationPlan:
    folder = tmp_path_factory.mktemp("evaluation")
    return EvaluationPlan(
        str(tiny_pipeline_folder), probe_file, folder / "figures.json",
        clips=2, report=folder / "report", device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def document(plan, draw):
    evaluate(plan, always(draw), quietly)
    return json.loads(plan.output.read_bytes())


def check_figure(figure: dict, n: int) -> None:
    assert set(figure) == {"mean", "ci95", "n"}
    assert figure["n"] == n
    low, high = figure["ci95"]
    assert low <= figure["mean"] <= high


def test_the_json_holds_every_metric_of_every_split_and_control(document):
    assert set(document["splits"]) == SPLITS
    for figures in document["splits"].values():
        assert set(figures["controls"]) == CONTROLS
        for run in (figures, figures["text_alone"], figures["ground_truth"], *figures["controls"].values()):
            for metric in METRICS - {"identity_agreement"}:
                check_figure(run[metric], 2)
    for metric in ("pose_error_deg", "camera_error_deg"):
        check_figure(document["probe"][metric], 6)
    assert 0 <= document["probe"]["stranger_identity_agreement"]["mean"] < 0.7
    assert document["seconds_per_clip"] > 0
    assert document["clips"] == 2
    assert document["model"]["id"] == "tiny"
    assert {"versions", "hardware", "command", "seed"} <= set(document)


def test_arcs_are_counted_only_where_the_camera_makes_one(document):
    splits = document["splits"]
    assert splits["moving_camera"]["arc_camera_error_deg"]["n"] == 2
    assert splits["same_view"]["arc_camera_error_deg"] == {"mean": None, "ci95": None, "n": 0}


def test_true_frames_and_frozen_reference_are_what_they_say(document):
    for figures in document["splits"].values():
        assert figures["ground_truth"]["psnr"]["mean"] == pytest.approx(58.92, abs=0.01)
        frozen = figures["controls"]["frozen_reference"]
        assert frozen["psnr"]["mean"] < 40
    arcs = document["splits"]["moving_camera"]["controls"]["frozen_reference"]
    # all frames look alike, so that what is seen follows the person alone
    assert arcs["camera_error_deg"]["mean"] > 10


def test_each_control_changes_the_frames_by_its_own_input(plan, draw, document):
    from threedimo.checkpoints import load_pipeline
    from threedimo_training.evaluation.runs import run_clip

    pipeline = load_pipeline(plan.model, device="cpu")
    clip = held_out_clip(draw, "moving_camera", 0, 0)
    answers = run_clip(pipeline, clip).frames
    names = list(answers)
    for position, name in enumerate(names):
        for other in names[position + 1 :]:
            assert (answers[name] != answers[other]).any(), (name, other)
    again = run_clip(pipeline, clip).frames
    assert all((again[name] == answers[name]).all() for name in names)


def test_clips_follow_from_seed_split_and_number(draw):
    first, again, next_one = (held_out_clip(draw, "cross_view", index, 7) for index in (1, 1, 2))
    assert (first.sample.target.frames == again.sample.target.frames).all()
    assert first.noise_seed == again.noise_seed != next_one.noise_seed
    assert first.sample.target.text != first.other.target.text
    assert first.sample.motion_id != first.other.motion_id


def test_samples_of_the_training_are_refused(draw):
    with pytest.raises(InvalidRequest, match="trained on"):
        held_out_clip(lambda rng, role: replace(draw(rng, role), held_out=False), "same_view", 0, 0)


def test_a_stopped_evaluation_goes_on(plan, draw, document, tmp_path):
    small = replace(plan, output=tmp_path / "figures.json", report=None, clips=1)
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(small, always(draw), stop)
    assert not small.output.exists()
    more: list[str] = []
    evaluate(small, always(draw), more.append)
    assert len(more) == 1
    assert "moving_camera 0" in more[0]
    # a clip is the same however many there are
    both = (evaluation.read_record(folder, "same_view", 0) for folder in map(clip_folder, (small, plan)))
    first, second = (record.metrics for record in both)
    assert first == second


def clip_folder(plan: EvaluationPlan) -> Path:
    (folder,) = plan.output.with_name("figures-clips").iterdir()
    return folder


def test_damaged_figures_of_a_clip_are_named(plan, draw, document, tmp_path):
    broken = replace(plan, output=tmp_path / "figures.json", report=None, clips=1)
    folder = tmp_path / "figures-clips" / clip_folder(plan).name
    folder.mkdir(parents=True)
    (folder / "same_view-00000.json").write_text("{")
    with pytest.raises(InvalidShard, match=r"same_view-00000\.json"):
        evaluate(broken, always(draw), quietly)


def test_the_page_shows_the_cases_and_needs_nothing_else(plan, document):
    page = (plan.report / "index.html").read_text()
    for split in SPLITS:
        section = page.split(f'id="{split}"')[1].split("</section>")[0]
        assert re.findall(r'class="rank">(\w+)<', section) == ["best", "median"]  # of two clips
        assert section.count('src="data:image/webp;base64,') == 18
    assert "http" not in page
    assert "<script" not in page
    assert "± " in page


def test_a_missing_model_or_probe_is_an_error(plan, draw, tmp_path):
    with pytest.raises(ModelNotFound, match="no model"):
        evaluate(replace(plan, model=str(tmp_path / "none")), always(draw), quietly)
    with pytest.raises(ModelNotFound, match="no probe"):
        evaluate(replace(plan, probe=tmp_path / "none"), always(draw), quietly)


def test_impossible_plans_are_refused(plan):
    with pytest.raises(InvalidRequest, match="clips"):
        replace(plan, clips=0)
    with pytest.raises(InvalidRequest, match="seed"):
        replace(plan, seed=-1)


def test_other_seeds_are_other_clips(draw):
    first, second = (held_out_clip(draw, "same_view", 0, seed).sample.target.frames for seed in (0, 1))
    assert (np.asarray(first) != second).any()
