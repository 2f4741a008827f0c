"""Stored weights, looked at before they are loaded: safetensors only, and shaped as their network is.

Headers alone are read and networks are built without memory, so that a wrong, truncated or boasting file is
refused at once and not after gigabytes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from threedimo.errors import InvalidModel

Shapes = dict[str, tuple[int, ...]]
Network = TypeVar("Network", bound=ConfigMixin)


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Load quietly, and turn what the libraries raise about files into one error that names the folder.

    Raises:
        InvalidModel: Instead of theirs.
    """
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise InvalidModel(f"the model cannot be loaded: {error}", given=folder) from error


def file_shapes(file: Path, *, named: str | None = None) -> Shapes:
    """Names and shapes of a file's tensors, from its header.

    Args:
        file: To look at.
        named: What messages call it; None means its own name.

    Raises:
        InvalidModel: It is missing, truncated or damaged.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        state = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise InvalidModel(f"{named or file.name} is {state}: {error}", given=file.parent) from error


def stored_shapes(folder: Path) -> Shapes:
    """Names and shapes of a component's tensors, which several files may share.

    Raises:
        InvalidModel: There are no safetensors files, or one is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return {
            name: shape
            for file in files
            for name, shape in file_shapes(file, named=f"{folder.name}/{file.name}").items()
        }
    others = (
        sorted(file.name for file in folder.iterdir() if file.suffix in {".bin", ".pt", ".pth", ".ckpt"})
        if folder.is_dir()
        else []
    )
    raise InvalidModel(
        f"{folder.name} has no weights as safetensors",
        given=", ".join(others) or "no weights at all",
        allowed="*.safetensors",
        remedy="convert pickled weights on a machine that may run their code" if others else "copy it again",
    )


def check_network(folder: Path, cls: type[Network]) -> Network:
    """Compare a component's files with the network that its configuration describes.

    Args:
        folder: Holds `config.json` and weights.
        cls: A network of diffusers or of this project.

    Returns:
        The network without memory (on the device "meta").

    Raises:
        InvalidModel: Files are missing or damaged, or tensors are missing or of other shapes.
    """
    stored = stored_shapes(folder)
    try:
        config: Any = cls.load_config(str(folder), local_files_only=True)
        _require_depth(folder, config, stored)
        with torch.device("meta"):
            network: Any = cls.from_config(config)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise InvalidModel(f"config.json of {folder.name} cannot be used: {error}", given=folder) from error
    require_shapes(folder, stored, {name: tuple(t.shape) for name, t in network.state_dict().items()})
    return network


def require_shapes(folder: Path, stored: Shapes, wanted: Shapes) -> None:
    """Refuse files that lack tensors, or hold them in other shapes than a network has.

    Raises:
        InvalidModel: Naming the first.
    """
    missing = sorted(wanted.keys() - stored.keys())
    if missing:
        raise InvalidModel(
            f"{folder.name} lacks {len(missing)} tensors, first {missing[0]}",
            given=folder,
            remedy="copy the folder again, or choose one whose training was finished",
        )
    for name, shape in wanted.items():
        if stored[name] != shape:
            raise InvalidModel(
                f"{folder.name} holds {name} in another shape than its configuration says",
                given=stored[name],
                allowed=str(shape),
            )


def _require_depth(folder: Path, config: Mapping[str, Any], stored: Shapes) -> None:
    """Every layer has tensors: more layers than those need not be built to be refused."""
    depth = sum(
        value for name, value in config.items() if name.endswith("_layers") and isinstance(value, int)
    )
    if depth > len(stored):
        raise InvalidModel(
            f"config.json of {folder.name} names more layers than there are tensors",
            given=depth,
            allowed=f"at most {len(stored)}",
        )


def require_complete(folder: Path, module: torch.nn.Module) -> None:
    """Refuse a loaded network of transformers of which tensors were not in the files: it only logs that.

    Raises:
        InvalidModel: Naming the first.
    """
    stored, state = stored_shapes(folder), module.state_dict()
    # The text encoder's embeddings have two names and are stored under one.
    known = {state[name].data_ptr() for name in stored.keys() & state.keys()}
    own = {name: tuple(t.shape) for name, t in state.items() if t.is_meta or t.data_ptr() not in known}
    require_shapes(folder, stored, {name: shape for name, shape in own.items() if name not in stored})
