"""The Wan autoencoder's causal 3D convolutions as sums of 2D convolutions, for training on processors.

A causal convolution over time is a sum over its taps of 2D convolutions of earlier frames; taps that would
only see the zeros before the clip are left out. Processors run 2D convolutions, above all in bfloat16, many
times faster than 3D ones, whose bfloat16 gradient was even seen to hang. The results differ by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from einops import rearrange
from torch import Tensor


@contextmanager
def framewise_convolutions(device: torch.device) -> Iterator[None]:
    """Run every `WanCausalConv3d` frame by frame inside the block, where `device` is a processor."""
    if device.type != "cpu":
        yield
        return
    original = WanCausalConv3d.forward
    WanCausalConv3d.forward = _convolve
    try:
        yield
    finally:
        WanCausalConv3d.forward = original


def _convolve(self: WanCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    """What `WanCausalConv3d.forward` computes."""
    # Left, right, top, bottom and time before; the class keeps them in the order that F.pad reads.
    padding_w, _, padding_h, _, history, _ = (int(amount) for amount in self._padding)
    if cache_x is not None and history > 0:
        x = torch.cat([cache_x.to(x), x], dim=2)
        history -= cache_x.shape[2]
    taps, stride = self.weight.shape[2], self.stride[0]
    num_outputs = (history + x.shape[2] - taps) // stride + 1
    total: Tensor | None = None
    for tap in range(taps):
        # Output i hears input frame i * stride + tap - history; negative ones are the zeros before the clip.
        silent = max(0, -(-(history - tap) // stride))
        if silent >= num_outputs:
            continue
        first = silent * stride + tap - history
        heard = x[:, :, first : first + (num_outputs - silent - 1) * stride + 1 : stride]
        frames = rearrange(heard, "b c t h w -> (b t) c h w").contiguous(memory_format=torch.channels_last)
        kernel, step = self.weight[:, :, tap], (self.stride[1], self.stride[2])
        answer = F.conv2d(frames, kernel, None, stride=step, padding=(padding_h, padding_w))
        answer = rearrange(answer, "(b t) c h w -> b c t h w", b=x.shape[0])
        if silent:
            answer = F.pad(answer, (0, 0, 0, 0, silent, 0))
        total = answer if total is None else total + answer
    assert total is not None, "a causal convolution always hears the newest frame"
    return total if self.bias is None else total + self.bias.view(-1, 1, 1, 1).to(total)
