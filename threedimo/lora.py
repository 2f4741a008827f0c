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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from threedimo.errors import InvalidModel
from threedimo.weight_files import file_shapes

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


def check_lora(folder: Path, transformer: nn.Module) -> list[str]:
    """Look at the changes that an adapter's folder holds without loading them.

    Args:
        folder: Of the adapter.
        transformer: Whose layers they must be; it may be on the device "meta".

    Returns:
        The names of the changed layers as they are stored; none where there is no file.

    Raises:
        InvalidModel: The file is damaged, or its layers are not the transformer's.
    """
    file = folder / LORA_NAME
    if not file.exists():
        return []
    shapes = file_shapes(file, named=str(LORA_NAME))
    names = sorted({name.removesuffix(_A).removesuffix(_B) for name in shapes})
    own = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    for name in names:
        a, b = shapes.get(name + _A, ()), shapes.get(name + _B, ())
        layer = own.get(name.removeprefix(_PREFIX))
        if layer is None or not len(a) == len(b) == 2 or (b[0], a[1], b[1]) != (*layer.weight.shape, a[0]):
            raise InvalidModel(
                f"{LORA_NAME} does not fit the generator, first at {name}",
                given=folder,
                remedy="load it into the generator that it was trained on",
            )
    return names


def read_lora(folder: Path, transformer: nn.Module) -> Lora | None:
    """Read the changes that an adapter's folder holds, None where it holds none.

    Raises:
        InvalidModel: The file is damaged, or its layers are not the transformer's.
    """
    names = check_lora(folder, transformer)
    if not names:
        return None
    tensors = load_file(folder / LORA_NAME)
    layers = {name.removeprefix(_PREFIX): (tensors[name + _A], tensors[name + _B]) for name in names}
    return Lora(len(next(iter(layers.values()))[0]), layers)


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
