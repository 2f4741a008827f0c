"""The camera-hint encoder, our addition to the paper: exact camera numbers -> one camera token a frame.

Text says "the camera arcs left 45 degrees"; the hints say where it is at each frame. They reach the generator
beside the motion tokens, and are dropped at random in training, so that text alone works as in the paper.
"""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import Tensor, nn

from threedimo.camera import NUM_HINTS


class CameraEncoder(ModelMixin, ConfigMixin):
    """A small MLP over the hints of one frame.

    Args:
        num_hints: Numbers a frame, `threedimo.camera.NUM_HINTS`.
        hidden_dim: Width inside.
        motion_dim: Width of the camera tokens, that of the motion tokens.
    """

    @register_to_config
    def __init__(self, num_hints: int = NUM_HINTS, hidden_dim: int = 512, motion_dim: int = 768):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_hints, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.SiLU(),
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, motion_dim),
        )

    def forward(self, hints: Tensor) -> Tensor:
        """Encode hints (batch, frames, num_hints) to camera tokens (batch, frames, 1, motion_dim)."""
        return rearrange(self.layers(hints), "b f d -> b f 1 d")
