"""A stage's state on disk: weights, optimizer, EMA and step in one safetensors file, replaced atomically.

Killed at any moment, a training resumes from the last file; a half-written one never takes its place. Tensors
that are sharded over processes are gathered, so that the file is the same whatever their number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from threedimo.errors import TrainingMismatch
from threedimo.media.writing import storage_errors

Parts = Mapping[str, "nn.Module | Mapping[str, Tensor]"]
"""What a state consists of, by name: whole modules, or tensors by name."""


class Optimizer(Protocol):
    """What of an optimizer is kept."""

    def state_dict(self) -> dict[str, Any]:
        """Moments by the number of their parameter, and groups."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take both back."""
        ...


def save_state(
    file: Path, parts: Parts, optimizer: Optimizer | None, step: int, *, write: bool = True, **extra: str
) -> None:
    """Write everything that a stage needs to go on.

    Args:
        file: Where; its folder exists.
        parts: By the name under which `load_state` finds them again.
        optimizer: AdamW, or None once the stage is done.
        step: Steps done.
        write: False in all processes but one: they only help to gather.
        extra: Short facts, kept as text.

    Raises:
        NoSpace: The disk is full; the file is as it was.
        StorageError: The file cannot be written; it is as it was.
    """
    tensors = {
        f"{name}/{key}": _whole(value, write)
        for name, part in parts.items()
        for key, value in _tensors(part).items()
    }
    if optimizer is not None:
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{index}/{key}": _whole(torch.as_tensor(value), write)
                for key, value in values.items()
            }
    if not write:
        return
    tensors["random_state"] = torch.get_rng_state()
    with _replacing(file) as partial:
        save_file(tensors, partial, metadata={"step": str(step), **extra})


def load_state(file: Path, parts: Parts, optimizer: Optimizer | None = None) -> tuple[int, dict[str, str]]:
    """Read what `save_state` wrote into modules and optimizer.

    Returns:
        The steps done, and the extra facts.

    Raises:
        TrainingMismatch: The file belongs to another configuration.
        SafetensorError: The file is damaged.
    """
    with safe_open(file, framework="pt") as stored:
        facts = dict(stored.metadata() or {})
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - not a mapping
    for name, part in parts.items():
        prefix = f"{name}/"
        values = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            _load_part(part, values)
        except RuntimeError as error:
            raise TrainingMismatch(
                f"{file} holds another configuration of {name}",
                given=str(error).splitlines()[-1].strip(),
                remedy="continue with the recipe that it was started with, or choose another work folder",
            ) from error
    if optimizer is not None:
        _load_optimizer(optimizer, tensors)
        torch.set_rng_state(tensors["random_state"])
    return int(facts.pop("step")), facts


def _tensors(part: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return part.state_dict() if isinstance(part, nn.Module) else part


def _whole(tensor: Tensor, wanted: bool) -> Tensor:
    """A copy for the file, gathered first if it is sharded; an empty one where nobody wants it."""
    whole = tensor.detach()
    if isinstance(whole, DTensor):
        whole = whole.full_tensor()
    return whole.cpu().contiguous().clone() if wanted else torch.empty(0)


def _load_part(part: nn.Module | Mapping[str, Tensor], values: dict[str, Tensor]) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict(values)
        return
    wrong = sorted(
        name
        for name in part.keys() | values.keys()
        if name not in part or name not in values or part[name].shape != values[name].shape
    )
    if wrong:
        raise RuntimeError(f"{len(wrong)} tensors differ, first {wrong[0]}")
    with torch.no_grad():
        for name, tensor in part.items():
            tensor.copy_(_like(tensor, values[name]))


def _like(tensor: Tensor, value: Tensor) -> Tensor:
    """A value spread over processes as a tensor is."""
    if not isinstance(tensor, DTensor):
        return value
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    current = optimizer.state_dict()
    groups = current["param_groups"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    _shard_moments(optimizer)


def _shard_moments(optimizer: Any) -> None:
    """Spread the moments of sharded parameters as the parameters are."""
    for parameter, values in optimizer.state.items():
        if isinstance(parameter, DTensor):
            values |= {
                name: _like(parameter, value)
                for name, value in values.items()
                if value.shape == parameter.shape
            }


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """Give a name to write to; it replaces the file, synced to the disk, when the block ends well."""
    partial = file.with_suffix(".partial")
    try:
        with storage_errors(file):
            try:
                yield partial
            except SafetensorError as error:  # which is how the library tells of a full disk
                full = "os error 28" in str(error) or "No space" in str(error)
                raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
