"""From noise to the latents of one window along the flow, with clean frames at its head.

Clean leading frames (the reference image, or the end of the window before) stand in the same sequence as the
noised ones, at timestep zero, and every self-attention layer can look at them (paper section 3.1; the
mechanism of Wan2.2-TI2V).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from threedimo.guidance import Branch, guided_velocity
from threedimo.models import MotionWanTransformer3DModel


@dataclass(frozen=True)
class DenoisingStep:
    """The state after a step.

    Args:
        latents: (1, channels, latent_frames, height, width), clean leading frames included, float32.
        clean_estimate: Call it for where the flow seemed to lead before the step, shaped as `latents`: less
            noisy than they are, and so the better preview. Costs nothing unless called.
    """

    latents: Tensor
    clean_estimate: Callable[[], Tensor]


def frame_timesteps(timestep: Tensor, num_lead_latents: int, latents: Tensor) -> Tensor:
    """A timestep for every latent frame: `timestep`, but 0 for the clean leading ones.

    Args:
        timestep: () or (batch,), in [0, 1000].
        num_lead_latents: Clean leading frames.
        latents: (batch, channels, latent_frames, height, width), for their shape.

    Returns:
        (batch, latent_frames)
    """
    batch, _, latent_frames = latents.shape[:3]
    noised = torch.arange(latent_frames, device=latents.device) >= num_lead_latents
    return timestep.to(latents.device).reshape(-1, 1) * noised.expand(batch, -1)


def even_noise_levels(num_steps: int) -> list[float]:
    """Shares of noise, evenly from 1 down to the last step's own share, before the scheduler shifts them.

    The default schedule of diffusers would spend the last step on an almost clean video.
    """
    return np.linspace(1, 1 / num_steps, num_steps).tolist()


def denoise(
    transformer: MotionWanTransformer3DModel,
    scheduler: FlowMatchEulerDiscreteScheduler,
    lead_latents: Tensor,
    noise: Tensor,
    branches: list[Branch],
    num_steps: int,
) -> Iterator[DenoisingStep]:
    """Follow the flow from noise to latents.

    Args:
        transformer: The generator.
        scheduler: Its flow-matching scheduler; its timesteps are set here.
        lead_latents: Clean leading frames (1, channels, num_lead_latents, height, width).
        noise: What follows them (1, channels, latent_frames - num_lead_latents, height, width).
        branches: Conditions with guidance, from `guidance_branches`.
        num_steps: Steps to take.

    Yields:
        The state after each step; the last one's latents are the result.
    """
    flow: Any = scheduler  # its annotations name tensor classes that torch has given up
    num_lead = lead_latents.shape[2]
    latents = torch.cat([lead_latents, noise], dim=2)
    flow.set_timesteps(sigmas=even_noise_levels(num_steps), device=latents.device)
    for timestep in flow.timesteps:
        before = latents
        timesteps = frame_timesteps(timestep, num_lead, latents)
        velocity = guided_velocity(transformer, latents, timesteps, branches)
        (after,) = flow.step(velocity, timestep, latents, return_dict=False)
        latents = torch.cat([lead_latents, after[:, :, num_lead:]], dim=2)
        sigma = timestep / flow.config["num_train_timesteps"]

        def clean_estimate(
            before: Tensor = before, velocity: Tensor = velocity, sigma: Tensor = sigma
        ) -> Tensor:
            return torch.cat([lead_latents, (before - sigma * velocity)[:, :, num_lead:]], dim=2)

        yield DenoisingStep(latents, clean_estimate)
