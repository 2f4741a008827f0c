"""The denoising objective: flow matching towards a velocity, with clean leading frames (paper section 4).

At noise level s the noised latents are (1 - s) * clean + s * noise, and the generator predicts noise minus
clean. The first latent frame is the reference image and stays clean (level 0); now and then two leading
frames do, so that the model learns to continue a clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor

from threedimo.models import MotionWanTransformer3DModel

NUM_TRAIN_TIMESTEPS = 1000
LEVEL_MEAN, LEVEL_DEVIATION = 0.6, 1.3


@dataclass(frozen=True)
class FlowBatch:
    """Latents at random noise levels.

    Args:
        noised: (batch, channels, latent_frames, height, width).
        velocity: The target, of the same shape.
        timesteps: (batch, latent_frames), 0 for clean frames.
        num_lead: Leading latent frames that are clean and carry no loss.
    """

    noised: Tensor
    velocity: Tensor
    timesteps: Tensor
    num_lead: int


def noise_latents(latents: Tensor, num_lead: int, levels: Tensor, noise: Tensor) -> FlowBatch:
    """Noise all but the leading frames.

    Args:
        latents: Clean latents (batch, channels, latent_frames, height, width), unit variance.
        num_lead: Leading frames that stay clean.
        levels: (batch,) noise levels in (0, 1).
        noise: Normal noise shaped as `latents`.
    """
    level_of_frame = repeat(levels, "b -> b f", f=latents.shape[2]).clone()
    level_of_frame[:, :num_lead] = 0
    level = rearrange(level_of_frame, "b f -> b 1 f 1 1")
    noised = (1 - level) * latents + level * noise
    return FlowBatch(noised, noise - latents, level_of_frame * NUM_TRAIN_TIMESTEPS, num_lead)


def flow_loss(predicted: Tensor, batch: FlowBatch, weight: Tensor | None = None) -> Tensor:
    """Mean squared error of the velocity for each sample, over the frames that carry noise.

    Args:
        predicted: The generator's velocity.
        batch: What it was given.
        weight: (batch, 1, latent_frames, height, width), how much each place counts; mean about 1.

    Returns:
        (batch,)
    """
    error = (predicted.float() - batch.velocity) ** 2
    if weight is not None:
        error = error * weight
    return error[:, :, batch.num_lead :].flatten(1).mean(dim=1)


def random_levels(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels from a logit-normal distribution that leans to high noise, where poses are decided."""
    return torch.sigmoid(LEVEL_MEAN + LEVEL_DEVIATION * torch.randn(count, generator=generator))


def predict_velocity(
    transformer: MotionWanTransformer3DModel, batch: FlowBatch, text: Tensor, motion: Tensor, camera: Tensor
) -> Tensor:
    """Run the generator on a batch with its three conditions."""
    return transformer(
        batch.noised, batch.timesteps, text, motion_tokens=motion, camera_tokens=camera, return_dict=False
    )[0]
