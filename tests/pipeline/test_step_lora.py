"""LoRA files for few steps in both namings, merged into a tiny generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel, InvalidRequest, ModelNotFound
from threedimo.step_lora import merge_step_lora

RANK = 2
# Our names of all changed layers of a block, and the original ones.
LAYERS = {
    **{f"attn1.to_{kind}": f"self_attn.{kind}" for kind in "qkv"},
    **{f"attn2.to_{kind}": f"cross_attn.{kind}" for kind in "qkv"},
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_out.0": "cross_attn.o",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}


@pytest.fixture
def pipeline(tiny_pipeline_folder):
    return load_pipeline(str(tiny_pipeline_folder), device="cpu")


def changes(transformer) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(0)
    found = {}
    for block in range(len(transformer.blocks)):
        for layer in LAYERS:
            rows, columns = transformer.get_submodule(f"blocks.{block}.{layer}").weight.shape
            a, b = (torch.randn(size, generator=random) for size in ((RANK, columns), (rows, RANK)))
            found[f"blocks.{block}.{layer}"] = a, b
    return found


def original_name(name: str) -> str:
    _, block, layer = name.split(".", 2)
    return f"diffusion_model.blocks.{block}.{LAYERS[layer]}"


def write(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    file = folder / "turbo.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def in_diffusers_names(found):
    return {
        f"transformer.{name}.lora_{letter}.weight": part
        for name, pair in found.items()
        for letter, part in zip("AB", pair, strict=True)
    }


def test_the_merged_generator_is_the_stock_one_with_the_file_loaded_by_its_own_library(pipeline, tmp_path):
    ours = pipeline.transformer
    lora = in_diffusers_names(changes(ours))
    known = {
        name: value
        for name, value in ours.config.items()
        if not name.startswith(("_", "motion_", "position_"))
    }
    stock = WanTransformer3DModel(**known).eval()
    stock.load_state_dict({n: t for n, t in ours.state_dict().items() if "motion_attn" not in n})
    stock.load_lora_adapter(dict(lora), prefix="transformer")
    merge_step_lora(ours, write(tmp_path, lora))
    torch.manual_seed(0)
    inputs = {
        "hidden_states": torch.randn(1, 4, 3, 4, 4),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 6, 32),
    }
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs).sample, stock(**inputs).sample, rtol=1e-4, atol=1e-4)


def test_both_namings_and_their_scale_give_the_same_weights(pipeline, tiny_pipeline_folder, tmp_path):
    found = changes(pipeline.transformer)
    merge_step_lora(pipeline.transformer, write(tmp_path, in_diffusers_names(found)))
    original = {}
    for name, (a, b) in found.items():
        # alpha / rank is a half here, so that B is twice as large
        named = original_name(name)
        original |= {f"{named}.lora_down.weight": a, f"{named}.lora_up.weight": 2 * b}
        original[f"{named}.alpha"] = torch.tensor(RANK / 2)
    original["diffusion_model.blocks.0.norm3.diff"] = torch.zeros(24)
    other = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    merge_step_lora(other.transformer, write(tmp_path, original))
    for name, weight in pipeline.transformer.state_dict().items():
        torch.testing.assert_close(other.transformer.state_dict()[name], weight)


def test_biases_are_changed_and_motion_layers_are_not(pipeline, tmp_path):
    before = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}
    bias = torch.randn(24)
    merge_step_lora(
        pipeline.transformer, write(tmp_path, {"diffusion_model.blocks.1.self_attn.q.diff_b": bias})
    )
    changed = {
        name
        for name, tensor in pipeline.transformer.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"blocks.1.attn1.to_q.bias"}


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"transformer.blocks.9.attn1.to_q.lora_A.weight": torch.ones(2, 24)},
        {"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 24)},
        {
            "transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 25),
            "transformer.blocks.0.attn1.to_q.lora_B.weight": torch.ones(24, 2),
        },
        {
            "transformer.blocks.0.motion_attn.out.lora_A.weight": torch.ones(2, 16),
            "transformer.blocks.0.motion_attn.out.lora_B.weight": torch.ones(24, 2),
        },
        {"diffusion_model.blocks.0.norm3.diff": torch.ones(24)},
    ],
)
def test_a_file_for_something_else_is_refused_and_changes_nothing(pipeline, tmp_path, tensors):
    before = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}
    with pytest.raises(InvalidModel, match="does not fit the generator"):
        merge_step_lora(pipeline.transformer, write(tmp_path, tensors))
    assert all(torch.equal(tensor, before[n]) for n, tensor in pipeline.transformer.state_dict().items())


def test_a_model_loaded_with_one_makes_few_steps_without_guidance(
    tiny_pipeline_folder, pipeline, tmp_path, reference_image, driving_frames
):
    file = write(tmp_path, in_diffusers_names(changes(pipeline.transformer)))
    fast = load_pipeline(str(tiny_pipeline_folder), lora=str(file), lora_steps=3, device="cpu")
    assert fast.info.id == "tiny-turbo"
    forwards = []
    fast.transformer.register_forward_hook(lambda *_: forwards.append(1))
    frames = fast(reference_image, driving_frames[:9]).frames
    assert len(forwards) == 3
    assert not np.array_equal(frames, pipeline(reference_image, driving_frames[:9]).frames)


def test_files_and_numbers_that_are_not_are_refused(tiny_pipeline_folder, tmp_path):
    load = {"model": str(tiny_pipeline_folder), "device": "cpu"}
    with pytest.raises(ModelNotFound, match="no LoRA file"):
        load_pipeline(**load, lora=str(tmp_path / "none.safetensors"))
    with pytest.raises(InvalidRequest, match="1 to 50"):
        load_pipeline(**load, lora="turbo.safetensors", lora_steps=0)
    (tmp_path / "pickled.safetensors").write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(InvalidModel):
        load_pipeline(**load, lora=str(tmp_path / "pickled.safetensors"))
