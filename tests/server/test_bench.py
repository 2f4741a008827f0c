"""The command that measures a model, as a person calls it."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest

from threedimo.errors import OutOfMemory
from threedimo.model_info import read_model_info
from threedimo_server.bench import BenchOptions, bench, bench_lines, failed_plans
from threedimo_server.device_use import DeviceUse
from threedimo_server.job_progress import JobProgress
from threedimo_server.served_models import ModelChoice


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


def test_presets_and_caches_are_measured_beside_plain_generation(run, tmp_path, tiny_pipeline_folder):
    options = ("--device", "cpu", "--rounds", 1, "--steps", 1, "--json", "--presets", "draft", "final")
    caches = ("--step-caches", "first_block:0", "first_block:1", "mag:1")
    code, out, err = run(tmp_path, "bench", "--model", tiny_pipeline_folder, *options, *caches)
    assert code == 0, err
    found = json.loads(out)["plans"]["full"]
    assert found["plain_denoising_s"] > 0
    settings = found["settings"]
    assert list(settings) == ["draft", "final", "first_block:0", "first_block:1", "mag:1"]
    # Two branches, as there is a text: two steps of the model, four of "final".
    forwards = {name: cost["forwards"] for name, cost in settings.items()}
    assert forwards == {"draft": 6, "final": 12, "first_block:0": 6, "first_block:1": 4.5, "mag:1": 3}
    for cost in settings.values():
        assert cost["times_faster"] == pytest.approx(found["plain_denoising_s"] / cost["denoising_s"])
    assert settings["first_block:0"]["psnr_db"] is None, "equal"
    assert settings["first_block:1"]["psnr_db"] > 10

    code, out, err = run(tmp_path, "bench", "--model", tiny_pipeline_folder, "--presets", "best")
    assert (code, out) == (5, "")
    assert "draft, standard, final" in err


def test_without_a_compiler_it_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "/bin/false")
    code, _, err = run(tmp_path, "bench", "--device", "cpu", "--rounds", 1, "--steps", 1, "--compile")
    assert code == 7, err
    last = err.splitlines()[-1]
    assert last.startswith("threedimo: error [server]: the model cannot be compiled on this machine")
    assert "leave --compile out" in last


def test_one_plan_that_fails_does_not_lose_the_others(monkeypatch, tiny_pipeline_folder):
    from threedimo import checkpoints

    load = checkpoints.load_pipeline

    def load_unless_too_large(memory, **options):
        if memory == "offload":
            raise OutOfMemory("the device has too little memory for this shot")
        return load(memory="full", **options)

    # A CPU has but one plan: here it can be asked for others, of which one does not fit.
    monkeypatch.setattr("threedimo.memory_plans.check_plan", lambda *_: None)
    monkeypatch.setattr(checkpoints, "load_pipeline", load_unless_too_large)
    choice = ModelChoice(str(tiny_pipeline_folder))
    with JobProgress() as progress:
        document = bench(BenchOptions(choice, DeviceUse("cpu"), ("offload", "full"), 1, 1), progress)
        with pytest.raises(OutOfMemory):
            bench(BenchOptions(choice, DeviceUse("cpu"), ("offload",), 1, 1), progress)
    assert list(document["plans"]) == ["offload", "full"]
    assert failed_plans(document) == ["offload"]
    assert document["plans"]["full"]["seconds_per_step"] > 0
    lines = list(bench_lines(document))
    assert "memory plan offload: [model.out_of_memory] the device has too little memory" in "\n".join(lines)


def test_calibrate_stores_what_mag_needs(run, tmp_path, tiny_pipeline_folder):
    folder = tmp_path / "model"
    shutil.copytree(tiny_pipeline_folder, folder)
    before = read_model_info(str(folder))
    code, out, err = run(tmp_path, "calibrate", "--model", folder, "--device", "cpu")
    assert code == 0, err
    assert "2 ratios in" in out
    info = read_model_info(str(folder))
    assert len(info.mag_ratios) == 2
    assert info == msgspec.structs.replace(before, mag_ratios=info.mag_ratios)
    code, out, err = run(tmp_path, "calibrate")
    assert (code, out) == (5, "")
    assert "no description of its own" in err


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
