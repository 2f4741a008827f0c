from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from threedimo.denoising import denoise, frame_timesteps
from threedimo.guidance import Branch, Conditions

NOTHING = Conditions(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))


class StraightFlow:
    """A generator whose flow is known: it leads from `noise` straight to `target`."""

    dtype = torch.float32

    def __init__(self, noise: torch.Tensor, target: torch.Tensor):
        self.velocity = noise - target
        self.timesteps: list[torch.Tensor] = []

    def cache_context(self, _name: str):
        return nullcontext()

    def __call__(self, _latents, timesteps, *_, **__):
        self.timesteps.append(timesteps)
        return (self.velocity,)


def run(num_steps: int, shift: float = 1.0):
    generator = torch.Generator().manual_seed(0)
    lead, noise, target = (torch.randn(1, 4, frames, 4, 4, generator=generator) for frames in (1, 2, 2))
    flow = StraightFlow(torch.cat([lead, noise], 2), torch.cat([lead * 7, target], 2))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    steps = list(denoise(flow, scheduler, lead, noise, [Branch("full", 1.0, NOTHING)], num_steps))  # type: ignore
    return lead, target, flow, steps


def test_clean_frames_are_at_time_zero():
    latents = torch.zeros(2, 4, 3, 4, 6)
    timesteps = frame_timesteps(torch.tensor(700.0), 1, latents)
    assert timesteps.tolist() == [[0.0, 700.0, 700.0]] * 2
    two = frame_timesteps(torch.tensor([700.0, 100.0]), 2, latents)
    assert two.tolist() == [[0.0, 0.0, 700.0], [0.0, 0.0, 100.0]]


@pytest.mark.parametrize("num_steps", [1, 2, 7])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_a_straight_flow_is_followed_to_its_end(num_steps, shift):
    _, target, _, steps = run(num_steps, shift)
    assert len(steps) == num_steps
    torch.testing.assert_close(steps[-1].latents[:, :, 1:], target)


def test_clean_frames_stay_exactly_as_they_are():
    lead, _, _, steps = run(5)
    for state in steps:
        assert torch.equal(state.latents[:, :, :1], lead)
        assert torch.equal(state.clean_estimate()[:, :, :1], lead)


def test_the_clean_estimate_sees_the_end_from_the_first_step_on():
    _, target, _, steps = run(5)
    for state in steps:
        torch.testing.assert_close(state.clean_estimate()[:, :, 1:], target)


def test_steps_fall_evenly_from_noise_before_the_shift():
    _, _, flow, _ = run(4)
    assert [float(timesteps[0, -1]) for timesteps in flow.timesteps] == [1000.0, 750.0, 500.0, 250.0]
    assert all(timesteps[0, 0] == 0 for timesteps in flow.timesteps)
