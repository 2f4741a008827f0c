from __future__ import annotations

import pytest
import torch

from threedimo.guidance import Branch, Conditions, guidance_branches, guided_velocity


@pytest.fixture
def full() -> Conditions:
    torch.manual_seed(0)
    return Conditions(torch.randn(1, 6, 32), torch.randn(1, 9, 3, 16), torch.randn(1, 9, 1, 16))


@pytest.fixture
def empty_text() -> torch.Tensor:
    return torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(1, 4, 3, 4, 4, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def velocity(pipeline, latents, text, motion_tokens, camera_tokens) -> torch.Tensor:
    return pipeline.transformer(
        latents,
        torch.tensor([700.0]),
        text,
        motion_tokens=motion_tokens,
        camera_tokens=camera_tokens,
    ).sample


@torch.no_grad()
@pytest.mark.parametrize(
    ("motion_scale", "text_scale"), [(2.0, 3.0), (1.0, 3.0), (2.0, 1.0), (2.5, 2.5), (0.0, 0.0)]
)
def test_it_is_the_formula(pipeline, full, empty_text, latents, motion_scale, text_scale):
    no_motion, no_camera = torch.zeros_like(full.motion_tokens), torch.zeros_like(full.camera_tokens)
    v_nothing = velocity(pipeline, latents, empty_text, no_motion, no_camera)
    v_motion = velocity(pipeline, latents, empty_text, full.motion_tokens, no_camera)
    v_full = velocity(pipeline, latents, full.text, full.motion_tokens, full.camera_tokens)
    expected = v_nothing + motion_scale * (v_motion - v_nothing) + text_scale * (v_full - v_motion)

    branches = guidance_branches(full, empty_text, motion_scale=motion_scale, text_scale=text_scale)
    timesteps = torch.full((1, 3), 700.0)
    guided = guided_velocity(pipeline.transformer, latents, timesteps, branches)
    torch.testing.assert_close(guided, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("motion_scale", "text_scale", "names"),
    [
        (1.0, 1.0, ["full"]),
        (1.0, 5.0, ["motion", "full"]),
        (2.0, 2.0, ["nothing", "full"]),
        (2.0, 5.0, ["nothing", "motion", "full"]),
        (0.0, 0.0, ["nothing"]),
        (2.0, 0.0, ["nothing", "motion"]),
    ],
)
def test_forwards_without_weight_are_left_out(full, empty_text, motion_scale, text_scale, names):
    branches = guidance_branches(full, empty_text, motion_scale=motion_scale, text_scale=text_scale)
    assert [branch.name for branch in branches] == names
    assert sum(branch.weight for branch in branches) == pytest.approx(1.0)


def test_without_text_and_camera_their_scale_costs_nothing(full, empty_text):
    silent = Conditions(empty_text, full.motion_tokens, torch.zeros_like(full.camera_tokens))
    branches = guidance_branches(silent, empty_text, motion_scale=2.0, text_scale=5.0)
    assert {branch.name: branch.weight for branch in branches} == {"nothing": -1.0, "full": 2.0}
    (only,) = guidance_branches(silent, empty_text, motion_scale=1.0, text_scale=5.0)
    assert (only.name, only.weight) == ("full", 1.0)


def test_a_dropped_condition_is_zeros_of_the_same_shape_and_the_empty_text(full, empty_text):
    nothing, motion, kept = guidance_branches(full, empty_text, motion_scale=2.0, text_scale=5.0)
    assert kept.conditions is full
    assert torch.equal(motion.conditions.motion_tokens, full.motion_tokens)
    for branch in (nothing, motion):
        assert torch.equal(branch.conditions.text, empty_text)
        assert torch.equal(branch.conditions.camera_tokens, torch.zeros_like(full.camera_tokens))
    assert torch.equal(nothing.conditions.motion_tokens, torch.zeros_like(full.motion_tokens))


@torch.no_grad()
def test_one_branch_of_weight_one_is_the_velocity_itself(pipeline, full, latents):
    expected = velocity(pipeline, latents, full.text, full.motion_tokens, full.camera_tokens)
    guided = guided_velocity(
        pipeline.transformer, latents, torch.tensor([700.0]), [Branch("full", 1.0, full)]
    )
    assert torch.equal(guided, expected)
