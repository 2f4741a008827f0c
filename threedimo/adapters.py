"""Small checkpoints: only what training adds to a pretrained generator.

    motion_encoder/     config.json and weights
    camera_encoder/     config.json and weights
    motion_adapter/     adapter.safetensors: the `*.motion_attn.*` tensors of the transformer
                        adapter.json: the configuration of the generator they were trained in
    backbone_lora/      low-rank changes of the generator's own layers, if it was trained with any
                        (`threedimo.lora`)

The generator's own weights stay with the generator. Its configuration is compared on loading, because motion
layers of one generator say nothing to another.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from threedimo.errors import InvalidModel, ModelNotFound
from threedimo.lora import Lora, merge_lora, read_lora, require_unchanged, save_lora
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel

TENSORS_NAME = Path("motion_adapter", "adapter.safetensors")
CONFIG_NAME = Path("motion_adapter", "adapter.json")

Encoder = TypeVar("Encoder", MotionEncoder, CameraEncoder)


def save_adapter(
    folder: str | os.PathLike[str],
    transformer: MotionWanTransformer3DModel,
    motion_encoder: MotionEncoder,
    camera_encoder: CameraEncoder,
    lora: Lora | None = None,
) -> None:
    """Write an adapter checkpoint; the folder is made if needed."""
    folder = Path(folder)
    if lora is not None:
        save_lora(folder, lora)
    motion_encoder.save_pretrained(folder / "motion_encoder")
    camera_encoder.save_pretrained(folder / "camera_encoder")
    (folder / CONFIG_NAME).parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().contiguous() for name, p in transformer.motion_parameters().items()}
    save_file(tensors, folder / TENSORS_NAME)
    (folder / CONFIG_NAME).write_text(json.dumps(_fingerprint(transformer), indent=2, sort_keys=True) + "\n")


def load_adapter(
    folder: str | os.PathLike[str],
    transformer: MotionWanTransformer3DModel,
    dtype: torch.dtype = torch.float32,
) -> tuple[MotionEncoder, CameraEncoder]:
    """Read an adapter checkpoint into a transformer.

    Nothing is changed unless everything fits.

    Args:
        folder: What `save_adapter` wrote.
        transformer: Receives the motion layers.
        dtype: Number format of the encoders.

    Returns:
        The encoders, on the CPU.

    Raises:
        ModelNotFound: There is no such folder.
        InvalidModel: Files are missing or damaged, or belong to another generator, or the generator holds
            the low-rank changes of another adapter.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelNotFound(
            "no adapter in this folder", given=folder, remedy="check the spelling of the path"
        )
    _require_same_generator(folder, transformer)
    require_unchanged(transformer)
    lora = read_lora(folder, transformer)
    tensors = _read_tensors(folder, transformer)
    motion_encoder = _load_encoder(MotionEncoder, folder / "motion_encoder", transformer, dtype)
    camera_encoder = _load_encoder(CameraEncoder, folder / "camera_encoder", transformer, dtype)
    with torch.no_grad():
        for name, parameter in transformer.motion_parameters().items():
            parameter.copy_(tensors[name])
    if lora is not None:
        merge_lora(transformer, lora)
    return motion_encoder, camera_encoder


def _fingerprint(transformer: MotionWanTransformer3DModel) -> dict[str, Any]:
    public = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
    return json.loads(json.dumps(public))  # as it will be after a round trip: tuples become lists


def _require_same_generator(folder: Path, transformer: MotionWanTransformer3DModel) -> None:
    try:
        trained_on = json.loads((folder / CONFIG_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidModel(f"{CONFIG_NAME} is missing or damaged", given=folder) from error
    if not isinstance(trained_on, dict):
        raise InvalidModel(f"{CONFIG_NAME} is not a configuration", given=folder)
    own = _fingerprint(transformer)
    if trained_on == own:
        return
    names = sorted(name for name in own.keys() | trained_on.keys() if own.get(name) != trained_on.get(name))
    raise InvalidModel(
        "the adapter was trained on another generator",
        given=", ".join(f"{name}={trained_on.get(name)}" for name in names),
        allowed=", ".join(f"{name}={own.get(name)}" for name in names),
        remedy="load it into the generator that it was trained on",
    )


def _read_tensors(folder: Path, transformer: MotionWanTransformer3DModel) -> dict[str, torch.Tensor]:
    try:
        tensors = load_file(folder / TENSORS_NAME)
    except (OSError, SafetensorError) as error:
        raise InvalidModel(f"{TENSORS_NAME} is missing or damaged", given=folder) from error
    expected = {name: tuple(p.shape) for name, p in transformer.motion_parameters().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != given:
        wrong = sorted(
            name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name)
        )
        raise InvalidModel(
            f"{TENSORS_NAME} does not hold the generator's motion layers",
            given=f"{len(wrong)} differ, first {wrong[0]}",
        )
    return tensors


def _load_encoder(
    cls: type[Encoder], folder: Path, transformer: MotionWanTransformer3DModel, dtype: torch.dtype
) -> Encoder:
    try:
        loaded: Any = cls.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InvalidModel(f"{folder.name} of the adapter cannot be loaded: {error}", given=folder) from error
    encoder, loading = loaded
    if loading["missing_keys"]:
        raise InvalidModel(f"{folder.name} of the adapter lacks {loading['missing_keys'][0]}", given=folder)
    widths = encoder.config["motion_dim"], transformer.config["motion_dim"]
    if widths[0] != widths[1]:
        raise InvalidModel(
            f"{folder.name} makes tokens of another width than the motion layers read",
            given=widths[0],
            allowed=str(widths[1]),
        )
    return encoder
