"""The command that measures a model, as a person calls it."""

from __future__ import annotations

import json

import pytest


def test_table_has_every_figure(run, tmp_path, tiny_pipeline_folder):
    options = ("--device", "cpu", "--rounds", 2, "--steps", 1)
    code, out, err = run(tmp_path, "bench", "--model", tiny_pipeline_folder, *options)
    assert code == 0, err
    first, second, *_ = out.splitlines()
    assert first.startswith("tiny on 1 threads of")
    assert second == "9 frames of 32x32, 1 steps, guidance 1.5 (motion) and 2 (text)"
    for words in (
        "a forward, plain",
        "1.000 of plain",
        "a forward, motion and camera",
        "denoising",
        "loaded in",
    ):
        assert words in out
    assert "memory of the device" not in out
    assert not list(tmp_path.iterdir()), "it needs no home"


def test_json_has_the_same_for_programs(run, tmp_path, tiny_pipeline_folder):
    options = ("--device", "cpu", "--rounds", 2, "--steps", 3, "--json", "--memory", "full")
    code, out, err = run(tmp_path, "bench", "--model", tiny_pipeline_folder, *options)
    assert code == 0, err
    document = json.loads(out)
    assert list(document["plans"]) == ["full"]
    found = document["plans"]["full"]
    assert set(found["forward"]) == {"plain", "no motion", "motion and camera"}
    assert found["seconds_per_step"] == pytest.approx(found["seconds"]["denoising"] / 3)
    assert found["peak_bytes"] is None
    assert document["shot"]["steps"] == 3
    assert set(document["versions"]) == {"threedimo", "python", "torch", "diffusers"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--device", "cpu", "--memory", "fp8"), "a CPU has one memory for all"),
        (("--rounds", "0"), "--rounds"),
    ],
)
def test_what_cannot_be_measured_is_said(run, tmp_path, tiny_pipeline_folder, arguments, says):
    code, out, err = run(tmp_path, "bench", "--model", tiny_pipeline_folder, *arguments)
    assert code != 0
    assert out == ""
    assert err.count("threedimo: error") == 1
    assert says in err
