from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel, ModelNotFound
from threedimo.pipeline import MotionTransferPipeline

TENSORS = Path("motion_adapter", "adapter.safetensors")
ORIGIN = Path("motion_adapter", "adapter.json")


@pytest.fixture
def adapter(pipeline: MotionTransferPipeline, tmp_path: Path) -> Path:
    pipeline.save_adapter(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def other(tiny_pipeline_folder: Path) -> MotionTransferPipeline:
    """The same generator with other motion layers and encoders."""
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    own = [*pipeline.motion_encoder.parameters(), *pipeline.camera_encoder.parameters()]
    for parameter in (*own, *pipeline.transformer.motion_parameters().values()):
        torch.nn.init.normal_(parameter)
    return pipeline


def weights(pipeline: MotionTransferPipeline) -> dict[str, torch.Tensor]:
    names = ("transformer", "motion_encoder", "camera_encoder")
    return {
        f"{n}.{key}": value.clone() for n in names for key, value in getattr(pipeline, n).state_dict().items()
    }


def test_an_adapter_carries_everything_that_the_method_adds(
    pipeline, make, other, adapter, reference_image, driving_frames, camera_path
):
    settings = {"prompt": "Front view.", "camera_path": camera_path}
    expected = make(**settings).frames
    assert not np.array_equal(other(reference_image, driving_frames[:9], **settings).frames, expected)
    other.load_adapter(adapter)
    assert np.array_equal(other(reference_image, driving_frames[:9], **settings).frames, expected)
    for name, value in weights(pipeline).items():
        assert torch.equal(weights(other)[name], value), name


def test_it_holds_only_encoders_and_motion_layers(pipeline, adapter):
    parts = {"motion_encoder", "camera_encoder", "motion_adapter", "threedimo.json"}
    assert {path.name for path in adapter.iterdir()} == parts
    tensors = load_file(adapter / TENSORS)
    assert tensors.keys() == pipeline.transformer.motion_parameters().keys()
    assert all(".motion_attn." in name for name in tensors)


def test_an_adapter_takes_the_number_format_of_the_pipeline(tiny_pipeline_folder, adapter):
    half = load_pipeline(str(tiny_pipeline_folder), device="cpu", dtype=torch.bfloat16)
    half.load_adapter(adapter)
    assert half.motion_encoder.dtype == half.camera_encoder.dtype == torch.bfloat16
    assert half.transformer.blocks[0].motion_attn.query.weight.dtype == torch.bfloat16


def test_another_generators_adapter_is_refused_naming_both_and_changing_nothing(other, adapter):
    origin = json.loads((adapter / ORIGIN).read_text())
    origin["config"] |= {"num_layers": 30, "ffn_dim": 64}
    (adapter / ORIGIN).write_text(json.dumps(origin | {"base": "Wan-Large"}))
    before = weights(other)
    with pytest.raises(
        InvalidModel,
        match=r"given: tiny, which has ffn_dim=32, num_layers=2\). "
        "Allowed: Wan-Large, which has ffn_dim=64, num_layers=30",
    ):
        other.load_adapter(adapter)
    for name, value in weights(other).items():
        assert torch.equal(before[name], value), name


def test_motion_layers_that_are_not_the_generators_are_refused(other, adapter):
    tensors = load_file(adapter / TENSORS)
    tensors["blocks.7.motion_attn.out.weight"] = tensors.pop("blocks.1.motion_attn.out.weight")
    save_file(tensors, adapter / TENSORS)
    with pytest.raises(InvalidModel, match=r"2 differ, first blocks\.1\.motion_attn\.out\.weight"):
        other.load_adapter(adapter)


@pytest.mark.parametrize("encoder", ["motion_encoder", "camera_encoder"])
def test_an_encoder_that_lacks_a_tensor_is_refused_and_nothing_is_changed(other, adapter, encoder):
    (file,) = (adapter / encoder).glob("*.safetensors")
    tensors = load_file(file)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, file, metadata={"format": "pt"})
    before = weights(other)
    with pytest.raises(InvalidModel, match=f"{encoder} lacks 1 tensors, first {lost}"):
        other.load_adapter(adapter)
    assert all(torch.equal(before[name], value) for name, value in weights(other).items())


@pytest.mark.parametrize("spoiled", [TENSORS, ORIGIN, Path("camera_encoder", "config.json")])
def test_damaged_or_missing_files_are_named(other, adapter, spoiled):
    (adapter / spoiled).write_bytes(b"damaged")
    with pytest.raises(InvalidModel, match=spoiled.parts[0]):
        other.load_adapter(adapter)
    (adapter / spoiled).unlink()
    with pytest.raises(InvalidModel, match=spoiled.parts[0]):
        other.load_adapter(adapter)


def test_an_adapter_that_is_not_there(other, tmp_path):
    with pytest.raises(ModelNotFound, match="no adapter in this folder"):
        other.load_adapter(tmp_path / "nothing")
