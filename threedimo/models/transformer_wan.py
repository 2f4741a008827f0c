"""The Wan transformer that also listens to motion and camera tokens (paper section 3.3).

Block and transformer are subclasses, and the tokens are an explicit argument: that survives gradient
checkpointing, regional compilation, offloading and sharding, where hooks do not. With no tokens at all the
forward is the plain Wan transformer's.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 - looked up here when a pipeline loads
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel, WanTransformerBlock
from einops import rearrange
from torch import Tensor, nn

from threedimo.models.motion_attention import MotionAttention, Rotary
from threedimo.models.motion_context import MotionGenerator, VideoTimeRotary, motion_context
from threedimo.models.picture_position import PicturePosition


class MotionWanTransformerBlock(WanTransformerBlock):
    """A Wan block with motion attention between self-attention and text cross-attention."""

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str = "rms_norm_across_heads",
        cross_attn_norm: bool = False,
        eps: float = 1e-6,
        added_kv_proj_dim: int | None = None,
        *,
        motion_dim: int,
        motion_inner_dim: int,
        motion_num_heads: int,
    ):
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim)
        self.motion_attn = MotionAttention(dim, motion_dim, motion_inner_dim, motion_num_heads, eps)

    def forward(  # type: ignore[override] - the base annotates a pair of tensors as one
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: Rotary,
        motion_hidden_states: Tensor | None = None,
        motion_rotary: tuple[Rotary, Rotary] | None = None,
    ) -> Tensor:
        """As the base block, hearing `motion_hidden_states` (batch, tokens, motion_dim) after self-attention.

        `temb` is (batch, groups, 6, dim): consecutive video tokens, as many in each group, share a timestep.
        """
        modulation = self.scale_shift_table + temb.float()
        pieces = (piece.unsqueeze(2) for piece in modulation.unbind(dim=2))
        shift_attn, scale_attn, gate_attn, shift_ffn, scale_ffn, gate_ffn = pieces

        normed = _modulated(self.norm1(hidden_states.float()), shift_attn, scale_attn)
        attended = self.attn1(normed.type_as(hidden_states), None, None, rotary_emb)
        hidden_states = _added(hidden_states, attended, gate_attn)

        if motion_hidden_states is not None and motion_rotary is not None:
            hidden_states = hidden_states + self.motion_attn(
                hidden_states, motion_hidden_states, *motion_rotary
            )

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(normed, encoder_hidden_states, None, None)

        normed = _modulated(self.norm3(hidden_states.float()), shift_ffn, scale_ffn)
        return _added(hidden_states, self.ffn(normed.type_as(hidden_states)).float(), gate_ffn)


def _in_groups(tokens: Tensor, num_groups: int) -> Tensor:
    return rearrange(tokens, "b (g n) d -> b g n d", g=num_groups)


def _modulated(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Shift and scale (batch, groups, 1, dim) tokens (batch, video_tokens, dim) group by group."""
    return (_in_groups(tokens, shift.shape[1]) * (1 + scale) + shift).flatten(1, 2)


def _added(tokens: Tensor, change: Tensor, gate: Tensor) -> Tensor:
    """Add a change to the tokens, weighted group by group by a gate (batch, groups, 1, dim)."""
    return (tokens.float() + (_in_groups(change, gate.shape[1]) * gate).flatten(1, 2)).type_as(tokens)


class MotionWanTransformer3DModel(MotionGenerator, WanTransformer3DModel):
    """Wan transformer with motion and camera control; covers Wan2.2-TI2V-5B, 1.3B and 14B shapes.

    The arguments that are not described here are those of `diffusers.WanTransformer3DModel`.

    Args:
        motion_dim: Width of the motion and camera tokens.
        motion_inner_dim: Width inside the motion attention.
        motion_num_heads: Heads of the motion attention.
        position_octaves: Frequencies of the tokens' places in the picture (`PicturePosition`); 0 for a stock
            generator, which has none.
    """

    BLOCKS = "blocks"
    _no_split_modules = ["MotionWanTransformerBlock"]  # noqa: RUF012 - the names that diffusers looks for
    _repeated_blocks = ["MotionWanTransformerBlock"]  # noqa: RUF012
    _cp_plan = {  # noqa: RUF012
        **WanTransformer3DModel._cp_plan,
        "motion_rope": WanTransformer3DModel._cp_plan["rope"],
    }

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, ...] = (1, 2, 2),
        num_attention_heads: int = 24,
        attention_head_dim: int = 128,
        in_channels: int = 48,
        out_channels: int = 48,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 14336,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        motion_dim: int = 768,
        motion_inner_dim: int = 512,
        motion_num_heads: int = 8,
        position_octaves: int = 0,
    ) -> None:
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=0,  # the base's own blocks would only be thrown away
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        self.register_to_config(num_layers=num_layers)
        self.motion_rope = VideoTimeRotary(motion_inner_dim // motion_num_heads)
        inner_dim = num_attention_heads * attention_head_dim
        self.picture_position = PicturePosition(inner_dim, position_octaves) if position_octaves else None
        self.blocks = nn.ModuleList(
            MotionWanTransformerBlock(
                inner_dim,
                ffn_dim,
                num_attention_heads,
                qk_norm or "rms_norm_across_heads",
                cross_attn_norm,
                eps,
                added_kv_proj_dim,
                motion_dim=motion_dim,
                motion_inner_dim=motion_inner_dim,
                motion_num_heads=motion_num_heads,
            )
            for _ in range(num_layers)
        )

    def forward(  # type: ignore[override] - explicit tokens instead of the base's attention_kwargs
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        motion_tokens: Tensor | None = None,
        camera_tokens: Tensor | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity of the flow.

        Args:
            hidden_states: Noised latents (batch, channels, latent_frames, height, width), leading ones clean.
            timestep: (batch,), or (batch, groups), 0 for what is clean. Each group is an equal share of the
                video tokens in their order: a latent frame, or as in the base class a single token, which
                gives the same and costs more (0.9 GB at 121 frames of 832x480 for the 5B).
            encoder_hidden_states: Text embeddings (batch, text_tokens, text_dim).
            encoder_hidden_states_image: Image embeddings of the Wan2.1 I2V models.
            motion_tokens: (batch, frames, K, motion_dim) of the driving frames; zeros if dropped.
            camera_tokens: (batch, frames, 1, motion_dim) of the target's camera; zeros if dropped.
            return_dict: Return an output object rather than a tuple.

        Returns:
            Velocity with the shape of `hidden_states`.
        """
        latent_frames, height, width = hidden_states.shape[2:]
        patch_t, patch_h, patch_w = self.config["patch_size"]
        rotary_emb = self.rope(hidden_states)
        tokens = rearrange(self.patch_embedding(hidden_states), "b d t h w -> b (t h w) d").contiguous()

        groups = timestep.shape[1] if timestep.ndim == 2 else 1
        temb, modulation, text, image = self.condition_embedder(
            timestep.flatten(), encoder_hidden_states, encoder_hidden_states_image, timestep_seq_len=groups
        )
        modulation = modulation.unflatten(-1, (6, -1))
        if image is not None:
            text = torch.cat([image, text], dim=1)

        grid = (latent_frames // patch_t, height // patch_h, width // patch_w)
        if self.picture_position is not None:
            tokens = self.picture_position(tokens, grid)
        motion, motion_rotary = motion_context(self.motion_rope, motion_tokens, camera_tokens, grid)
        for block in self.blocks:
            arguments = (tokens, text, modulation, rotary_emb, motion, motion_rotary)
            if torch.is_grad_enabled() and self.gradient_checkpointing and self._gradient_checkpointing_func:
                tokens = self._gradient_checkpointing_func(block, *arguments)
            else:
                tokens = block(*arguments)

        velocity = self._unpatchify(self._final_layer(tokens, temb), grid)
        return Transformer2DModelOutput(sample=velocity) if return_dict else (velocity,)

    def _final_layer(self, tokens: Tensor, temb: Tensor) -> Tensor:
        modulation = self.scale_shift_table.to(temb.device) + temb.unsqueeze(2)
        shift, scale = (piece.unsqueeze(2).to(tokens.device) for piece in modulation.unbind(dim=2))
        return self.proj_out(_modulated(self.norm_out(tokens.float()), shift, scale).type_as(tokens))

    def _unpatchify(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        latent_frames, height, width = grid
        patch_t, patch_h, patch_w = self.config["patch_size"]
        return rearrange(
            tokens,
            "b (t h w) (pt ph pw c) -> b c (t pt) (h ph) (w pw)",
            t=latent_frames, h=height, w=width, pt=patch_t, ph=patch_h, pw=patch_w,
        )  # fmt: skip


def _register_for_step_caches() -> None:
    """Step caches of diffusers look blocks up by exact class; a Wan block returns only hidden states."""
    metadata: Any = TransformerBlockMetadata(
        0,
        None,  # type: ignore[arg-type] - None is what the library itself passes for Wan
    )
    TransformerBlockRegistry.register(MotionWanTransformerBlock, metadata)


_register_for_step_caches()
