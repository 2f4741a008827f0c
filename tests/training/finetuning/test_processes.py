"""Real processes: one that is killed, and two that share a batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from threedimo_training.finetuning.finetune import finetune
from threedimo_training.trainer.loop import state_file

PROGRAM = Path(__file__).parent / "programs" / "train.py"


def command(options) -> list[str]:
    given = {
        "--base": options.base,
        "--work": str(options.work),
        "--train": options.train,
        "--steps": str(options.steps),
        "--batch": str(options.batch),
        "--at-once": str(options.at_once),
        "--lora-rank": str(options.lora_rank),
    }
    pairs = [word for pair in given.items() for word in pair]
    return [str(PROGRAM), "finetune", *pairs, "--data", *map(str, options.data)]


def steps_done(options) -> int:
    try:
        with safe_open(state_file(options.work, "finetune"), framework="pt") as stored:
            return int(stored.metadata()["step"])
    except FileNotFoundError:
        return 0


def test_killed_in_the_middle_it_ends_in_the_same_weights(options, tmp_path):
    options = replace(options, train="lora", steps=16)
    killed = replace(options, work=tmp_path / "killed")
    process = subprocess.Popen([sys.executable, *command(killed)], stdout=subprocess.DEVNULL)
    try:
        patience = time.monotonic() + 120
        while steps_done(killed) < 3:
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 3 <= steps_done(killed) < 16
    assert finetune(killed, lambda _: None)
    assert finetune(options, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (options.work, killed.work))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_and_go_on_with_its_state(options, run_until, tmp_path):
    options = replace(options, train="lora", steps=4, batch=4, at_once=1)
    shared = replace(options, work=tmp_path / "shared")
    run_until(shared, 2)
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    settings = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *launch, *settings, *command(shared)],
        env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("finetune 4/4") == 1  # the main process alone reports
    assert finetune(options, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (options.work, shared.work))
    assert one.keys() == other.keys()
    for name, value in one.items():
        apart = (value.float() - other[name].float()).abs().max()
        assert apart < 1e-6 + 1e-3 * value.float().abs().max(), name
