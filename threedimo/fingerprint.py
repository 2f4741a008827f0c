"""Names for networks by what is in them, so that an adapter knows the generator that it was trained in."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from threedimo.models import MotionWanTransformer3DModel
from threedimo.models.motion_context import MOTION_LAYER

_NUM_VALUES = 64


def fingerprint(module: nn.Module, *, without: str = "\0") -> str:
    """Name a network by a sample of every tensor's values, which is quick and tells fine-tunes apart.

    Args:
        module: The same weights in 16 or 32 bits have the same name.
        without: Leave out the tensors whose names hold this.
    """
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if without in name:
            continue
        values = tensor.detach().flatten()
        sample = values[:: max(1, len(values) // _NUM_VALUES)][:_NUM_VALUES]
        found.update(f"{name} {tuple(tensor.shape)} ".encode())
        found.update(sample.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    return found.hexdigest()[:32]


def backbone_fingerprint(transformer: MotionWanTransformer3DModel) -> str:
    """Name a generator by its weights without the motion layers."""
    return fingerprint(transformer, without=f".{MOTION_LAYER}.")
