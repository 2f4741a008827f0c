"""Training of the embedded model's causal video autoencoder, on short clips of the engine's own pictures."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

LATENT_NOISE = 0.05
"""Noise on the latents in training. Sampling the posterior instead, with a KL term, was measured to start far
more slowly: its first noise is as large as the latents."""
EDGE_WEIGHT = 0.5
LATENT_WEIGHT = 1e-3


def reconstruction_loss(
    autoencoder: AutoencoderKLWan, video: Tensor, generator: torch.Generator, weight: Tensor | None = None
) -> dict[str, Tensor]:
    """Losses of one batch.

    Args:
        autoencoder: In training.
        video: (batch, 3, frames, height, width) in [-1, 1], 4k+1 frames.
        generator: Of the noise on the latents.
        weight: (batch, 1, frames, height, width), how much each pixel counts; mean 1. None: all the same.

    Returns:
        `loss`, and what it is made of: `pixel` (mean absolute and squared error), `edge` (mean absolute error
        of the picture's gradients, which keeps limbs sharp) and `latent` (mean square, which keeps the
        latents from growing away from the noise); `psnr` in dB.
    """
    latents = _encode(autoencoder, video)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noised = latents + LATENT_NOISE * noise
    decoded = autoencoder.decode(noised, return_dict=False)[0].float()
    error = decoded - video
    squared = error.square()
    if weight is None:
        weight = torch.ones_like(error[:, :1])
    pixel = (weight * (error.abs() + squared)).mean()
    across, down = error.diff(dim=-1).abs(), error.diff(dim=-2).abs()
    edge = (weight[..., 1:] * across).mean() + (weight[..., 1:, :] * down).mean()
    latent = latents.float().square().mean()
    loss = pixel + EDGE_WEIGHT * edge + LATENT_WEIGHT * latent
    psnr = 10 * torch.log10(4 / squared.detach().mean())
    return {"loss": loss, "pixel": pixel, "edge": edge, "latent": latent, "psnr": psnr}


@torch.no_grad()
def measure_latents(autoencoder: AutoencoderKLWan, videos: list[Tensor]) -> None:
    """Store mean and standard deviation of each latent channel in the config, where pipelines expect them."""
    latents = torch.cat([_encode(autoencoder, video) for video in videos])
    channels = latents.transpose(0, 1).flatten(1)
    autoencoder.register_to_config(
        latents_mean=channels.mean(dim=1).tolist(), latents_std=channels.std(dim=1).tolist()
    )


def _encode(autoencoder: AutoencoderKLWan, video: Tensor) -> Tensor:
    (posterior,) = autoencoder.encode(video, return_dict=False)
    return posterior.mode()
