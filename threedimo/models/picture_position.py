"""Where in the picture a video token is, added to it before the first block.

Not in the paper, and off unless a generator's configuration asks for it. Wan's positions are rotary: a token
knows how far it is from others and has to find out where it is itself. Large pretrained generators have
learned that. A small one of ours had not: the best linear map read a token's column off its last block to 0.8
of 8 columns, and off its third no better than chance, so that it could not tell where motion and camera
wanted a limb.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PicturePosition(nn.Module):
    """Sines and cosines of a token's place, through a linear layer that begins with zeros.

    The unit is half the picture's height, from its middle, as in a camera's vertical field of view: a picture
    that is wider than high only adds places at its sides.

    Args:
        dim: Width of the tokens.
        num_octaves: Frequencies, each twice the one before; the slowest has a period of twice the height.
            The fastest should have a period of at least two tokens.
    """

    def __init__(self, dim: int, num_octaves: int):
        super().__init__()
        self.num_octaves = num_octaves
        self.proj = nn.Linear(4 * num_octaves, dim)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Add their places to tokens (batch, latent_frames * height * width, dim).

        Args:
            tokens: Of the video.
            grid: Their latent frames, height and width.
        """
        latent_frames, height, width = grid
        rows = torch.arange(height, device=tokens.device) + 0.5 - height / 2
        columns = torch.arange(width, device=tokens.device) + 0.5 - width / 2
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1) * 2 / height
        frequencies = math.pi / 2 * 2.0 ** torch.arange(self.num_octaves, device=tokens.device)
        angles = (places[..., None] * frequencies).flatten(1)
        # not in the weights' own format, which may be one that is only stored
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).to(tokens.dtype)
        return tokens + self.proj(waves).repeat(latent_frames, 1)
