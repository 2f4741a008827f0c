"""A generator in one file, as fine-tuned ones are passed around."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidModel
from threedimo.single_file import WEIGHTS, write_model
from threedimo_server.cli import main

# The names of the original code beside those of diffusers; norm2 and norm3 stand the other way round.
ORIGINAL = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    ".attn1.": ".self_attn.",
    ".attn2.": ".cross_attn.",
    ".to_out.0.": ".o.",
    ".to_q.": ".q.",
    ".to_k.": ".k.",
    ".to_v.": ".v.",
    ".ffn.net.0.proj.": ".ffn.0.",
    ".ffn.net.2.": ".ffn.2.",
    ".norm2.": ".norm3.",
    "proj_out": "head.head",
}
PREFIX = "model.diffusion_model."


def original_name(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in ORIGINAL.items():
        name = name.replace(ours, theirs)
    return name.replace("scale_shift_table", "modulation")


@pytest.fixture(scope="module")
def tuned(tiny_stock_folder: Path) -> dict[str, torch.Tensor]:
    """A fine-tuned generator, in bfloat16."""
    stock = WanTransformer3DModel.from_pretrained(tiny_stock_folder / "transformer")
    generator = torch.Generator().manual_seed(3)
    return {
        name: (weight + 0.1 * torch.randn(weight.shape, generator=generator)).bfloat16()
        for name, weight in stock.state_dict().items()
    }


@pytest.fixture
def file(tuned, tmp_path) -> Path:
    save_file({PREFIX + original_name(name): w for name, w in tuned.items()}, tmp_path / "tuned.safetensors")
    return tmp_path / "tuned.safetensors"


@pytest.mark.parametrize("original", [True, False])
def test_model_has_the_files_generator_and_the_bases_rest(
    tiny_stock_folder, tuned, file, tmp_path, original, capsys
):
    if not original:
        save_file(tuned, file)
    folder = tmp_path / "models" / "tuned"

    assert main(["convert", str(file), "--base", str(tiny_stock_folder), "--output", str(folder)]) == 0

    assert str(folder) in capsys.readouterr().out
    stored = load_file(folder / WEIGHTS)
    assert stored.keys() == tuned.keys()
    assert all(torch.equal(stored[name], weight) for name, weight in tuned.items())
    pipeline = load_pipeline(str(folder), untrained=True, device="cpu")
    own = pipeline.transformer.state_dict()
    assert all(torch.equal(own[name], weight.to(own[name].dtype)) for name, weight in tuned.items())
    vae = Path("vae", "diffusion_pytorch_model.safetensors")
    assert (folder / vae).samefile(tiny_stock_folder / vae)
    settings = Path("scheduler", "scheduler_config.json")
    assert (folder / settings).read_bytes() == (tiny_stock_folder / settings).read_bytes()
    assert not (folder / settings).samefile(tiny_stock_folder / settings)
    assert [each.name for each in folder.parent.iterdir()] == ["tuned"]


def test_an_earlier_model_is_not_replaced(tiny_stock_folder, file, tmp_path, capsys):
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "model_index.json").write_text("mine")

    assert main(["convert", str(file), "--base", str(tiny_stock_folder), "--output", str(folder)]) != 0

    assert "holds other files" in capsys.readouterr().err
    assert (folder / "model_index.json").read_text() == "mine"


def lacking(tensors):
    del tensors[PREFIX + "patch_embedding.bias"]


def with_more(tensors):
    tensors[PREFIX + "vace_blocks.0.before_proj.bias"] = torch.zeros(3)


def reshaped(tensors):
    tensors[PREFIX + "patch_embedding.bias"] = torch.zeros(5)


def quantised(tensors):
    name = PREFIX + "blocks.0.ffn.0.weight"
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lacking, "lacks 1 tensors, first patch_embedding.bias"),
        (with_more, "holds 1 tensors that the base's generator has not, first vace_blocks.0.proj_in.bias"),
        (reshaped, "holds patch_embedding.bias in another shape"),
        (quantised, "F8_E4M3"),
    ],
)
def test_file_of_another_generator_is_refused_and_nothing_written(
    tiny_stock_folder, file, tmp_path, capsys, spoil, says
):
    tensors = load_file(file)
    spoil(tensors)
    save_file(tensors, file)

    folder = tmp_path / "models" / "tuned"
    assert main(["convert", str(file), "--base", str(tiny_stock_folder), "--output", str(folder)]) != 0

    assert says in capsys.readouterr().err
    assert not list(folder.parent.iterdir())


def test_file_that_is_no_safetensors_is_refused(tiny_stock_folder, file, tmp_path):
    (tmp_path / "tuned.pth").write_bytes(b"cos\nsystem\n")
    with pytest.raises(InvalidModel, match="weights are read from safetensors only"):
        write_model(tmp_path / "tuned.pth", str(tiny_stock_folder), tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InvalidModel, match=r"tuned\.safetensors is damaged"):
        write_model(file, str(tiny_stock_folder), tmp_path)
    with pytest.raises(InvalidModel, match=r"missing\.safetensors is missing"):
        write_model(tmp_path / "missing.safetensors", str(tiny_stock_folder), tmp_path)


def test_base_must_be_a_stock_model(tiny_pipeline_folder, file, tmp_path):
    with pytest.raises(InvalidModel, match=r"transformer in model_index\.json is not what it may be"):
        write_model(file, str(tiny_pipeline_folder), tmp_path)
