"""A stage's state on disk: weights, optimizer, EMA and step in one safetensors file, replaced atomically.

Killed at any moment, a training resumes from the last file; a half-written one never takes its place.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from threedimo.errors import InvalidModel


def save_state(
    file: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer | None,
    step: int,
    **extra: str,
) -> None:
    """Write everything that a stage needs to go on.

    Args:
        file: Where; its folder exists.
        modules: By the name under which `load_state` finds them again.
        optimizer: AdamW, or None once the stage is done.
        step: Steps done.
        extra: Short facts, kept as text.
    """
    tensors = {
        f"{name}/{key}": value.detach().contiguous().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    if optimizer is not None:
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{index}/{key}": torch.as_tensor(value).contiguous().clone()
                for key, value in values.items()
            }
    tensors["random_state"] = torch.get_rng_state()
    partial = file.with_suffix(".partial")
    save_file(tensors, partial, metadata={"step": str(step), **extra})
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(file)


def load_state(
    file: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> tuple[int, dict[str, str]]:
    """Read what `save_state` wrote into modules and optimizer.

    Returns:
        The steps done, and the extra facts.

    Raises:
        InvalidModel: The file belongs to another configuration.
    """
    with safe_open(file, framework="pt") as stored:
        facts = dict(stored.metadata() or {})
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - not a mapping
    for name, module in modules.items():
        prefix = f"{name}/"
        values = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(values)
        except RuntimeError as error:
            raise InvalidModel(
                f"{file} holds another configuration of {name}",
                given=str(error).splitlines()[-1].strip(),
                remedy="continue with the recipe that it was started with, or choose another work folder",
            ) from error
    if optimizer is not None:
        _load_optimizer(optimizer, tensors)
        torch.set_rng_state(tensors["random_state"])
    return int(facts.pop("step")), facts


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
