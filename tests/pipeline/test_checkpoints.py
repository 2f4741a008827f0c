from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel, InvalidRequest, ModelNotFound
from threedimo.pipeline import MotionTransferPipeline

TRANSFORMER_WEIGHTS = Path("transformer", "diffusion_pytorch_model.safetensors")


@pytest.fixture
def folder(tiny_pipeline_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to spoil."""
    return shutil.copytree(tiny_pipeline_folder, tmp_path / "model")


def load(folder: Path) -> MotionTransferPipeline:
    return load_pipeline(str(folder), device="cpu")


def edit_index(folder: Path, **changes) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_save_and_load_change_neither_frames_nor_description(
    pipeline, make, tmp_path, reference_image, driving_frames
):
    pipeline.save_pretrained(tmp_path)
    for loaded in (load(tmp_path), MotionTransferPipeline.from_pretrained(tmp_path)):
        assert loaded.info == pipeline.info
        assert loaded.config.num_lead_latents == pipeline.config.num_lead_latents
        assert loaded.config.max_text_tokens == 128
        frames = loaded(reference_image, driving_frames[:9], prompt="Front view.").frames
        assert np.array_equal(frames, make(prompt="Front view.").frames)


def test_the_index_names_modules_that_can_be_imported(tiny_pipeline_folder):
    index = json.loads((tiny_pipeline_folder / "model_index.json").read_text())
    assert index["transformer"] == ["threedimo.models.transformer_wan", "MotionWanTransformer3DModel"]
    assert index["motion_encoder"] == ["threedimo.models.motion_encoder", "MotionEncoder"]
    assert index["camera_encoder"] == ["threedimo.models.camera_encoder", "CameraEncoder"]


def test_no_weights_are_written_as_pickles(tiny_pipeline_folder):
    suffixes = {path.suffix for path in tiny_pipeline_folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelNotFound, match="no model of this name"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize(
    "missing", ["model_index.json", "threedimo.json", "vae", "motion_encoder", "scheduler"]
)
def test_what_is_missing_is_named(folder, missing):
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InvalidModel, match=missing):
        load(folder)


@pytest.mark.parametrize(
    "component", ["text_encoder", "vae", "transformer", "motion_encoder", "camera_encoder"]
)
def test_weights_that_are_missing_are_named(folder, component):
    for file in (folder / component).glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InvalidModel, match=f"{component} has no weights as safetensors"):
        load(folder)


def test_pickled_weights_are_refused(folder):
    weights = folder / TRANSFORMER_WEIGHTS
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InvalidModel, match=r"given: diffusion_pytorch_model\.bin"):
        load(folder)


def test_a_truncated_file_is_refused(folder):
    weights = folder / TRANSFORMER_WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InvalidModel, match=r"transformer/diffusion_pytorch_model\.safetensors is damaged"):
        load(folder)


@pytest.mark.parametrize(
    "component", ["text_encoder", "vae", "transformer", "motion_encoder", "camera_encoder"]
)
def test_a_network_that_lacks_a_tensor_is_refused(folder, component):
    (weights,) = (folder / component).glob("*.safetensors")
    tensors = load_file(weights)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InvalidModel, match=f"{component} lacks .* tensors, first"):
        load(folder)


def test_a_tensor_of_another_shape_is_refused(folder):
    tensors = load_file(folder / TRANSFORMER_WEIGHTS)
    tensors["proj_out.weight"] = torch.zeros(3, 3)
    save_file(tensors, folder / TRANSFORMER_WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(InvalidModel, match=r"transformer holds proj_out\.weight in another shape.*\(3, 3\)"):
        load(folder)


def test_a_generator_without_motion_layers_is_no_model_yet(folder):
    config = json.loads((folder / "transformer" / "config.json").read_text())
    names = {"num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "text_dim"}
    names |= {"freq_dim", "ffn_dim", "num_layers", "rope_max_seq_len"}
    base = WanTransformer3DModel(**{name: config[name] for name in names})
    save_file(base.state_dict(), folder / TRANSFORMER_WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(InvalidModel, match="motion_attn"):
        load(folder)


@pytest.mark.parametrize(
    "entry",
    [
        ["os", "system"],
        ["transformers", "AutoModel"],
        ["diffusers", "AutoencoderKL"],
        None,
        "AutoencoderKLWan",
    ],
)
def test_the_index_may_name_no_other_classes(folder, entry):
    edit_index(folder, vae=entry)
    with pytest.raises(InvalidModel, match=r"vae in model_index\.json is not what it may be"):
        load(folder)


def test_code_in_a_model_is_never_run(folder):
    (folder / "code.py").write_text("raise SystemExit('this must not run')")
    edit_index(folder, transformer=["code", "MotionWanTransformer3DModel"])
    (folder / "transformer" / "code.py").write_text("raise SystemExit('this must not run')")
    with pytest.raises(InvalidModel, match=r"transformer in model_index\.json"):
        load(folder)


def test_the_folder_of_another_pipeline_is_refused(folder):
    edit_index(folder, _class_name="FluxPipeline")
    with pytest.raises(InvalidModel, match=r"FluxPipeline.*Allowed: MotionTransferPipeline, Wan"):
        load(folder)


def test_parts_of_different_models_are_refused(folder):
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    config["use_dynamic_shifting"] = True
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidModel, match="use_dynamic_shifting"):
        load(folder)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_refused(tiny_pipeline_folder, device):
    with pytest.raises(InvalidRequest, match=f"given: {device}.*Allowed: auto, cpu"):
        load_pipeline(str(tiny_pipeline_folder), device=device)
