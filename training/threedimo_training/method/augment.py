"""Augmentation of the driving frames before encoding, in training only (paper section 4.2).

Random perspective warps stand for changes of view that leave the motion as it is; colour jitter keeps the
driving person's looks out of the tokens. The target is never augmented. One warp and one jitter serve a whole
clip, so that nothing flickers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

MAX_CORNER_SHIFT = 0.12
MAX_SCALE, MAX_SHIFT = 0.12, 0.08


def jitter_colours(video: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and each colour channel of (batch, 3, frames, height, width) in [-1, 1]."""
    batch = video.shape[0]

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand(batch, channels, 1, 1, 1, generator=generator) * (high - low) + low
        return values.to(video.device)

    mixed = video * uniform(0.75, 1.25) * uniform(0.85, 1.15, channels=3) + uniform(-0.2, 0.2)
    # Half of the clips exchange colour channels, so that skin and cloth have no constant colour.
    order = torch.randperm(3, generator=generator)
    swapped = torch.rand(batch, 1, 1, 1, 1, generator=generator).to(video.device) < 0.5
    return torch.where(swapped, mixed[:, order], mixed).clamp(-1, 1)


def warp_perspective(video: Tensor, generator: torch.Generator) -> Tensor:
    """Look at each clip through a random homography: keystone, scale and shift; the border is repeated."""
    batch, _, frames, height, width = video.shape
    keystone = (torch.rand(batch, 2, generator=generator) * 2 - 1) * MAX_CORNER_SHIFT
    scale = 1 + (torch.rand(batch, 2, generator=generator) * 2 - 1) * MAX_SCALE
    shift = (torch.rand(batch, 2, generator=generator) * 2 - 1) * MAX_SHIFT
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    depth = 1 + keystone[:, 0, None, None] * x + keystone[:, 1, None, None] * y
    grid = torch.stack(
        [
            (scale[:, 0, None, None] * x + shift[:, 0, None, None]) / depth,
            (scale[:, 1, None, None] * y + shift[:, 1, None, None]) / depth,
        ],
        dim=-1,
    )
    stacked = rearrange(video, "b c f h w -> b (c f) h w")
    warped = F.grid_sample(stacked, grid.to(video), padding_mode="border", align_corners=True)
    return rearrange(warped, "b (c f) h w -> b c f h w", f=frames)
