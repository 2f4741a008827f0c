"""The paper's fourth ablation: motion tokens as further channels of the latents, instead of cross-attention.

The tokens of the video frames that a latent frame covers are projected together and stand, the same
everywhere in the picture, beside its latents. Camera hints are no part of the paper's comparison and keep
their cross-attention.
"""

from __future__ import annotations

from typing import Self

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from einops import rearrange, repeat
from torch import Tensor, nn

from threedimo.models import MotionWanTransformer3DModel
from threedimo.models.motion_context import TEMPORAL_COMPRESSION


class ChannelMotionTransformer(MotionWanTransformer3DModel):
    """A generator that reads motion as channels. Made by `like`, because its sizes are another one's."""

    motion_channels: nn.Linear

    @classmethod
    def like(cls, other: MotionWanTransformer3DModel, num_tokens: int) -> Self:
        """A new, untrained generator with the sizes of another.

        Args:
            other: Has the sizes; its weights are not taken.
            num_tokens: Motion tokens a video frame.
        """
        model = cls(**{name: value for name, value in other.config.items() if not name.startswith("_")})
        config = model.config
        width = config["motion_inner_dim"]
        # without a bias, like the attention's: dropped motion, which is zeros, adds exactly nothing
        model.motion_channels = nn.Linear(
            TEMPORAL_COMPRESSION * num_tokens * config["motion_dim"], width, bias=False
        )
        model.patch_embedding = nn.Conv3d(
            config["in_channels"] + width,
            model.patch_embedding.out_channels,
            kernel_size=config["patch_size"],
            stride=config["patch_size"],
        )
        return model

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        motion_tokens: Tensor | None = None,
        camera_tokens: Tensor | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """As the base's; motion tokens must be given."""
        if motion_tokens is None:
            raise ValueError("a generator that reads motion as channels needs motion tokens")
        channels = self.motion_channels(_by_latent_frame(motion_tokens))
        height, width = hidden_states.shape[3:]
        channels = repeat(channels, "b f c -> b c f h w", h=height, w=width)
        return super().forward(
            torch.cat([hidden_states, channels.to(hidden_states.dtype)], dim=1),
            timestep,
            encoder_hidden_states,
            encoder_hidden_states_image,
            None,
            camera_tokens,
            return_dict,
        )


def _by_latent_frame(motion_tokens: Tensor) -> Tensor:
    """Tokens (batch, 4k+1, K, dim) of video frames to (batch, k+1, 4 K dim); the first stands for four."""
    first = motion_tokens[:, :1].expand(-1, TEMPORAL_COMPRESSION, -1, -1)
    tokens = torch.cat([first, motion_tokens[:, 1:]], dim=1)
    return rearrange(tokens, "b (f t) k d -> b f (t k d)", t=TEMPORAL_COMPRESSION)
