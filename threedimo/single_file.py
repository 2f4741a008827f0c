"""A generator in one file, in the names of the original Wan code, beside the rest of a stock model.

Fine-tuned generators are passed around so. Together with a model in the layout of diffusers they become a
model in that layout, which everything else here takes: `serve`, `finetune`, adapters.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from threedimo.errors import InvalidModel
from threedimo.model_info import model_folder
from threedimo.stock import check_stock
from threedimo.weight_files import file_shapes, require_shapes

WEIGHTS = Path("transformer", "diffusion_pytorch_model.safetensors")
_FORMATS = frozenset({"F16", "BF16", "F32"})


def check_single_file(file: Path, base: Path) -> None:
    """Look at a file's header, and compare it with the generator of a stock model; nothing is loaded.

    Raises:
        InvalidModel: It is missing, damaged, no safetensors, in eight bits, or of another generator.
    """
    if file.suffix != ".safetensors":
        raise InvalidModel(
            "weights are read from safetensors only: pickled ones can run any code",
            given=file,
            allowed="a .safetensors file",
            remedy="look for the same weights as safetensors",
        )
    shapes = file_shapes(file)
    with safe_open(file, framework="pt") as tensors:
        formats = {tensors.get_slice(name).get_dtype() for name in shapes}
    if formats - _FORMATS:
        raise InvalidModel(
            f"{file.name} holds numbers that are no plain weights",
            given=", ".join(sorted(formats - _FORMATS)),
            allowed="float16, bfloat16 or float32",
            remedy="take the file before it was quantised; --memory fp8 saves as much",
        )
    expected = check_stock(base)
    with torch.device("meta"):
        found = _own_names({name: torch.empty(shape) for name, shape in shapes.items()}, expected)
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.state_dict().items()}
    strange = sorted(found.keys() - wanted.keys())
    if strange:
        raise InvalidModel(
            f"{file.name} holds {len(strange)} tensors that the base's generator has not, first {strange[0]}",
            given=file,
            allowed="the generator alone, of the same architecture as the base",
        )
    require_shapes(file, {name: tuple(tensor.shape) for name, tensor in found.items()}, wanted)


def write_model(file: Path, base: str, folder: Path) -> None:
    """Write a model that has its generator from `file` and all else from `base`.

    The base's other weights take no room where the file system has hard links.

    Args:
        file: Generator in one safetensors file, in the names of the original code or of diffusers; its number
            formats stay.
        base: A stock Wan model, a folder or a hub id.
        folder: Where to; it exists and is empty.

    Raises:
        ModelNotFound: There is no such base.
        InvalidModel: As `check_single_file`.
        OSError: The folder cannot be written.
    """
    source = model_folder(base)
    check_single_file(file, source)
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and not (name.parent == WEIGHTS.parent and ".safetensors" in name.name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _take(path.resolve(), folder / name)  # a hub's cache holds links to its files
    expected = check_stock(source)
    with safe_open(file, framework="pt") as tensors:
        generator = _own_names({name: tensors.get_tensor(name) for name in tensors.keys()}, expected)  # noqa: SIM118
        save_file(generator, folder / WEIGHTS, metadata={"format": "pt"})


def _own_names(tensors: dict[str, Tensor], expected: WanTransformer3DModel) -> dict[str, Tensor]:
    """Tensors in the names of diffusers, whichever of both they have."""
    if expected.state_dict().keys() <= tensors.keys():
        return tensors
    return convert_wan_transformer_to_diffusers(tensors)


def _take(source: Path, target: Path) -> None:
    if source.suffix != ".safetensors":
        shutil.copyfile(source, target)  # small, and somebody may edit it
        return
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)
