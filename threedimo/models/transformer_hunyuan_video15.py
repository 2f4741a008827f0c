"""HunyuanVideo-1.5 with motion and camera control: text in the sequence, as in the paper (section 3.1).

A generator of two streams, video and conditions, which every block's joint attention reads together. Motion
attention follows it, asked by the video stream alone, so that text never hears the motion.

Opt-in: nothing else here imports this module, because the licence of the published weights excludes some
countries. It works inside the library's own pipeline, which hands `attention_kwargs` on to the generator:

    generator = MotionHunyuanVideo15Transformer3DModel.from_transformer(pipeline.transformer)
    pipeline.register_modules(transformer=generator)
    tokens = {"motion_tokens": motion_encoder(driving), "camera_tokens": camera_encoder(hints)}
    frames = pipeline(image, prompt, num_frames=121, attention_kwargs=tokens).frames

`threedimo serve` and the trainers know Wan models only.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 - looked up here when a pipeline loads
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15Transformer3DModel,
    HunyuanVideo15TransformerBlock,
)
from diffusers.utils.peft_utils import apply_lora_scale
from einops import rearrange
from torch import Tensor, nn

from threedimo.models.motion_attention import MotionAttention, Rotary
from threedimo.models.motion_context import MotionGenerator, VideoTimeRotary, motion_context

TEXT, GLYPHS, IMAGE = 0, 1, 2
"""Kinds of condition tokens, as the base numbers them."""

_TOKENS = frozenset({"motion_tokens", "camera_tokens"})


class MotionHunyuanVideo15TransformerBlock(HunyuanVideo15TransformerBlock):
    """A block of two streams with motion attention after their joint attention."""

    def __init__(
        self,
        num_attention_heads: int,
        attention_head_dim: int,
        mlp_ratio: float,
        qk_norm: str = "rms_norm",
        *,
        motion_dim: int,
        motion_inner_dim: int,
        motion_num_heads: int,
    ):
        super().__init__(num_attention_heads, attention_head_dim, mlp_ratio, qk_norm)
        width = num_attention_heads * attention_head_dim
        self.motion_attn = MotionAttention(width, motion_dim, motion_inner_dim, motion_num_heads)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        attention_mask: Tensor | None = None,
        freqs_cis: Rotary | None = None,
        motion_hidden_states: Tensor | None = None,
        motion_rotary: tuple[Rotary, Rotary] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As the base block, but motion tokens (batch, tokens, motion_dim) are heard after attention.

        Returns:
            Video and condition tokens.
        """
        video, video_gate, *video_feed = self.norm1(hidden_states, emb=temb)
        text, text_gate, *text_feed = self.norm1_context(encoder_hidden_states, emb=temb)
        video, text = self.attn(
            hidden_states=video,
            encoder_hidden_states=text,
            attention_mask=attention_mask,
            image_rotary_emb=freqs_cis,
        )
        hidden_states = hidden_states + video * video_gate[:, None]
        encoder_hidden_states = encoder_hidden_states + text * text_gate[:, None]

        if motion_hidden_states is not None and motion_rotary is not None:
            hidden_states = hidden_states + self.motion_attn(
                hidden_states, motion_hidden_states, *motion_rotary
            )

        return (
            _fed_forward(hidden_states, self.norm2, self.ff, *video_feed),
            _fed_forward(encoder_hidden_states, self.norm2_context, self.ff_context, *text_feed),
        )


def _fed_forward(
    tokens: Tensor, norm: nn.Module, feed_forward: nn.Module, shift: Tensor, scale: Tensor, gate: Tensor
) -> Tensor:
    normed = norm(tokens) * (1 + scale[:, None]) + shift[:, None]
    return tokens + gate[:, None] * feed_forward(normed)


class MotionHunyuanVideo15Transformer3DModel(MotionGenerator, HunyuanVideo15Transformer3DModel):
    """HunyuanVideo-1.5 transformer with motion and camera control.

    The arguments that are not described here are those of `diffusers.HunyuanVideo15Transformer3DModel`.

    Args:
        motion_dim: Width of the motion and camera tokens.
        motion_inner_dim: Width inside the motion attention.
        motion_num_heads: Heads of the motion attention.
    """

    BLOCKS = "transformer_blocks"
    _no_split_modules = [  # noqa: RUF012 - the names that diffusers looks for
        "MotionHunyuanVideo15TransformerBlock",
        "HunyuanVideo15PatchEmbed",
        "HunyuanVideo15TokenRefiner",
    ]
    _repeated_blocks = ["MotionHunyuanVideo15TransformerBlock"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        in_channels: int = 65,
        out_channels: int = 32,
        num_attention_heads: int = 16,
        attention_head_dim: int = 128,
        num_layers: int = 54,
        num_refiner_layers: int = 2,
        mlp_ratio: float = 4.0,
        patch_size: int = 1,
        patch_size_t: int = 1,
        qk_norm: str = "rms_norm",
        text_embed_dim: int = 3584,
        text_embed_2_dim: int = 1472,
        image_embed_dim: int = 1152,
        rope_theta: float = 256.0,
        rope_axes_dim: tuple[int, ...] = (16, 56, 56),
        target_size: int = 640,
        task_type: str = "i2v",
        use_meanflow: bool = False,
        motion_dim: int = 768,
        motion_inner_dim: int = 512,
        motion_num_heads: int = 8,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            num_layers=0,  # the base's own blocks would only be thrown away
            num_refiner_layers=num_refiner_layers,
            mlp_ratio=mlp_ratio,
            patch_size=patch_size,
            patch_size_t=patch_size_t,
            qk_norm=qk_norm,
            text_embed_dim=text_embed_dim,
            text_embed_2_dim=text_embed_2_dim,
            image_embed_dim=image_embed_dim,
            rope_theta=rope_theta,
            rope_axes_dim=rope_axes_dim,
            target_size=target_size,
            task_type=task_type,
            use_meanflow=use_meanflow,
        )
        self.register_to_config(num_layers=num_layers)
        self.motion_rope = VideoTimeRotary(motion_inner_dim // motion_num_heads)
        self.transformer_blocks = nn.ModuleList(
            MotionHunyuanVideo15TransformerBlock(
                num_attention_heads,
                attention_head_dim,
                mlp_ratio,
                qk_norm,
                motion_dim=motion_dim,
                motion_inner_dim=motion_inner_dim,
                motion_num_heads=motion_num_heads,
            )
            for _ in range(num_layers)
        )

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor,
        timestep_r: Tensor | None = None,
        encoder_hidden_states_2: Tensor | None = None,
        encoder_attention_mask_2: Tensor | None = None,
        image_embeds: Tensor | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity of the flow; arguments that are not described here are the base's.

        Args:
            hidden_states: Noised latents with the reference's and their mask as further channels
                (batch, in_channels, latent_frames, height, width).
            timestep: (batch,), in [0, 1000].
            encoder_hidden_states: Text embeddings (batch, text_tokens, text_embed_dim).
            encoder_attention_mask: Which of them are text (batch, text_tokens).
            timestep_r: The next timestep, for models of mean flow.
            encoder_hidden_states_2: Embeddings of what is to be written in the picture.
            encoder_attention_mask_2: Which of them are.
            image_embeds: Of the reference (batch, image_tokens, image_embed_dim); all zero without one.
            attention_kwargs: `motion_tokens` (batch, frames, K, motion_dim) of the driving frames and
                `camera_tokens` (batch, frames, 1, motion_dim) of the target's camera, either or both or none;
                and `scale` of a LoRA.
            return_dict: Return an output object rather than a tuple.

        Returns:
            Velocity (batch, out_channels, latent_frames, height, width).

        Raises:
            ValueError: `attention_kwargs` holds something else.
        """
        given = attention_kwargs or {}
        if unknown := given.keys() - _TOKENS:
            raise ValueError(f"unknown attention_kwargs {sorted(unknown)}; known are {sorted(_TOKENS)}")
        if encoder_hidden_states_2 is None or encoder_attention_mask_2 is None or image_embeds is None:
            raise ValueError("the second text's embeddings with their mask, and the image's, are needed")
        patch_t, patch = self.config["patch_size_t"], self.config["patch_size"]
        latent_frames, height, width = hidden_states.shape[2:]
        grid = (latent_frames // patch_t, height // patch, width // patch)

        rotary = self.rope(hidden_states)
        temb = self.time_embed(timestep, timestep_r=timestep_r)
        text = self.context_embedder(encoder_hidden_states, timestep, encoder_attention_mask)
        glyphs = self.context_embedder_2(encoder_hidden_states_2)
        heard, mask = _valid_first(
            self._image_tokens(image_embeds),
            (self._of_kind(GLYPHS, glyphs), encoder_attention_mask_2),
            (self._of_kind(TEXT, text), encoder_attention_mask),
        )
        motion = motion_context(
            self.motion_rope, given.get("motion_tokens"), given.get("camera_tokens"), grid
        )
        video = self.x_embedder(hidden_states)
        checkpoint: Any = self._gradient_checkpointing_func if self.gradient_checkpointing else None
        for block in self.transformer_blocks:
            arguments = (video, heard, temb, mask, rotary, *motion)
            if checkpoint is not None and torch.is_grad_enabled():
                video, heard = checkpoint(block, *arguments)
            else:
                video, heard = block(*arguments)

        velocity = rearrange(
            self.proj_out(self.norm_out(video, temb)),
            "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)",
            t=grid[0], h=grid[1], w=grid[2], pt=patch_t, ph=patch, pw=patch,
        )  # fmt: skip
        return Transformer2DModelOutput(sample=velocity) if return_dict else (velocity,)

    def _of_kind(self, kind: int, tokens: Tensor) -> Tensor:
        """Tokens that say what kind they are."""
        return tokens + self.cond_type_embed(tokens.new_full(tokens.shape[:2], kind, dtype=torch.long))

    def _image_tokens(self, image_embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of the reference and their mask; of embeddings that are all zero there are none."""
        there = image_embeds.ne(0).any()
        tokens = self._of_kind(IMAGE, self.image_embedder(image_embeds) * there)
        return tokens, there.expand(tokens.shape[:2])


def _valid_first(image: tuple[Tensor, Tensor], *texts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Join tokens with masks so that valid ones come first, in their order; texts are zero where invalid."""
    silenced = [tokens * mask.bool()[..., None] for tokens, mask in texts]
    tokens = torch.cat([image[0], *silenced], dim=1)
    valid = torch.cat([image[1].bool(), *(mask.bool() for _, mask in texts)], dim=1)
    order = valid.int().argsort(dim=1, descending=True, stable=True)
    return tokens.gather(1, order[..., None].expand_as(tokens)), valid.gather(1, order)


def _register_for_step_caches() -> None:
    """Step caches of diffusers look blocks up by exact class; these return video and condition tokens."""
    TransformerBlockRegistry.register(
        MotionHunyuanVideo15TransformerBlock,
        TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1),
    )


_register_for_step_caches()
