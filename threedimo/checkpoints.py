"""Loads a whole model by name: the embedded one, a folder, or one of the hub.

A folder is looked at before anything of it is loaded: it may name only the classes that a model of this
project consists of, and its weights must be complete safetensors files. Pickled weights and code are never
read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from threedimo.components import COMPONENT_CLASSES, WITH_WEIGHTS
from threedimo.errors import InvalidModel, InvalidRequest
from threedimo.model_info import EMBEDDED, INDEX_NAME, model_folder, read_model_info
from threedimo.pipeline import MotionTransferPipeline


def load_pipeline(
    model: str = EMBEDDED, *, device: str = "auto", dtype: torch.dtype | None = None
) -> MotionTransferPipeline:
    """Load a model, ready to be called.

    Args:
        model: "embedded" for the small model inside the package, the path of a folder, or a hub id
            ("organisation/name"), the only kind that uses the network.
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1" and so on.
        dtype: Number format of the networks; None means bfloat16 on CUDA and float32 on the CPU. The video
            autoencoder always stays float32, whose rounding can be seen in the pixels.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: Files are missing, damaged, or do not fit together.
        InvalidRequest: This machine has no such device.
    """
    chosen_device = choose_device(device)
    if dtype is None:
        dtype = torch.bfloat16 if chosen_device.type == "cuda" else torch.float32
    folder = model_folder(model)
    read_model_info(str(folder))
    stored = _checked_tensor_names(folder)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipeline = MotionTransferPipeline.from_pretrained(
            folder, dtype={"default": dtype, "vae": torch.float32}, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise InvalidModel(f"the model cannot be loaded: {error}", given=folder) from error
    for name, tensor_names in stored.items():
        _require_complete(folder / name, getattr(pipeline, name), tensor_names)
    return pipeline.to(chosen_device)


def choose_device(device: str) -> torch.device:
    """The device of a name.

    Args:
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1" and so on.

    Raises:
        InvalidRequest: This machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        allowed = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise InvalidRequest(
            "this machine has no such device", given=device, allowed=", ".join(allowed)
        ) from error


def _checked_tensor_names(folder: Path) -> dict[str, set[str]]:
    """Look at a folder without loading it; return the names of each component's stored tensors."""
    _check_index(folder)
    for name in COMPONENT_CLASSES:
        if not (folder / name).is_dir():
            raise InvalidModel(
                f"the model has no folder {name}", given=folder, remedy="copy the whole folder again"
            )
    return {name: _tensor_names(folder / name) for name in WITH_WEIGHTS}


def _check_index(folder: Path) -> None:
    try:
        index: Any = json.loads((folder / INDEX_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidModel(f"{INDEX_NAME} is missing or damaged", given=folder) from error
    wanted = MotionTransferPipeline.__name__
    if not isinstance(index, dict) or index.get("_class_name") != wanted:
        raise InvalidModel(f"{INDEX_NAME} is not that of a {wanted}", given=folder)
    for name, (library, classes) in COMPONENT_CLASSES.items():
        entry = index.get(name)
        if not (isinstance(entry, list) and len(entry) == 2 and entry[0] == library and entry[1] in classes):
            allowed = " or ".join(f"{library}.{cls}" for cls in sorted(classes))
            raise InvalidModel(f"{name} in {INDEX_NAME} is not what it may be", given=entry, allowed=allowed)


def _tensor_names(folder: Path) -> set[str]:
    """Names in the headers of a component's safetensors files; the header of a truncated file is refused."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = sorted(
            file.name for file in folder.iterdir() if file.suffix in {".bin", ".pt", ".pth", ".ckpt"}
        )
        raise InvalidModel(
            f"{folder.name} has no weights as safetensors",
            given=", ".join(others) or "no weights at all",
            allowed="*.safetensors",
            remedy="convert pickled weights on a machine that may run their code"
            if others
            else "copy it again",
        )
    names: set[str] = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                names.update(tensors.keys())
        except (OSError, SafetensorError) as error:
            raise InvalidModel(f"{folder.name}/{file.name} is damaged: {error}", given=folder) from error
    return names


def _require_complete(folder: Path, module: torch.nn.Module, stored: set[str]) -> None:
    """Refuse a network of which some tensors were not in the files: the libraries only log that."""
    state = module.state_dict()
    # The text encoder's embeddings have two names and are stored under one.
    known = {state[name].data_ptr() for name in stored & state.keys() if not state[name].is_meta}
    missing = sorted(
        name for name in state.keys() - stored if state[name].is_meta or state[name].data_ptr() not in known
    )
    if missing:
        raise InvalidModel(
            f"{folder.name} lacks {len(missing)} tensors, first {missing[0]}",
            given=folder,
            remedy="a generator without motion layers is no model yet: train one, or load an adapter into it",
        )
