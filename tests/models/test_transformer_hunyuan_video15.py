"""The generator whose text stands in the sequence: alone, and inside the pipeline of diffusers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FirstBlockCacheConfig,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.hooks import apply_group_offloading
from PIL import Image
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from threedimo.models import CameraEncoder, MotionEncoder
from threedimo.models.transformer_hunyuan_video15 import MotionHunyuanVideo15Transformer3DModel

CHANNELS, NUM_TEXT, NUM_GLYPHS, NUM_IMAGE = 4, 6, 5, 9
BASE = {
    "in_channels": 2 * CHANNELS + 1,
    "out_channels": CHANNELS,
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "text_embed_dim": 16,
    "text_embed_2_dim": 12,
    "image_embed_dim": 16,
    "rope_axes_dim": (4, 4, 4),
    "target_size": 16,
}
MOTION = {"motion_dim": 8, "motion_inner_dim": 16, "motion_num_heads": 2}


@pytest.fixture
def base() -> HunyuanVideo15Transformer3DModel:
    return HunyuanVideo15Transformer3DModel(**BASE).eval()


@pytest.fixture
def untrained(base) -> MotionHunyuanVideo15Transformer3DModel:
    return MotionHunyuanVideo15Transformer3DModel.from_transformer(base, **MOTION).eval()


@pytest.fixture
def trained(untrained) -> MotionHunyuanVideo15Transformer3DModel:
    for block in untrained.transformer_blocks:
        torch.nn.init.normal_(block.motion_attn.out.weight)
    return untrained


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    """3 latent frames (9 video frames) of 4x4 tokens; two texts of different lengths, one with glyphs."""

    def mask(length: int, *valid: int) -> torch.Tensor:
        return (torch.arange(length) < torch.tensor(valid)[:, None]).long()

    return {
        "hidden_states": torch.randn(2, BASE["in_channels"], 3, 4, 4),
        "timestep": torch.tensor([900.0, 300.0]),
        "encoder_hidden_states": torch.randn(2, NUM_TEXT, 16),
        "encoder_attention_mask": mask(NUM_TEXT, 6, 3),
        "encoder_hidden_states_2": torch.randn(2, NUM_GLYPHS, 12),
        "encoder_attention_mask_2": mask(NUM_GLYPHS, 0, 4),
        "image_embeds": torch.randn(2, NUM_IMAGE, 16),
    }


@torch.no_grad()
def velocity(model, inputs, **tokens) -> torch.Tensor:
    return model(**inputs, attention_kwargs=tokens or None).sample


@pytest.mark.parametrize("with_image", [True, False])
def test_untrained_motion_layers_leave_the_backbone_exactly_as_it_was(
    base, untrained, inputs, tokens, with_image
):
    if not with_image:
        inputs["image_embeds"].zero_()
    expected = velocity(base, inputs)
    assert expected.isfinite().all()
    assert torch.equal(velocity(untrained, inputs), expected)
    assert torch.equal(velocity(untrained, inputs, **tokens), expected)


def test_tokens_are_heard_and_zero_tokens_add_nothing(base, trained, inputs, tokens):
    plain = velocity(base, inputs)
    silent = {name: torch.zeros_like(value) for name, value in tokens.items()}
    assert torch.equal(velocity(trained, inputs, **silent), plain)
    for kind, value in tokens.items():
        assert not torch.allclose(velocity(trained, inputs, **{kind: value}), plain, atol=1e-3)
    assert not torch.allclose(
        velocity(trained, inputs, motion_tokens=tokens["motion_tokens"].flip(1)),
        velocity(trained, inputs, motion_tokens=tokens["motion_tokens"]),
        atol=1e-3,
    )


def test_text_never_hears_the_motion(trained, inputs, tokens):
    """One block alone: its video tokens change, its condition tokens do not."""
    seen = []
    block = trained.transformer_blocks[0]
    block.register_forward_hook(lambda _module, _arguments, result: seen.append(result))
    velocity(trained, inputs)
    velocity(trained, inputs, **tokens)
    (video, text), (moved_video, same_text) = seen
    assert not torch.allclose(video, moved_video, atol=1e-3)
    assert torch.equal(text, same_text)


def test_a_misspelt_token_is_refused(trained, inputs, tokens):
    with pytest.raises(ValueError, match=r"unknown attention_kwargs \['motion'\]"):
        velocity(trained, inputs, motion=tokens["motion_tokens"])


def test_motion_layers_add_little_to_the_published_size():
    with torch.device("meta"):
        published = HunyuanVideo15Transformer3DModel()
        adapted = MotionHunyuanVideo15Transformer3DModel.from_transformer(published)
    own = sum(p.numel() for p in published.parameters())
    added = sum(p.numel() for p in adapted.motion_parameters().values())
    assert round(own / 1e9, 1) == 8.3
    assert 0 < added < 0.03 * own


def test_save_and_load_change_nothing(trained, inputs, tokens, tmp_path):
    trained.save_pretrained(tmp_path)
    loaded = MotionHunyuanVideo15Transformer3DModel.from_pretrained(
        tmp_path, use_safetensors=True, local_files_only=True
    )
    assert torch.equal(velocity(loaded, inputs, **tokens), velocity(trained, inputs, **tokens))


def test_gradient_checkpointing_carries_the_tokens(trained, inputs, tokens):
    motion = tokens["motion_tokens"].requires_grad_()

    def gradients() -> list[torch.Tensor]:
        output = trained(**inputs, attention_kwargs={"motion_tokens": motion}).sample
        return list(
            torch.autograd.grad(output.square().mean(), [motion, *trained.motion_parameters().values()])
        )

    plain = gradients()
    trained.enable_gradient_checkpointing()
    trained.train()
    assert plain[0].abs().max() > 0
    for one, other in zip(plain, gradients(), strict=True):
        assert torch.equal(one, other)


def test_a_step_cache_works_on_the_subclass(trained, inputs, tokens):
    expected = velocity(trained, inputs, **tokens)
    trained.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    with trained.cache_context("full"):
        first, again = (velocity(trained, inputs, **tokens) for _ in range(2))
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(again, expected)


def test_a_block_compiles_to_one_graph(trained, inputs, tokens):
    expected = velocity(trained, inputs, **tokens)
    trained.compile_repeated_blocks(fullgraph=True, backend="eager")
    torch.testing.assert_close(velocity(trained, inputs, **tokens), expected)


def test_blocks_that_come_from_another_memory_change_nothing(trained, inputs, tokens):
    expected = velocity(trained, inputs, **tokens)
    cpu = torch.device("cpu")
    apply_group_offloading(
        trained, onload_device=cpu, offload_device=cpu, offload_type="block_level", num_blocks_per_group=1
    )
    assert torch.equal(velocity(trained, inputs, **tokens), expected)


def test_a_lora_for_the_stock_transformer_makes_the_same_change_in_ours(base, untrained, inputs, tokens):
    name = "transformer_blocks.0.attn.to_q"
    out_features, in_features = base.get_submodule(name).weight.shape
    lora = {
        f"transformer.{name}.lora_A.weight": torch.randn(2, in_features),
        f"transformer.{name}.lora_B.weight": torch.randn(out_features, 2),
    }
    plain = velocity(base, inputs)
    stock = HunyuanVideo15Transformer3DModel.from_config(base.config)
    stock.load_state_dict(base.state_dict())
    for model in (stock.eval(), untrained):
        model.load_lora_adapter(dict(lora), prefix="transformer")
    changed = velocity(stock, inputs)
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert torch.equal(velocity(untrained, inputs, **tokens), changed)


@pytest.fixture
def pipeline(base) -> HunyuanVideo15ImageToVideoPipeline:
    """The library's own, without its text encoders: embeddings are given."""
    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=CHANNELS,
        block_out_channels=(16, 16),
        layers_per_block=1,
        spatial_compression_ratio=4,
        temporal_compression_ratio=4,
        downsample_match_channel=False,
        upsample_match_channel=False,
    )
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=24,
        patch_size=8,
    )
    made = HunyuanVideo15ImageToVideoPipeline(
        text_encoder=None,
        tokenizer=None,
        transformer=base,
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        text_encoder_2=None,
        tokenizer_2=None,
        guider=ClassifierFreeGuidance(guidance_scale=3.0),
        image_encoder=SiglipVisionModel(vision).eval(),
        feature_extractor=SiglipImageProcessorPil(size={"height": 24, "width": 24}),
    )
    made.set_progress_bar_config(disable=True)
    return made


def test_the_stock_pipeline_makes_frames_that_hear_the_motion(pipeline, untrained, inputs):
    """The recipe of the module's docstring, with encoders of ours."""
    motion_encoder = MotionEncoder(
        frame_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, motion_dim=8,
        hand_crop_size=8, hand_patch_size=8, num_hand_layers=1,
    ).eval()  # fmt: skip
    camera_encoder = CameraEncoder(hidden_dim=16, motion_dim=8).eval()
    num_hints = camera_encoder.config["num_hints"]
    with torch.no_grad():
        tokens = {
            "motion_tokens": motion_encoder(torch.randn(1, 3, 9, 16, 16)),
            "camera_tokens": camera_encoder(torch.randn(1, 9, num_hints)),
        }
    text = {
        "prompt_embeds": inputs["encoder_hidden_states"][:1],
        "prompt_embeds_mask": inputs["encoder_attention_mask"][:1],
        "prompt_embeds_2": inputs["encoder_hidden_states_2"][:1],
        "prompt_embeds_mask_2": inputs["encoder_attention_mask_2"][:1],
        "negative_prompt_embeds": inputs["encoder_hidden_states"][1:],
        "negative_prompt_embeds_mask": inputs["encoder_attention_mask"][1:],
        "negative_prompt_embeds_2": inputs["encoder_hidden_states_2"][1:],
        "negative_prompt_embeds_mask_2": inputs["encoder_attention_mask_2"][1:],
    }

    def frames(**options) -> np.ndarray:
        picture = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
        noise = torch.Generator().manual_seed(0)
        return pipeline(
            picture, num_frames=9, num_inference_steps=2, generator=noise, **text, **options
        ).frames[0]

    stock = frames()
    pipeline.register_modules(transformer=untrained)
    assert stock.shape[0] == 9
    np.testing.assert_array_equal(frames(attention_kwargs=tokens), stock)
    for block in untrained.transformer_blocks:
        torch.nn.init.normal_(block.motion_attn.out.weight)
    assert np.abs(frames(attention_kwargs=tokens) - stock).max() > 1e-3
    np.testing.assert_array_equal(frames(), stock)
