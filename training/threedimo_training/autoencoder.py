"""Training of the embedded model's causal video autoencoder, on short clips of the engine's own pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor

KL_WEIGHT = 1e-5
EDGE_WEIGHT = 1.0


def reconstruction_loss(autoencoder: AutoencoderKLWan, video: Tensor) -> dict[str, Tensor]:
    """Losses of one batch.

    Args:
        autoencoder: In training.
        video: (batch, 3, frames, height, width) in [-1, 1], 4k+1 frames.

    Returns:
        `loss`, and its parts `pixel` (mean absolute error), `edge` (the same of the picture's gradients,
        which keeps limbs sharp) and `kl`.
    """
    posterior = autoencoder.encode(video).latent_dist
    decoded = autoencoder.decode(posterior.sample()).sample
    pixel = F.l1_loss(decoded, video)
    edge = F.l1_loss(decoded.diff(dim=-1), video.diff(dim=-1)) + F.l1_loss(
        decoded.diff(dim=-2), video.diff(dim=-2)
    )
    kl = posterior.kl().mean() / video[0, 0].numel()
    return {"loss": pixel + EDGE_WEIGHT * edge + KL_WEIGHT * kl, "pixel": pixel, "edge": edge, "kl": kl}


@torch.no_grad()
def measure_latents(autoencoder: AutoencoderKLWan, videos: list[Tensor]) -> None:
    """Store mean and standard deviation of each latent channel in the config, where pipelines expect them."""
    latents = torch.cat([autoencoder.encode(video).latent_dist.mode() for video in videos])
    channels = latents.transpose(0, 1).flatten(1)
    autoencoder.register_to_config(
        latents_mean=channels.mean(dim=1).tolist(), latents_std=channels.std(dim=1).tolist()
    )
