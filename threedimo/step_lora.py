"""LoRA files that let a generator do with a few steps, as others publish them, merged into its weights.

Two ways of naming are read: that of diffusers, and that of the original Wan code, in which most such files
come. A layer's weight becomes W + (alpha / rank) B A, its bias b + diff_b. Motion layers stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from threedimo.errors import InvalidModel, ModelNotFound
from threedimo.lora import Lora, merge_lora
from threedimo.weight_files import file_shapes

_PREFIX = re.compile(r"^(?:transformer|diffusion_model)\.")
_ORIGINAL = (
    (re.compile(r"^(blocks\.\d+)\.self_attn\.([qkv])$"), r"\1.attn1.to_\2"),
    (re.compile(r"^(blocks\.\d+)\.self_attn\.o$"), r"\1.attn1.to_out.0"),
    (re.compile(r"^(blocks\.\d+)\.cross_attn\.([qkv])$"), r"\1.attn2.to_\2"),
    (re.compile(r"^(blocks\.\d+)\.cross_attn\.o$"), r"\1.attn2.to_out.0"),
    (re.compile(r"^(blocks\.\d+)\.ffn\.0$"), r"\1.ffn.net.0.proj"),
    (re.compile(r"^(blocks\.\d+)\.ffn\.2$"), r"\1.ffn.net.2"),
)
_KINDS = {
    ".lora_A.weight": "a", ".lora_down.weight": "a",
    ".lora_B.weight": "b", ".lora_up.weight": "b",
    ".alpha": "alpha", ".lora_B.bias": "bias", ".diff_b": "bias",
}  # fmt: skip


@dataclass
class _Change:
    a: Tensor | None = None
    b: Tensor | None = None
    alpha: Tensor | None = None
    bias: Tensor | None = None


def merge_step_lora(transformer: nn.Module, file: Path) -> None:
    """Merge a file into a generator, all of it or nothing.

    Args:
        transformer: The generator, with its weights as its adapter's were trained in.
        file: safetensors.

    Raises:
        ModelNotFound: There is no such file.
        InvalidModel: It is no safetensors file, or its layers are not the generator's.
    """
    if not file.is_file():
        raise ModelNotFound("no LoRA file at this path", given=file, remedy="check the spelling of the path")
    file_shapes(file, named=file.name)
    changes = _read(load_file(file), transformer, file)
    ranks = {len(change.a) for change in changes.values() if change.a is not None}
    lora = Lora(max(ranks, default=0), {})
    for name, change in changes.items():
        if change.a is not None and change.b is not None:
            scale = 1.0 if change.alpha is None else float(change.alpha) / len(change.a)
            lora.layers[name] = (change.a, scale * change.b.float())
    merge_lora(transformer, lora)
    with torch.no_grad():
        for name, change in changes.items():
            if change.bias is not None:
                bias = transformer.get_submodule(name).get_parameter("bias")
                bias.copy_(bias.float() + change.bias.float().to(bias.device))


def _read(tensors: dict[str, Tensor], transformer: nn.Module, file: Path) -> dict[str, _Change]:
    """The changes by the names of the generator's layers, every one of which fits."""
    layers = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    changes: dict[str, _Change] = {}
    for key, tensor in tensors.items():
        suffix = next((suffix for suffix in _KINDS if key.endswith(suffix)), None)
        name = "" if suffix is None else _own_name(key.removesuffix(suffix))
        if suffix is None or name not in layers or "motion_attn" in name:
            if not tensor.any():
                continue  # some files hold differences of norms that are all zero
            raise _misfit(file, key)
        setattr(changes.setdefault(name, _Change()), _KINDS[suffix], tensor)
    for name, change in changes.items():
        if not _fits(change, layers[name]):
            raise _misfit(file, name)
    if not changes:
        raise _misfit(file, "no layer at all")
    return changes


def _own_name(name: str) -> str:
    name = _PREFIX.sub("", name)
    for pattern, own in _ORIGINAL:
        name = pattern.sub(own, name)
    return name


def _fits(change: _Change, layer: nn.Linear) -> bool:
    if (change.a is None) != (change.b is None) or (change.a is None and change.bias is None):
        return False
    if change.bias is not None and (layer.bias is None or change.bias.shape != layer.bias.shape):
        return False
    if change.a is None or change.b is None:
        return True
    out_features, in_features = layer.weight.shape
    return change.a.ndim == change.b.ndim == 2 and (
        (change.b.shape[0], change.a.shape[1], change.b.shape[1])
        == (out_features, in_features, change.a.shape[0])
    )


def _misfit(file: Path, where: str) -> InvalidModel:
    return InvalidModel(
        f"the LoRA does not fit the generator, first at {where}",
        given=file.name,
        allowed="low-rank changes of the layers of attention and feed-forward, for this very generator",
        remedy="choose a file that was made for it",
    )
