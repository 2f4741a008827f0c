from __future__ import annotations

import importlib.util
import math
import tomllib
from pathlib import Path

import pytest
import torch
from diffusers import FirstBlockCacheConfig, WanTransformer3DModel
from diffusers.hooks import apply_group_offloading
from diffusers.hooks._helpers import TransformerBlockRegistry
from torch.utils.flop_counter import FlopCounterMode

from threedimo.models import MotionEncoder, MotionWanTransformer3DModel, MotionWanTransformerBlock
from threedimo.models.motion_context import latent_frame_times
from threedimo.stock import FULL_SIZE

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")


# As published: heads, channels, width of the feed-forward layers, layers; and thousand million parameters.
PUBLISHED = {
    "Wan2.2-TI2V-5B": ((24, 48, 14336, 30), 5.0),
    "Wan2.1-T2V-1.3B": ((12, 16, 8960, 30), 1.4),
    "Wan2.1-T2V-14B": ((40, 16, 13824, 40), 14.3),
}


def arguments(num_heads: int, channels: int, ffn_dim: int, num_layers: int) -> dict[str, int]:
    return {
        "num_attention_heads": num_heads,
        "in_channels": channels,
        "out_channels": channels,
        "ffn_dim": ffn_dim,
        "num_layers": num_layers,
    }


@torch.no_grad()
def velocity(model: WanTransformer3DModel, **inputs: torch.Tensor) -> torch.Tensor:
    return model(**inputs).sample


@pytest.mark.parametrize("timestep_per_token", [False, True])
def test_untrained_motion_layers_leave_the_backbone_exactly_as_it_was(
    base, untrained, video_inputs, tokens, timestep_per_token
):
    inputs = video_inputs(timestep_per_token=timestep_per_token)
    expected = velocity(base, **inputs)
    assert torch.equal(velocity(untrained, **inputs, **tokens), expected)
    assert torch.equal(velocity(untrained, **inputs), expected)


def test_a_timestep_for_each_latent_frame_is_that_of_all_its_tokens(trained, video_inputs, tokens):
    inputs = video_inputs(timestep_per_token=True) | tokens
    expected = velocity(trained, **inputs)
    inputs["timestep"] = inputs["timestep"][:, ::4]
    assert inputs["timestep"].shape == (2, 3)
    torch.testing.assert_close(velocity(trained, **inputs), expected)
    other = velocity(trained, **inputs | {"timestep": inputs["timestep"].flip(1)})
    assert not torch.allclose(other, expected, atol=1e-3)


def test_no_tokens_are_the_plain_backbone_even_after_training(base, trained, video_inputs, tokens):
    inputs = video_inputs()
    assert torch.equal(velocity(trained, **inputs), velocity(base, **inputs))
    assert not torch.allclose(velocity(trained, **inputs, **tokens), velocity(base, **inputs), atol=1e-3)


def test_all_zero_tokens_add_exactly_nothing(base, trained, video_inputs, tokens):
    inputs = video_inputs()
    dropped = {name: torch.zeros_like(value) for name, value in tokens.items()}
    assert torch.equal(velocity(trained, **inputs, **dropped), velocity(base, **inputs))


@pytest.mark.parametrize("kind", ["motion_tokens", "camera_tokens"])
def test_each_kind_of_tokens_is_heard(trained, video_inputs, tokens, kind):
    inputs = video_inputs()
    dropped = tokens | {kind: torch.zeros_like(tokens[kind])}
    heard, unheard = velocity(trained, **inputs, **tokens), velocity(trained, **inputs, **dropped)
    assert not torch.allclose(heard, unheard, atol=1e-3)


def test_order_in_time_matters_and_order_within_a_frame_does_not(trained, video_inputs, tokens):
    inputs, motion = video_inputs(), tokens["motion_tokens"]
    expected = velocity(trained, **inputs, motion_tokens=motion)
    assert not torch.allclose(velocity(trained, **inputs, motion_tokens=motion.flip(1)), expected, atol=1e-3)
    torch.testing.assert_close(velocity(trained, **inputs, motion_tokens=motion.flip(2)), expected)


def test_latent_frames_stand_in_the_middle_of_the_video_frames_they_cover():
    covered = [[0.0], [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    middles = [sum(frames) / len(frames) for frames in covered]
    assert latent_frame_times(3, torch.device("cpu")).tolist() == middles


def test_from_transformer_copies_every_weight_and_leaves_none_without_value(base, untrained):
    adapted = untrained.state_dict()
    for name, weight in base.state_dict().items():
        assert torch.equal(adapted[name], weight), name
    assert not any(tensor.is_meta for tensor in adapted.values())
    assert untrained.config.num_layers == base.config.num_layers


@pytest.mark.parametrize("name", PUBLISHED)
def test_motion_layers_fit_published_shapes_and_add_little(name):
    sizes, size = PUBLISHED[name]
    with torch.device("meta"):
        base = WanTransformer3DModel(**arguments(*sizes))
        adapted = MotionWanTransformer3DModel.from_transformer(base)
    own = sum(p.numel() for p in base.parameters())
    added = sum(p.numel() for p in adapted.motion_parameters().values())
    assert round(own / 1e9, 1) == size
    assert sum(p.numel() for p in adapted.parameters()) == own + added
    assert 0 < added < 0.06 * own


@pytest.mark.parametrize(
    ("name", "num_frames", "latents", "share"),
    [
        ("Wan2.2-TI2V-5B", 121, (31, 30, 52), 0.021),
        ("Wan2.1-T2V-1.3B", 81, (21, 60, 104), 0.018),
        ("Wan2.1-T2V-14B", 81, (21, 60, 104), 0.010),
    ],
)
def test_motion_and_camera_add_few_operations_to_a_published_generator(name, num_frames, latents, share):
    """At 832x480; counted on shapes alone, so that no memory is needed."""
    sizes, _ = PUBLISHED[name]
    with torch.device("meta"):
        model = MotionWanTransformer3DModel(**arguments(*sizes))
        frames = torch.empty(1, 3, num_frames, 224, 224)
        motion_tokens = MotionEncoder(**FULL_SIZE.encoder)(frames)
        inputs = {
            "hidden_states": torch.empty(1, model.config["in_channels"], *latents),
            "timestep": torch.empty(1, math.prod(latents) // 4),
            "encoder_hidden_states": torch.empty(1, 512, 4096),
        }

    def operations(**tokens):
        with FlopCounterMode(display=False) as counter:
            velocity(model, **inputs, **tokens)
        return counter.get_total_flops()

    tokens = {"motion_tokens": motion_tokens, "camera_tokens": motion_tokens[:, :, :1]}
    assert 1 < operations(**tokens) / operations() < 1 + share


def test_save_and_load_change_nothing(trained, video_inputs, tokens, tmp_path):
    inputs = video_inputs()
    trained.save_pretrained(tmp_path)
    loaded = MotionWanTransformer3DModel.from_pretrained(
        tmp_path, use_safetensors=True, local_files_only=True
    )
    assert torch.equal(velocity(loaded, **inputs, **tokens), velocity(trained, **inputs, **tokens))


def test_gradient_checkpointing_carries_the_tokens(trained, video_inputs, tokens):
    inputs, motion = video_inputs(), tokens["motion_tokens"].requires_grad_()

    def gradients() -> list[torch.Tensor]:
        output = trained(**inputs, motion_tokens=motion).sample
        wanted = [motion, *trained.motion_parameters().values()]
        return list(torch.autograd.grad(output.square().mean(), wanted))

    plain = gradients()
    trained.enable_gradient_checkpointing()
    trained.train()
    checkpointed = gradients()
    assert plain[0].abs().max() > 0
    for one, other in zip(plain, checkpointed, strict=True):
        assert torch.equal(one, other)


def test_a_step_cache_works_on_the_subclass(trained, video_inputs, tokens):
    assert TransformerBlockRegistry.get(MotionWanTransformerBlock).return_hidden_states_index == 0
    inputs = video_inputs()
    expected = velocity(trained, **inputs, **tokens)
    trained.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    with trained.cache_context("full"):
        first, again = (velocity(trained, **inputs, **tokens) for _ in range(2))
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(again, expected)


def test_block_names_that_the_library_looks_for_are_those_of_the_subclass(untrained):
    names = {type(block).__name__ for block in untrained.blocks}
    assert names == {"MotionWanTransformerBlock"}
    assert set(MotionWanTransformer3DModel._repeated_blocks) == names
    assert set(MotionWanTransformer3DModel._no_split_modules) == names


def test_a_block_compiles_to_one_graph(trained, video_inputs, tokens):
    inputs = video_inputs()
    expected = velocity(trained, **inputs, **tokens)
    trained.compile_repeated_blocks(fullgraph=True, backend="eager")
    torch.testing.assert_close(velocity(trained, **inputs, **tokens), expected)


def test_lora_recipes_for_the_backbone_leave_the_motion_layers_alone(untrained):
    targeted = [name for name, _ in untrained.named_modules() if name.endswith(LORA_TARGETS)]
    assert len(targeted) == len(untrained.blocks) * (2 * 4 + 2)
    assert not any("motion_attn" in name for name in targeted)


def test_a_lora_for_the_stock_transformer_makes_the_same_change_in_ours(
    base, untrained, video_inputs, tokens
):
    layers = ("blocks.0.attn1.to_q", "blocks.1.ffn.net.2")
    lora = {}
    for name in layers:
        out_features, in_features = base.get_submodule(name).weight.shape
        lora[f"transformer.{name}.lora_A.weight"] = torch.randn(2, in_features)
        lora[f"transformer.{name}.lora_B.weight"] = torch.randn(out_features, 2)
    inputs = video_inputs()
    plain = velocity(base, **inputs)
    # A copy, because both hold the same tensors and the library wraps modules.
    stock = WanTransformer3DModel.from_config(base.config)
    stock.load_state_dict(base.state_dict())
    for model in (stock, untrained):
        model.load_lora_adapter(dict(lora), prefix="transformer")
    changed = velocity(stock, **inputs)
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert torch.equal(velocity(untrained, **inputs, **tokens), changed)


def test_blocks_that_come_from_another_memory_change_nothing(trained, video_inputs, tokens):
    inputs = video_inputs()
    expected = velocity(trained, **inputs, **tokens)
    apply_group_offloading(
        trained,
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
    )
    assert torch.equal(velocity(trained, **inputs, **tokens), expected)


def test_weights_kept_in_eight_bits_are_computed_in_full(trained, video_inputs, tokens):
    inputs = video_inputs()
    expected = velocity(trained, **inputs, **tokens)
    trained.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    kept = {p.dtype for block in trained.blocks for p in block.attn1.to_q.parameters()}
    assert kept == {torch.float8_e4m3fn}
    answer = velocity(trained, **inputs, **tokens)
    assert (answer - expected).square().mean() < 0.05 * expected.square().mean()


def test_an_adapter_is_exactly_the_motion_attn_tensors(base, untrained):
    added = untrained.state_dict().keys() - base.state_dict().keys()
    assert added == untrained.motion_parameters().keys()
    assert all(".motion_attn." in name for name in added)


def test_bfloat16_stays_close_to_float32(trained, video_inputs, tokens, tmp_path):
    inputs = video_inputs()
    expected = velocity(trained, **inputs, **tokens)
    trained.save_pretrained(tmp_path)
    half = MotionWanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert half.blocks[0].motion_attn.query.weight.dtype == torch.bfloat16
    narrow = {name: value.bfloat16() for name, value in (inputs | tokens).items() if name != "timestep"}
    answer = velocity(half, **narrow, timestep=inputs["timestep"])
    assert answer.dtype == torch.bfloat16
    assert (answer.float() - expected).square().mean() < 0.01 * expected.square().mean()


def test_from_transformer_keeps_each_tensors_number_format(base, tmp_path, video_inputs, tokens):
    # Loaded as bfloat16, the library keeps norms and time embedding in float32: so must the copy.
    base.save_pretrained(tmp_path)
    half = WanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    adapted = MotionWanTransformer3DModel.from_transformer(
        half, motion_dim=8, motion_inner_dim=16, motion_num_heads=2
    )
    for name, weight in half.state_dict().items():
        assert adapted.state_dict()[name].dtype == weight.dtype, name
        assert torch.equal(adapted.state_dict()[name], weight), name
    assert all(
        p.dtype == torch.bfloat16 for name, p in adapted.motion_parameters().items() if ".norm." not in name
    )


def test_ftfy_is_declared_because_the_librarys_wan_pipelines_use_it_undeclared():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert any(requirement.startswith("ftfy") for requirement in project["optional-dependencies"]["server"])
    assert importlib.util.find_spec("ftfy") is not None
