"""Stock Wan folders: with an adapter a model, without one refused, and nothing loaded that does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel, InvalidRequest, ModelNotFound, UntrainedModel
from threedimo.model_info import read_model_info
from threedimo.pipeline import MotionTransferPipeline

WEIGHTS = Path("transformer", "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def trained(tiny_trained_stock: MotionTransferPipeline) -> MotionTransferPipeline:
    return tiny_trained_stock


@pytest.fixture
def adapter(trained: MotionTransferPipeline, tmp_path: Path) -> str:
    trained.save_adapter(tmp_path / "adapter", base="wan")
    return str(tmp_path / "adapter")


@pytest.fixture
def copy(tiny_stock_folder: Path, tmp_path: Path) -> Path:
    """The stock model, to spoil."""
    return shutil.copytree(tiny_stock_folder, tmp_path / "wan-copy")


def load(model: Path, adapter: str) -> MotionTransferPipeline:
    return load_pipeline(str(model), adapter, device="cpu")


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_stock_model_and_adapter_make_what_the_trained_model_makes(
    tiny_stock_folder, trained, adapter, reference_image, driving_frames, camera_path
):
    loaded = load(tiny_stock_folder, adapter)
    assert loaded.info == trained.info == read_model_info(str(tiny_stock_folder), adapter)
    assert loaded.scheduler.config["shift"] == 3.0
    made = [
        model(reference_image, driving_frames[:9], "Front view.", camera_path).frames
        for model in (trained, loaded)
    ]
    assert np.array_equal(*made)
    other_motion = loaded(reference_image, driving_frames[9:18], "Front view.", camera_path).frames
    assert not np.array_equal(made[0], other_motion)


def test_an_adapter_can_be_loaded_in_16_bits(tiny_stock_folder, adapter):
    half = load_pipeline(str(tiny_stock_folder), adapter, device="cpu", dtype=torch.bfloat16)
    assert half.transformer.dtype == half.text_encoder.dtype == half.motion_encoder.dtype == torch.bfloat16
    assert half.vae.dtype == torch.float32


def test_without_an_adapter_a_stock_model_is_refused_with_both_ways_on(tiny_stock_folder):
    for refused in (read_model_info, load_pipeline):
        with pytest.raises(UntrainedModel, match=r"control are untrained.*--adapter FOLDER.*--untrained"):
            refused(str(tiny_stock_folder))


def test_untrained_on_request_it_ignores_motion_and_camera(
    tiny_stock_folder, reference_image, driving_frames, camera_path
):
    pipeline = load_pipeline(str(tiny_stock_folder), untrained=True, device="cpu")
    info = pipeline.info
    assert (info.trained, info.num_frames, info.fps, info.size_step) == (False, 121, 24.0, 16)
    assert "untrained" in info.notes
    # a stock model is taken to be made for 480p; this one is as small as its networks
    pipeline.info = msgspec.structs.replace(info, width=32, height=32)
    settings = {"num_inference_steps": 2, "fps": 8.0}
    one = pipeline(reference_image, driving_frames[:9], camera_path=camera_path, **settings).frames
    other = pipeline(reference_image, driving_frames[9:18], **settings).frames
    assert np.array_equal(one, other)


@torch.no_grad()
def test_an_untrained_generator_is_the_stock_one_bit_for_bit(tiny_stock_folder):
    stock = WanTransformer3DModel.from_pretrained(tiny_stock_folder / "transformer", use_safetensors=True)
    ours = load_pipeline(str(tiny_stock_folder), untrained=True, device="cpu").transformer
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "hidden_states": torch.randn(1, 4, 3, 4, 4, generator=generator),
        # as Wan2.2-TI2V-5B takes its clean first frame: a time for each token
        "timestep": 700.0 * (torch.arange(12) >= 4)[None],
        "encoder_hidden_states": torch.randn(1, 6, 32, generator=generator),
    }
    motion = torch.randn(1, 9, 3, ours.config["motion_dim"], generator=generator)
    made = ours(**inputs, motion_tokens=motion, camera_tokens=motion[:, :, :1]).sample
    assert torch.equal(made, stock(**inputs).sample)


def test_untrained_is_refused_where_something_is_trained(tiny_stock_folder, tiny_pipeline_folder, adapter):
    with pytest.raises(InvalidRequest, match="with trained motion layers"):
        load_pipeline(str(tiny_pipeline_folder), untrained=True, device="cpu")
    with pytest.raises(InvalidRequest, match="choose one of the two"):
        load_pipeline(str(tiny_stock_folder), adapter, untrained=True, device="cpu")


def test_an_adapter_of_another_architecture_is_refused_before_anything_is_loaded(copy, adapter, monkeypatch):
    config = json.loads((copy / "transformer" / "config.json").read_text()) | {"num_layers": 1}
    public = {name: value for name, value in config.items() if not name.startswith("_")}
    WanTransformer3DModel(**public).save_pretrained(copy / "transformer")
    monkeypatch.setattr(WanTransformer3DModel, "from_pretrained", None)
    with pytest.raises(
        InvalidModel, match=r"given: wan-copy, which has num_layers=1\). Allowed: wan, which has num_layers=2"
    ):
        load(copy, adapter)


def test_a_fine_tune_of_the_right_architecture_is_told_apart_by_its_weights(copy, adapter):
    tensors = load_file(copy / WEIGHTS)
    tensors["proj_out.weight"] += 1
    save_file(tensors, copy / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(
        InvalidModel, match=r"other weights \(given: wan-copy, weights \w{32}\). Allowed: wan, weights \w{32}"
    ):
        load(copy, adapter)


def test_an_adapter_of_a_stock_model_fits_the_same_as_a_model_of_this_project(trained, adapter, tmp_path):
    trained.save_pretrained(tmp_path / "own")
    assert load(tmp_path / "own", adapter).info == trained.info
    own = load_pipeline(str(tmp_path / "own"), device="cpu")
    torch.nn.init.normal_(own.transformer.proj_out.weight)
    own.save_pretrained(tmp_path / "own")
    with pytest.raises(InvalidModel, match=r"other weights \(given: own,.*Allowed: wan,"):
        load(tmp_path / "own", adapter)


def test_an_adapter_that_is_half_written_or_not_there(tiny_stock_folder, adapter, tmp_path):
    (Path(adapter) / "threedimo.json").unlink()
    with pytest.raises(InvalidModel, match=r"no threedimo\.json"):
        load(tiny_stock_folder, adapter)
    with pytest.raises(ModelNotFound, match="no adapter in this folder"):
        load(tiny_stock_folder, str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("motion_encoder/config.json", {"hidden_dim": 1 << 40}, "motion_encoder"),
        ("motion_encoder/config.json", {"num_layers": 1 << 40}, "more layers than there are tensors"),
        ("camera_encoder/config.json", {"hidden_dim": 1 << 20}, "camera_encoder holds .* another shape"),
        ("motion_adapter/adapter.json", {"config": {}}, "does not say the sizes"),
        ("motion_adapter/adapter.json", {"weights": 3}, "cannot be understood"),
    ],
)
def test_sizes_that_an_adapter_only_claims_are_never_allocated(
    tiny_stock_folder, adapter, file, changes, problem
):
    edit(Path(adapter, file), **changes)
    with pytest.raises(InvalidModel, match=problem):
        load(tiny_stock_folder, adapter)


def test_pickled_weights_of_a_stock_model_are_refused(copy, adapter):
    torch.save(load_file(copy / WEIGHTS), (copy / WEIGHTS).with_suffix(".bin"))
    (copy / WEIGHTS).unlink()
    with pytest.raises(InvalidModel, match=r"given: diffusion_pytorch_model\.bin"):
        load(copy, adapter)


def test_generators_that_motion_layers_cannot_be_added_to(copy, adapter):
    edit(copy / "model_index.json", transformer_2=["diffusers", "WanTransformer3DModel"])
    with pytest.raises(InvalidModel, match="two generators"):
        load(copy, adapter)
    edit(copy / "model_index.json", transformer_2=[None, None])
    config = json.loads((copy / "transformer" / "config.json").read_text()) | {"in_channels": 9}
    public = {name: value for name, value in config.items() if not name.startswith("_")}
    WanTransformer3DModel(**public).save_pretrained(copy / "transformer")
    with pytest.raises(InvalidModel, match=r"channels of its own.*9 channels"):
        load(copy, adapter)


def test_a_new_adapter_leaves_nothing_of_an_older_one(trained, adapter):
    stale = Path(adapter, "backbone_lora", "pytorch_lora_weights.safetensors")
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier training")
    trained.save_adapter(adapter, base="wan")
    assert not stale.exists()
