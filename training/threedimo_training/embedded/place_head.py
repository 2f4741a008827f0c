"""Where the person is, read off hidden states: of the generator's middle, and of the encoder's patches.

In training only, and not in the paper, which starts from a generator that already knows people. Measured: a
small generator trained from nothing predicts pictures well for thousands of steps before it looks at the
motion at all. Asked in its middle where the target's body covers the picture and where its joints are,
which only the motion tells while the latents are mostly noise, it listens after a few hundred, as long as
the motion tokens tell anything. For that, the patches of the motion encoder are asked the same in its warm-
up: they learn it within some hundred steps, and give its tokens something to gather.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from threedimo_training.motion.skeleton import NUM_BODY_JOINTS

_CELLS = 4
JOINTS_WEIGHT = 0.25


class PlaceHead(nn.Module):
    """From a block's hidden states: how the body covers each token's part of the picture, and the joints."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.cover = nn.Linear(dim, _CELLS**2)
        self.joints = nn.Linear(dim, NUM_BODY_JOINTS)

    def loss(self, hidden: Tensor, grid: tuple[int, int, int], silhouette: Tensor, joints: Tensor) -> Tensor:
        """Cross-entropies of cover and joint places.

        Clean frames are asked too: a limb that is known by the same features in the reference and in the
        frame to be made can be copied from one to the other by the attention of the later blocks.

        Args:
            hidden: (batch, tokens, dim).
            grid: Latent frames, token rows and token columns.
            silhouette: (batch, latent_frames, height, width) bool: where the target's person is, in one video
                frame of each latent frame.
            joints: (batch, latent_frames, 24, 2), the joints' places, 0 to 1 inside the picture.
        """
        frames, rows, columns = grid
        hidden = rearrange(self.norm(hidden), "b (f n) d -> b f n d", f=frames)
        joints = joints.float()
        cover = F.adaptive_avg_pool2d(silhouette.float(), (rows * _CELLS, columns * _CELLS))
        cover = rearrange(cover, "b f (h y) (w x) -> b f (h w) (y x)", y=_CELLS, x=_CELLS)
        found = F.binary_cross_entropy_with_logits(self.cover(hidden).float(), cover)
        inside = ((joints >= 0) & (joints < 1)).all(dim=-1)
        places = (joints[..., 1] * rows).long() * columns + (joints[..., 0] * columns).long()
        places = torch.where(inside, places, -100)  # which cross_entropy ignores
        scores = rearrange(self.joints(hidden).float(), "b f n j -> (b f j) n")
        located = F.cross_entropy(scores, places.flatten(), reduction="sum") / inside.sum().clamp(min=1)
        return found + JOINTS_WEIGHT * located


@contextmanager
def hidden_states(block: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a block returns while the context lasts."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output)

    handle = block.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
