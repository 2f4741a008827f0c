"""What `threedimo bench` measures: the plain generator is the stock one, and forwards are those of a shot."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel

from threedimo.checkpoints import load_pipeline
from threedimo.step_costs import CONTROLLED, PLAIN, SILENT, forward_costs, plain_generator, shot_cost


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder):
    return load_pipeline(str(tiny_pipeline_folder), device="cpu")


@pytest.fixture
def shapes(pipeline, monkeypatch):
    """Of what the generator is called with, call by call."""
    seen = []
    forward = type(pipeline.transformer).forward

    def note(self, hidden_states, timestep, encoder_hidden_states, **options):
        tensors = hidden_states, timestep, encoder_hidden_states
        tokens = [options[name].shape for name in ("motion_tokens", "camera_tokens") if name in options]
        seen.append([*(tensor.shape for tensor in tensors), *tokens])
        return forward(self, *tensors, **options)

    monkeypatch.setattr(type(pipeline.transformer), "forward", note)
    return seen


def test_plain_generator_is_stock_shares_our_tensors_and_computes_the_same(pipeline):
    ours = pipeline.transformer
    plain = plain_generator(ours)
    assert type(plain) is WanTransformer3DModel
    mine = {name: tensor.data_ptr() for name, tensor in ours.named_parameters()}
    assert all(mine[name] == tensor.data_ptr() for name, tensor in plain.named_parameters())
    torch.manual_seed(0)
    inputs = {
        "hidden_states": torch.randn(1, ours.config["in_channels"], 3, 4, 4),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 6, ours.config["text_dim"]),
    }
    with torch.no_grad():
        assert torch.equal(plain(**inputs).sample, ours(**inputs).sample)


def test_forwards_are_timed_in_turn(pipeline):
    heard = []
    costs = forward_costs(pipeline, 3, heard.append)
    assert list(costs) == [PLAIN, SILENT, CONTROLLED]
    assert heard == [0, 1, 2, 3]
    assert costs[PLAIN].ratio == 1.0
    assert all(cost.seconds > 0 and cost.ratio > 0 for cost in costs.values())


def test_forwards_are_those_of_a_shot(pipeline, shapes):
    shot_cost(pipeline, 1)
    in_a_shot = shapes[0]
    shapes.clear()
    forward_costs(pipeline, 1)
    silent, controlled = shapes[:2]
    assert controlled == in_a_shot
    assert silent == in_a_shot[:3]


def test_shot_is_counted_by_its_phases(pipeline):
    heard = []
    cost = shot_cost(pipeline, 2, heard.append)
    assert set(cost.seconds) == {"encoding", "denoising", "rendering"}
    assert cost.seconds_per_step == pytest.approx(cost.seconds["denoising"] / 2)
    assert cost.peak_bytes is None
    assert heard == [0, 1, 2]


@pytest.mark.gpu
def test_on_a_gpu_every_plan_is_measured_with_its_memory(tiny_pipeline_folder):
    for plan in ("full", "offload", "fp8", "tiny"):
        pipeline = load_pipeline(str(tiny_pipeline_folder), device="cuda", memory=plan)
        cost = shot_cost(pipeline, 2)
        assert cost.peak_bytes is not None
        assert cost.peak_bytes > 0
