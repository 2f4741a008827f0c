"""Classifier-free guidance with two strings: one for the driving motion, one for text and camera.

    v = v(nothing) + s_motion * (v(motion) - v(nothing)) + s_text * (v(motion, text, camera) - v(motion))

"Nothing" is what the generator saw in training when conditions were dropped: the empty text, and motion and
camera tokens that are all zero. Written as a weighted sum of three velocities, whatever has weight zero is
never computed: with both scales at 1 a step is one forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from threedimo.models import MotionWanTransformer3DModel


@dataclass(frozen=True)
class Conditions:
    """What the generator hears beside the latents.

    Args:
        text: Text embeddings (batch, text_tokens, text_dim).
        motion_tokens: (batch, frames, K, motion_dim).
        camera_tokens: (batch, frames, 1, motion_dim).
    """

    text: Tensor
    motion_tokens: Tensor
    camera_tokens: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditions:
        """The same conditions on another device in another number format."""
        return Conditions(*(tensor.to(device, dtype) for tensor in vars(self).values()))


@dataclass(frozen=True)
class Branch:
    """One forward of the generator and the weight of its velocity; `name` keeps step caches apart."""

    name: str
    weight: float
    conditions: Conditions


def guidance_branches(
    full: Conditions, empty_text: Tensor, *, motion_scale: float, text_scale: float
) -> list[Branch]:
    """The forwards that one guided step needs: at most three, and none with weight zero.

    Args:
        full: Motion, text and camera.
        empty_text: Embeddings of the empty text, shaped as `full.text`.
        motion_scale: 1 takes the motion as it is, more exaggerates it.
        text_scale: The same for text and camera together.
    """
    motion = replace(full, text=empty_text, camera_tokens=torch.zeros_like(full.camera_tokens))
    nothing = replace(motion, motion_tokens=torch.zeros_like(full.motion_tokens))
    if torch.equal(full.text, empty_text) and not full.camera_tokens.any():
        text_scale = motion_scale  # v(motion) is v(motion, text, camera): one forward gives both
    weights = (1.0 - motion_scale, motion_scale - text_scale, text_scale)
    branches = zip(("nothing", "motion", "full"), weights, (nothing, motion, full), strict=True)
    return [Branch(*branch) for branch in branches if branch[1] != 0.0]


def guided_velocity(
    transformer: MotionWanTransformer3DModel, latents: Tensor, timesteps: Tensor, branches: list[Branch]
) -> Tensor:
    """Weighted sum of the branches' velocities, float32, shaped as `latents`.

    Args:
        transformer: The generator.
        latents: (batch, channels, latent_frames, height, width); leading frames may be clean.
        timesteps: (batch, latent_frames), 0 for clean frames.
        branches: From `guidance_branches`.
    """
    latents = latents.to(transformer.dtype)
    velocity = torch.zeros_like(latents, dtype=torch.float32)
    for branch in branches:
        with transformer.cache_context(branch.name):
            (predicted,) = transformer(
                latents,
                timesteps,
                branch.conditions.text,
                motion_tokens=branch.conditions.motion_tokens,
                camera_tokens=branch.conditions.camera_tokens,
                return_dict=False,
            )
        velocity += branch.weight * predicted.float()
    return velocity
