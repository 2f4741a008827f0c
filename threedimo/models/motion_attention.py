"""Motion cross-attention (paper section 3.3): video tokens ask motion and camera tokens what happens when.

One such layer follows every self-attention of the generator. Only video tokens query, text never takes part.
Both sides carry their time as a rotary position, so that a latent frame finds the driving frames it covers.

Queries and keys have offsets that match best at the same time, so that from the first step of a training each
latent frame looks at the driving frames around it, rather than at the mean of all; training may change them.
The values have none: a dropped condition is all-zero tokens, and all-zero tokens add exactly nothing. The
output projection starts at zero, so that an untrained adapter leaves the generator as it was. There is no
mask, which flash attention kernels would refuse. The projections are not called `to_q`, `to_k` and so on, so
that LoRA recipes for the generator's attention never wrap them by accident.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.normalization import FP32LayerNorm
from einops import rearrange
from torch import Tensor, nn

Rotary = tuple[Tensor, Tensor]


def time_rotary(times: Tensor, head_dim: int, theta: float = 1000.0) -> Rotary:
    """Rotary position embedding of points in time.

    Args:
        times: (tokens,) in video frames since the start of the clip, fractions allowed.
        head_dim: Width of an attention head; even.
        theta: Longest wavelength, in radians^-1; 1000 frames cover every clip length in use.

    Returns:
        Cosines and sines, each (1, tokens, 1, head_dim / 2), float32.
    """
    angles = times.float()[:, None] * _frequencies(head_dim, theta).to(times.device)
    return angles.cos()[None, :, None], angles.sin()[None, :, None]


def near_in_time(head_dim: int, theta: float = 1000.0) -> Tensor:
    """An offset (head_dim,) of queries and keys by which equal times match, and those 4 frames apart hardly.

    It gives equal times 4 more in the exponent of the attention, before content has a say.
    """
    fast = (_frequencies(head_dim, theta) > 0.1).float()
    return torch.cat([fast, torch.zeros_like(fast)]) * (4 * head_dim**0.5 / fast.sum()) ** 0.5


def _frequencies(head_dim: int, theta: float) -> Tensor:
    return theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)


def rotate(heads: Tensor, rotary: Rotary) -> Tensor:
    """Turn queries or keys (batch, tokens, heads, head_dim) by their rotary position."""
    cos, sin = rotary
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).type_as(heads)


class MotionAttention(nn.Module):
    """Cross-attention from video tokens to motion and camera tokens, with an inner width of its own.

    Args:
        dim: Width of the generator.
        motion_dim: Width of the motion and camera tokens.
        inner_dim: Width inside the attention; a bottleneck of 512 costs about 2 % of a 5B generator's step.
        num_heads: Attention heads; `inner_dim` is a multiple of it.
        eps: Of the norms.
    """

    def __init__(self, dim: int, motion_dim: int, inner_dim: int, num_heads: int, eps: float = 1e-6):
        super().__init__()
        if inner_dim % num_heads:
            raise ValueError(f"inner_dim {inner_dim} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.norm = FP32LayerNorm(dim, eps, elementwise_affine=True)
        self.query = nn.Linear(dim, inner_dim, bias=False)
        self.key = nn.Linear(motion_dim, inner_dim, bias=False)
        self.value = nn.Linear(motion_dim, inner_dim, bias=False)
        self.norm_query = nn.RMSNorm(inner_dim, eps)
        self.norm_key = nn.RMSNorm(inner_dim, eps)
        self.out = nn.Linear(inner_dim, dim, bias=False)
        nn.init.zeros_(self.out.weight)
        offset = near_in_time(inner_dim // num_heads).repeat(num_heads)
        self.query_offset, self.key_offset = nn.Parameter(offset.clone()), nn.Parameter(offset.clone())

    def forward(
        self, hidden_states: Tensor, tokens: Tensor, query_rotary: Rotary, key_rotary: Rotary
    ) -> Tensor:
        """Return what to add to the video tokens.

        Args:
            hidden_states: Video tokens (batch, video_tokens, dim).
            tokens: Motion and camera tokens (batch, tokens, motion_dim).
            query_rotary: `time_rotary` of the video tokens.
            key_rotary: `time_rotary` of `tokens`.

        Returns:
            (batch, video_tokens, dim)
        """
        query = self.norm_query(self.query(self.norm(hidden_states))) + self.query_offset
        key = self.norm_key(self.key(tokens)) + self.key_offset
        query, key, value = (
            rearrange(x, "b n (h d) -> b n h d", h=self.num_heads) for x in (query, key, self.value(tokens))
        )
        answer = dispatch_attention_fn(rotate(query, query_rotary), rotate(key, key_rotary), value)
        return self.out(rearrange(answer, "b n h d -> b n (h d)"))
