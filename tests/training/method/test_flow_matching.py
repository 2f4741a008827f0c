import pytest
import torch

from threedimo_training.method.flow_matching import flow_loss, noise_latents, random_levels


@pytest.mark.parametrize("num_lead", [1, 2])
def test_leading_frames_stay_clean_and_have_time_zero(num_lead):
    latents, noise = torch.randn(2, 2, 3, 4, 5, 6).unbind(0)
    batch = noise_latents(latents, num_lead, torch.tensor([0.5, 0.9]), noise)
    assert torch.equal(batch.noised[:, :, :num_lead], latents[:, :, :num_lead])
    assert not torch.equal(batch.noised[:, :, num_lead:], latents[:, :, num_lead:])
    times = batch.timesteps
    assert times.shape == (2, 4)
    assert (times[:, :num_lead] == 0).all()
    assert times[0, num_lead:].unique().tolist() == [500.0]
    assert times[1, num_lead:].unique().tolist() == pytest.approx([900.0])


def test_following_the_velocity_back_from_the_noise_gives_the_clean_latents():
    latents, noise = torch.randn(2, 1, 3, 4, 4, 4).unbind(0)
    level = torch.tensor([0.7])
    batch = noise_latents(latents, 1, level, noise)
    restored = batch.noised[:, :, 1:] - level * batch.velocity[:, :, 1:]
    torch.testing.assert_close(restored, latents[:, :, 1:])


def test_loss_is_zero_only_for_the_velocity_and_ignores_clean_frames():
    latents, noise = torch.randn(2, 2, 3, 4, 4, 4).unbind(0)
    batch = noise_latents(latents, 1, torch.tensor([0.3, 0.6]), noise)
    wrong_in_the_lead = batch.velocity.clone()
    wrong_in_the_lead[:, :, 0] += 5
    assert flow_loss(wrong_in_the_lead, batch).tolist() == [0.0, 0.0]
    assert (flow_loss(batch.velocity + 1, batch) > 0.99).all()


def test_weights_scale_the_error_place_by_place():
    latents, noise = torch.randn(2, 1, 3, 4, 4, 4).unbind(0)
    batch = noise_latents(latents, 1, torch.tensor([0.5]), noise)
    weight = torch.zeros(1, 1, 4, 4, 4)
    weight[..., 0] = 1
    wrong = batch.velocity.clone()
    wrong[..., 1:] += 3
    assert flow_loss(wrong, batch, weight).item() == 0.0


def test_levels_are_inside_zero_and_one(generator):
    levels = random_levels(1000, generator)
    assert 0 < levels.min() < 0.1
    assert 0.9 < levels.max() < 1
