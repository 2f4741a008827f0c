"""What generators of all families share: the times that motion attention compares, and how it is attached."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from accelerate import init_empty_weights
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import Tensor, nn

from threedimo.models.motion_attention import MotionAttention, Rotary, time_rotary

MOTION_LAYER = "motion_attn"
"""Name of the added layer in every block; an adapter checkpoint holds the tensors under this name."""

TEMPORAL_COMPRESSION = 4
"""Video frames a latent frame, after the first, in the video autoencoder of every supported family."""


def latent_frame_times(num_latent_frames: int, device: torch.device) -> Tensor:
    """Middle of the video frames that each latent frame covers: 0, then 2.5, 6.5, ... in frames."""
    times = torch.arange(num_latent_frames, device=device) * float(TEMPORAL_COMPRESSION)
    return (times - (TEMPORAL_COMPRESSION - 1) / 2).clamp(min=0)


class VideoTimeRotary(nn.Module):
    """Rotary positions in time of the video tokens, for their motion queries.

    A module of its own, so that context parallelism can split its output as it splits the tokens.
    """

    def __init__(self, head_dim: int):
        super().__init__()
        self.head_dim = head_dim

    def forward(self, grid: tuple[int, int, int], device: torch.device) -> Rotary:
        """Positions for tokens on a grid of (latent_frames, height, width)."""
        times = latent_frame_times(grid[0], device).repeat_interleave(grid[1] * grid[2])
        return time_rotary(times, self.head_dim)


def motion_context(
    video_times: VideoTimeRotary,
    motion_tokens: Tensor | None,
    camera_tokens: Tensor | None,
    grid: tuple[int, int, int],
) -> tuple[Tensor | None, tuple[Rotary, Rotary] | None]:
    """Join both kinds of tokens and give both sides of the attention their times.

    Args:
        video_times: The generator's own.
        motion_tokens: (batch, frames, K, motion_dim).
        camera_tokens: (batch, frames, 1, motion_dim).
        grid: Of the video tokens: (latent_frames, height, width).

    Returns:
        Tokens (batch, tokens, motion_dim), and the positions of video tokens and of these; None for both
        where there are no tokens at all.
    """
    given = [tokens for tokens in (motion_tokens, camera_tokens) if tokens is not None]
    if not given:
        return None, None
    device = given[0].device
    frame_times = [
        torch.arange(tokens.shape[1], device=device).repeat_interleave(tokens.shape[2]) for tokens in given
    ]
    rotary = (video_times(grid, device), time_rotary(torch.cat(frame_times), video_times.head_dim))
    return torch.cat([rearrange(tokens, "b f k d -> b (f k) d") for tokens in given], dim=1), rotary


class MotionGenerator:
    """What a generator with motion attention in every block can do, whatever its family; a mixin.

    Attributes:
        BLOCKS: Name of the list of blocks.
    """

    BLOCKS: ClassVar[str]

    @classmethod
    def from_transformer(
        cls,
        base: ModelMixin,
        *,
        motion_dim: int = 768,
        motion_inner_dim: int = 512,
        motion_num_heads: int = 8,
    ) -> Self:
        """Add untrained motion attention to a pretrained generator of the same family.

        The result computes exactly what `base` computes until the motion layers are trained. It takes over
        the base's own tensors, without a copy: a generator of many gigabytes is there once. Use this rather
        than `from_pretrained` on a base checkpoint, which would leave the new tensors without values.

        Raises:
            ValueError: The base is of another family.
        """
        known = {name: value for name, value in base.config.items() if not name.startswith("_")}
        sizes: dict[str, Any] = {
            "motion_dim": motion_dim,
            "motion_inner_dim": motion_inner_dim,
            "motion_num_heads": motion_num_heads,
        }
        with init_empty_weights():
            adapted: Any = cls(**known, **sizes)
        # Each tensor keeps the type it has in the base, which may hold some in float32 on purpose.
        _, unexpected = adapted.load_state_dict(base.state_dict(), strict=False, assign=True)
        if unexpected:
            raise ValueError(
                f"the base transformer has tensors that {cls.__name__} has not: {unexpected[:5]}"
            )
        width = known["num_attention_heads"] * known["attention_head_dim"]
        eps = known.get("eps", 1e-6)
        for block in getattr(adapted, cls.BLOCKS):
            layer = MotionAttention(width, motion_dim, motion_inner_dim, motion_num_heads, eps)
            setattr(block, MOTION_LAYER, layer.to(base.device, base.dtype))
        nn.Module.to(adapted, base.device)  # for the buffers
        return adapted

    def motion_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that the method adds, by name: what an adapter checkpoint holds."""
        assert isinstance(self, nn.Module)
        return {name: p for name, p in self.named_parameters() if f".{MOTION_LAYER}." in name}
