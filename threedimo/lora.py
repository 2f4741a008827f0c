"""Low-rank changes of the generator's own layers, merged into them: no cost while a shot is made.

    backbone_lora/pytorch_lora_weights.safetensors    transformer.<layer>.lora_A.weight (rank, in) and
                                                      transformer.<layer>.lora_B.weight (out, rank)

The layout and the names are those that diffusers reads. A layer's weight becomes W + B A; there is no further
scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from threedimo.errors import InvalidModel

LORA_NAME = Path("backbone_lora", "pytorch_lora_weights.safetensors")
_PREFIX, _A, _B = "transformer.", ".lora_A.weight", ".lora_B.weight"

_changed: WeakSet[nn.Module] = WeakSet()


@dataclass(frozen=True)
class Lora:
    """Changes of linear layers.

    Args:
        rank: Of every change.
        layers: A (rank, in) and B (out, rank) by the layer's name.
    """

    rank: int
    layers: dict[str, tuple[Tensor, Tensor]]


def save_lora(folder: Path, lora: Lora) -> None:
    """Write the changes into an adapter's folder."""
    tensors = {}
    for name, (a, b) in lora.layers.items():
        tensors |= {_PREFIX + name + _A: a.contiguous(), _PREFIX + name + _B: b.contiguous()}
    (folder / LORA_NAME).parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / LORA_NAME, metadata={"format": "pt", "rank": str(lora.rank)})


def read_lora(folder: Path, transformer: nn.Module) -> Lora | None:
    """Read the changes that an adapter's folder holds, None where it holds none.

    Raises:
        InvalidModel: The file is damaged, or its layers are not the transformer's.
    """
    file = folder / LORA_NAME
    if not file.exists():
        return None
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise InvalidModel(f"{LORA_NAME} is damaged: {error}", given=folder) from error
    names = sorted({name.removesuffix(_A).removesuffix(_B) for name in tensors})
    layers = {}
    for name in names:
        a, b = tensors.get(name + _A), tensors.get(name + _B)
        layer = dict(transformer.named_modules()).get(name.removeprefix(_PREFIX))
        if (
            a is None
            or b is None
            or not isinstance(layer, nn.Linear)
            or (b.shape[0], a.shape[1], b.shape[1]) != (*layer.weight.shape, a.shape[0])
        ):
            raise InvalidModel(
                f"{LORA_NAME} does not fit the generator, first at {name}",
                given=folder,
                remedy="load it into the generator that it was trained on",
            )
        layers[name.removeprefix(_PREFIX)] = a, b
    return Lora(len(next(iter(layers.values()))[0]) if layers else 0, layers)


def require_unchanged(transformer: nn.Module) -> None:
    """Refuse a generator into which changes have been merged: they cannot be taken out again.

    Raises:
        InvalidModel: They have.
    """
    if transformer in _changed:
        raise InvalidModel(
            "the generator holds the low-rank changes of another adapter",
            remedy="load the base again, then the adapter",
        )


@torch.no_grad()
def merge_lora(transformer: nn.Module, lora: Lora) -> None:
    """Add the changes to the layers' weights, in their own number format."""
    for name, (a, b) in lora.layers.items():
        weight = transformer.get_submodule(name).get_parameter("weight")
        change = b.float().to(weight.device) @ a.float().to(weight.device)
        weight.copy_(weight.float() + change)
    _changed.add(transformer)
