"""What a training made, loaded without it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel
from threedimo.fingerprint import backbone_fingerprint
from threedimo.lora import LORA_NAME
from threedimo.stock import FULL_SIZE
from threedimo_training.finetuning.base import load_base
from threedimo_training.finetuning.export import export_finetuned
from threedimo_training.finetuning.finetune import finetune
from threedimo_training.samples.hands import HAND_CROP_SIZE


@pytest.fixture
def trained(options):
    """A LoRA training whose steps are large enough to see."""
    options = replace(options, train="lora", steps=3, learning_rate=1.0)
    finetune(options, lambda _: None)
    return options


def test_adapter_and_whole_model_are_the_same_model(trained, tmp_path):
    for name, whole in (("adapter", False), ("whole", True)):
        export_finetuned(trained.work, tmp_path / name, whole=whole, report=lambda _: None)
    assert (tmp_path / "adapter" / LORA_NAME).exists()
    base, merged = (load_pipeline(str(model), device="cpu") for model in (trained.base, tmp_path / "whole"))
    base.load_adapter(tmp_path / "adapter")
    for part in ("transformer", "motion_encoder", "camera_encoder"):
        other = getattr(merged, part).state_dict()
        for name, value in getattr(base, part).state_dict().items():
            assert torch.equal(value, other[name]), name
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    driving = rng.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    frames = [model(reference, driving, num_inference_steps=2).frames for model in (base, merged)]
    assert np.array_equal(*frames)
    untrained = load_pipeline(trained.base, device="cpu")(reference, driving, num_inference_steps=2)
    assert not np.array_equal(frames[0], untrained.frames)
    with pytest.raises(InvalidModel, match=r"another adapter.*load the base again"):
        base.load_adapter(tmp_path / "adapter")


def test_an_adapter_for_another_base_is_refused_and_changes_nothing(trained, tmp_path):
    export_finetuned(trained.work, tmp_path / "adapter", whole=False, report=lambda _: None)
    base = load_pipeline(trained.base, device="cpu")
    before = {name: value.clone() for name, value in base.transformer.state_dict().items()}
    config = tmp_path / "adapter" / "motion_adapter" / "adapter.json"
    right = config.read_text()
    other = json.loads(right)
    other["config"]["num_layers"] = 30
    config.write_text(json.dumps(other))
    with pytest.raises(InvalidModel, match=r"another generator.*num_layers=30"):
        base.load_adapter(tmp_path / "adapter")
    config.write_text(right)
    file = tmp_path / "adapter" / LORA_NAME
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(InvalidModel, match=r"pytorch_lora_weights\.safetensors is damaged"):
        base.load_adapter(tmp_path / "adapter")
    assert all(torch.equal(value, before[name]) for name, value in base.transformer.state_dict().items())


def test_low_rank_changes_carry_the_names_that_diffusers_reads(trained, tmp_path):
    export_finetuned(trained.work, tmp_path / "adapter", whole=False, report=lambda _: None)
    stock = load_pipeline(trained.base, device="cpu").transformer
    stock.load_lora_adapter(load_file(tmp_path / "adapter" / LORA_NAME), prefix="transformer")
    layer = stock.blocks[0].attn1.to_q
    merged = load_pipeline(trained.base, device="cpu")
    merged.load_adapter(tmp_path / "adapter")
    change = layer.lora_B["default_0"].weight @ layer.lora_A["default_0"].weight
    expected = merged.transformer.blocks[0].attn1.to_q.weight
    assert layer.scaling["default_0"] == 1
    assert torch.allclose(layer.base_layer.weight + change, expected, atol=1e-6)


def test_a_stock_model_and_the_adapter_that_was_trained_in_it(options, stock, sizes, tmp_path):
    options = replace(
        options,
        base=str(stock),
        size=(32, 32),
        num_frames=9,
        motion_sizes=sizes,
        train="lora",
        learning_rate=1.0,
    )
    finetune(options, lambda _: None)
    for name, whole in (("adapter", False), ("whole", True)):
        export_finetuned(
            options.work, tmp_path / name, whole=whole, report=lambda _: None, motion_sizes=sizes
        )
    adapted = load_pipeline(str(stock), str(tmp_path / "adapter"), device="cpu")
    merged = load_pipeline(str(tmp_path / "whole"), device="cpu")
    assert adapted.info == merged.info
    assert adapted.info.trained
    for part in ("transformer", "motion_encoder", "camera_encoder", "vae", "text_encoder"):
        other = getattr(merged, part).state_dict()
        for name, value in getattr(adapted, part).state_dict().items():
            assert torch.equal(value, other[name]), name
    with pytest.raises(InvalidModel, match="another adapter"):
        adapted.save_adapter(tmp_path / "again")


def test_full_size_hands_are_those_of_the_samples():
    assert FULL_SIZE.encoder["hand_crop_size"] == HAND_CROP_SIZE


def test_a_stock_model_is_trained_and_becomes_one_of_this_project(options, stock, sizes, clips, tmp_path):
    options = replace(
        options, base=str(stock), size=(32, 32), num_frames=9, motion_sizes=sizes, learning_rate=1.0
    )
    finetune(options, lambda _: None)
    export_finetuned(options.work, tmp_path / "model", whole=True, report=lambda _: None, motion_sizes=sizes)
    made = load_pipeline(str(tmp_path / "model"), device="cpu")
    untrained = load_base(str(stock), torch.float32, clips, 0, sizes)
    assert backbone_fingerprint(made.transformer) == backbone_fingerprint(untrained.transformer)
    assert made.scheduler.config["shift"] == 3.0
    assert made.info.num_frames == 9
    assert made.transformer.blocks[0].motion_attn.out.weight.abs().max() > 0
