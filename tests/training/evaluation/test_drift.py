"""Drift of long clips with a real tiny pipeline (windows of 9 frames) and clips of stick people."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training.evaluation.conftest import stick_sample
from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest, UnsupportedFrameCount
from threedimo.windows import clip_windows
from threedimo_training.evaluation.drift import (
    DriftPlan,
    clip_drift,
    drift_slope,
    measure_drift,
)
from threedimo_training.evaluation.metrics import psnr
from threedimo_training.evaluation.runs import reconstruction

NUM_FRAMES = 29


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder):
    return load_pipeline(str(tiny_pipeline_folder), device="cpu")


@pytest.fixture(scope="module")
def sample():
    return stick_sample(np.random.default_rng(0), "moving_camera", num_frames=NUM_FRAMES)


@pytest.fixture(scope="module")
def rows(pipeline, sample):
    return clip_drift(pipeline, sample, clip_windows(pipeline.info, NUM_FRAMES, 1), seed=3)


def test_windows_share_no_frame_and_leave_none_out_but_the_reference(rows):
    assert [(row["start"], row["stop"]) for row in rows] == [(1, 9), (9, 17), (17, 25), (25, 29)]


def test_the_first_window_is_the_same_carried_on_or_not(rows):
    assert rows[0]["chained"] == rows[0]["restarted"]
    assert rows[1]["chained"] != rows[1]["restarted"]


def test_figures_are_those_of_the_frames(pipeline, sample, rows):
    target = sample.target
    frames = pipeline(
        target.frames[0],
        sample.driving.frames,
        target.text,
        target.path,
        fps=8.0,
        width=32,
        height=32,
        seed=3,
    ).frames
    decoded = reconstruction(pipeline, target.frames)
    for row in rows:
        own = slice(row["start"], row["stop"])
        assert row["chained"]["psnr_db"] == psnr(frames[own], target.frames[own])
        assert row["decoder"]["psnr_db"] == psnr(decoded[own], target.frames[own])
        assert row["chained"]["colour_delta_e"] > 0


def test_the_slope_is_what_carrying_on_adds_to_the_error():
    rows = [
        {
            "start": start,
            "chained": {"psnr_db": 30 - 0.02 * start},
            "restarted": {"psnr_db": 30 + 0.01 * start},
        }
        for start in range(1, 201, 8)
    ]
    assert drift_slope(rows, "psnr_db") == pytest.approx(-3.0)
    assert drift_slope(rows[:3], "psnr_db") is None


def test_a_document_has_every_window_and_memory(tmp_path, tiny_pipeline_folder):
    plan = DriftPlan(
        str(tiny_pipeline_folder), tmp_path / "drift.json", num_frames=NUM_FRAMES, clips=2, device="cpu"
    )
    lines = []
    measure_drift(
        plan, lambda _: lambda rng, role: stick_sample(rng, role, num_frames=NUM_FRAMES), lines.append
    )
    document = json.loads(plan.output.read_bytes())
    assert len(document["windows"]) == 4
    assert len(lines) == 2
    memory = [window["peak_memory_bytes"] for window in document["windows"]]
    assert memory == sorted(memory)
    assert memory[0] > 1e8
    assert document["windows"][3]["chained"]["psnr_db"]["n"] == 2
    assert set(document["drift"]) == {"psnr_db", "colour_delta_e"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"role": "front"}, InvalidRequest), ({"clips": 0}, InvalidRequest), ({"seed": -1}, InvalidRequest)],
)
def test_what_cannot_be_measured_is_refused(tmp_path, fields, error):
    with pytest.raises(error):
        DriftPlan("embedded", tmp_path / "drift.json", **fields)


def test_a_length_that_the_model_cannot_make_is_refused_before_anything_is_drawn(
    tmp_path, tiny_pipeline_folder
):
    plan = DriftPlan(str(tiny_pipeline_folder), tmp_path / "drift.json", num_frames=35, device="cpu")
    with pytest.raises(UnsupportedFrameCount):
        measure_drift(plan, lambda _: pytest.fail, print)
