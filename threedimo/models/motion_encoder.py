"""The implicit motion encoder (paper section 3.2): driving frames -> a few tokens a frame, no spatial layout.

A 1D tokenizer reads the patches of one frame together with K learnable latent tokens, and only the K latent
outputs leave it. Whatever view the frame was seen from, five tokens cannot hold its pixels: what survives is
what helps to draw the same motion from *another* view. Two such tokenizers work side by side, one on the
whole frame (body) and one on close-ups of the hands.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange, repeat
from torch import Tensor, nn

from threedimo.models.patch_stem import PatchStem

NUM_HANDS = 2


class FrameTokenizer(nn.Module):
    """Patches of pictures in, `num_tokens` latent tokens out.

    Args:
        picture_size: Width and height of a picture in pixels; a multiple of `patch_size`.
        num_pictures: Pictures that are read together (1 for a frame, 2 for a pair of hands).
        patch_size: Width and height of a patch in pixels; a power of two.
        num_tokens: Latent tokens that are kept (K in the paper).
        hidden_dim: Width of the transformer.
        num_layers: Its depth.
        num_heads: Its attention heads.
    """

    def __init__(
        self,
        picture_size: int,
        num_pictures: int,
        patch_size: int,
        num_tokens: int,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
    ):
        super().__init__()
        if picture_size % patch_size:
            raise ValueError(f"picture_size {picture_size} is not a multiple of patch_size {patch_size}")
        num_patches = num_pictures * (picture_size // patch_size) ** 2
        self.num_tokens = num_tokens
        self.patch_embedding = PatchStem(hidden_dim, patch_size)
        self.patch_position = nn.Parameter(torch.randn(num_patches, hidden_dim) * 0.02)
        self.latent_tokens = nn.Parameter(torch.randn(num_tokens, hidden_dim) * 0.02)
        self.missing_picture = nn.Parameter(torch.zeros(hidden_dim))
        layer = nn.TransformerEncoderLayer(
            hidden_dim,
            num_heads,
            4 * hidden_dim,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)

    def forward(self, pictures: Tensor, visible: Tensor) -> Tensor:
        """Tokenize a batch of frames.

        Args:
            pictures: (batch, num_pictures, 3, size, size) in [-1, 1].
            visible: (batch, num_pictures) bool; an invisible picture's patches become one learned vector.

        Returns:
            (batch, num_tokens, hidden_dim)
        """
        batch, num_pictures = pictures.shape[:2]
        patches = self.patch_embedding(rearrange(pictures, "b n c h w -> (b n) c h w"))
        patches = rearrange(patches, "(b n) d h w -> b n (h w) d", b=batch, n=num_pictures)
        patches = torch.where(visible[:, :, None, None], patches, self.missing_picture)
        patches = rearrange(patches, "b n p d -> b (n p) d") + self.patch_position
        latents = repeat(self.latent_tokens, "k d -> b k d", b=batch)
        tokens = self.layers(torch.cat([latents, patches], dim=1))
        return tokens[:, : self.num_tokens]


class MotionEncoder(ModelMixin, ConfigMixin):
    """Body and hand tokenizers with a common output width.

    Args:
        frame_size: Driving frames are square, this many pixels wide.
        patch_size: Patch size of the body tokenizer in pixels.
        hand_crop_size: Hand crops are square, this many pixels wide.
        hand_patch_size: Patch size of the hand tokenizer in pixels.
        num_body_tokens: K of the body tokenizer; 5 in the paper.
        num_hand_tokens: Tokens for both hands together; 0 leaves the hand encoder out. Not in the paper.
        hidden_dim: Width of both tokenizers.
        num_layers: Depth of the body tokenizer.
        num_hand_layers: Depth of the hand tokenizer.
        num_heads: Attention heads of both.
        motion_dim: Width of the motion tokens.
    """

    @register_to_config
    def __init__(
        self,
        frame_size: int = 224,
        patch_size: int = 16,
        hand_crop_size: int = 64,
        hand_patch_size: int = 8,
        num_body_tokens: int = 5,
        num_hand_tokens: int = 5,
        hidden_dim: int = 768,
        num_layers: int = 8,
        num_hand_layers: int = 4,
        num_heads: int = 12,
        motion_dim: int = 768,
    ):
        super().__init__()
        self.body = FrameTokenizer(
            frame_size, 1, patch_size, num_body_tokens, hidden_dim, num_layers, num_heads
        )
        self.hands = (
            FrameTokenizer(
                hand_crop_size,
                NUM_HANDS,
                hand_patch_size,
                num_hand_tokens,
                hidden_dim,
                num_hand_layers,
                num_heads,
            )
            if num_hand_tokens
            else None
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.proj = nn.Linear(hidden_dim, motion_dim)

    @property
    def num_tokens(self) -> int:
        """Motion tokens a frame, body and hands together."""
        return self.config["num_body_tokens"] + self.config["num_hand_tokens"]

    def forward(
        self, driving_frames: Tensor, hand_crops: Tensor | None = None, hand_visible: Tensor | None = None
    ) -> Tensor:
        """Encode a clip, each frame by itself.

        Args:
            driving_frames: (batch, 3, frames, frame_size, frame_size) in [-1, 1].
            hand_crops: (batch, frames, 2, 3, hand_crop_size, hand_crop_size) in [-1, 1], left then right;
                None where no hands were located.
            hand_visible: (batch, frames, 2) bool, which crops show a hand; None means all that were given.

        Returns:
            Motion tokens (batch, frames, num_tokens, motion_dim).
        """
        batch, _, num_frames, height, width = driving_frames.shape
        size = self.config["frame_size"]
        if (height, width) != (size, size):
            raise ValueError(f"driving frames are {width}x{height}, the encoder reads squares of {size}")
        frames = rearrange(driving_frames, "b c f h w -> (b f) 1 c h w")
        tokens = self.body(frames, frames.new_ones(batch * num_frames, 1, dtype=torch.bool))
        if self.hands is not None:
            crops, visible = self._hands_or_none(driving_frames, hand_crops, hand_visible)
            hand_tokens = self.hands(rearrange(crops, "b f n c h w -> (b f) n c h w"), visible.flatten(0, 1))
            tokens = torch.cat([tokens, hand_tokens], dim=1)
        return rearrange(self.proj(self.norm(tokens)), "(b f) k d -> b f k d", b=batch)

    def _hands_or_none(
        self, driving_frames: Tensor, hand_crops: Tensor | None, hand_visible: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        batch, _, num_frames = driving_frames.shape[:3]
        shape = (batch, num_frames, NUM_HANDS)
        if hand_crops is None:
            size = self.config["hand_crop_size"]
            nothing = driving_frames.new_zeros(*shape, 3, size, size)
            return nothing, driving_frames.new_zeros(shape, dtype=torch.bool)
        if hand_visible is None:
            hand_visible = hand_crops.new_ones(shape, dtype=torch.bool)
        return hand_crops, hand_visible
