import time

import pytest
import torch
from torch import nn

from threedimo.errors import InvalidModel
from threedimo_training.stages import Stage
from threedimo_training.trainer import learning_rate_at, run_stage, state_file
from threedimo_training.training_state import load_state


class _Line(Stage):
    """Fit a line; real optimisation of a real module, small enough to compare bit by bit."""

    name, learning_rate = "line", 5e-2

    def __init__(self, num_steps: int, width: int = 3):
        torch.manual_seed(1)
        self.num_steps, self.layer = num_steps, nn.Linear(width, 1)
        self.modules = {"layer": self.layer}

    def losses(self, step, generator):
        del step
        x = torch.randn(16, self.layer.in_features, generator=generator)
        return {"loss": ((self.layer(x) - x.sum(1, keepdim=True)) ** 2).mean()}


class _Stopped(_Line):
    """Stops as if killed by the clock after a few steps."""

    def __init__(self, num_steps: int, stop_at: int):
        super().__init__(num_steps)
        self.stop_at = stop_at

    def losses(self, step, generator):
        if step >= self.stop_at:
            raise KeyboardInterrupt
        return super().losses(step, generator)


def _forever() -> float:
    return time.monotonic() + 3600


def test_resuming_gives_the_same_weights_as_not_stopping(tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir(), pieces.mkdir()
    stage = _Line(200)
    assert run_stage(stage, whole, _forever(), print)
    assert not run_stage(_Line(200), pieces, time.monotonic() + 0.02, print)
    resumed = _Line(200)
    assert run_stage(resumed, pieces, _forever(), print)
    assert torch.equal(stage.layer.weight, resumed.layer.weight)
    assert abs(stage.layer.weight.mean().item() - 1) < 0.2


def test_a_stop_in_the_middle_keeps_the_last_saved_state(tmp_path, monkeypatch):
    monkeypatch.setattr("threedimo_training.trainer.SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run_stage(_Stopped(50, stop_at=20), tmp_path, _forever(), print)
    step, _ = load_state(state_file(tmp_path, "line"), _Line(50).modules)
    assert step == 20


def test_a_loss_that_is_no_number_stops_with_the_last_state_intact(tmp_path):
    run_stage(_Line(10), tmp_path, _forever(), print)
    before = state_file(tmp_path, "line").read_bytes()

    class Broken(_Line):
        def losses(self, step, generator):
            return {"loss": super().losses(step, generator)["loss"] * float("nan")}

    with pytest.raises(InvalidModel, match="no longer a number at step 10"):
        run_stage(Broken(20), tmp_path, _forever(), print)
    assert state_file(tmp_path, "line").read_bytes() == before


def test_a_state_of_another_configuration_is_refused(tmp_path):
    run_stage(_Line(2), tmp_path, _forever(), print)
    with pytest.raises(InvalidModel, match="another configuration of layer"):
        load_state(state_file(tmp_path, "line"), _Line(2, width=5).modules)


def test_learning_rate_rises_then_falls():
    rates = [learning_rate_at(step, 1000, 1.0) for step in (0, 99, 500, 999)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[1] > rates[2] > rates[3] == pytest.approx(0.05, abs=0.01)
