import pytest
import torch

from threedimo_training.embedded.framewise_convolution import framewise_convolutions
from threedimo_training.embedded.recipe import make_autoencoder


@pytest.mark.parametrize("num_frames", [1, 5, 9])
def test_the_autoencoder_computes_the_same(num_frames):
    autoencoder = make_autoencoder().eval()
    video = torch.rand(2, 3, num_frames, 32, 32) * 2 - 1

    def run():
        latents = autoencoder.encode(video).latent_dist.mode()
        return latents, autoencoder.decode(latents).sample

    with torch.no_grad():
        plain = run()
        with framewise_convolutions(torch.device("cpu")):
            framewise = run()
        again = run()
    for one, other, third in zip(plain, framewise, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
        assert torch.equal(one, third)


def test_gradients_agree():
    autoencoder = make_autoencoder()
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    gradients = []
    for context in (framewise_convolutions(torch.device("cpu")), torch.enable_grad()):
        autoencoder.zero_grad()
        with context:
            autoencoder.decode(autoencoder.encode(video).latent_dist.mode()).sample.square().mean().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in autoencoder.parameters() if p.grad is not None])
        )
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-2)
