"""Small checkpoints: only what training adds to a pretrained generator.

    motion_encoder/     config.json and weights
    camera_encoder/     config.json and weights
    motion_adapter/     adapter.safetensors: the `*.motion_attn.*` tensors of the transformer
                        adapter.json: the generator they were trained in, by name, configuration and weights
    backbone_lora/      low-rank changes of the generator's own layers, if it was trained with any
                        (`threedimo.lora`)
    threedimo.json      what generator and adapter make together; written last

The generator's own weights stay with the generator. Its configuration and a fingerprint of its weights are
compared on loading, because motion layers of one generator say nothing to another.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors.torch import load_file, save_file

from threedimo.errors import InvalidModel
from threedimo.fingerprint import backbone_fingerprint
from threedimo.lora import LORA_NAME, Lora, check_lora, merge_lora, read_lora, require_unchanged, save_lora
from threedimo.model_files import INFO_NAME, read_object
from threedimo.model_info import adapter_folder
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.weight_files import check_network, file_shapes, loading
from threedimo.wire.messages import ModelInfo

TENSORS_NAME = Path("motion_adapter", "adapter.safetensors")
ORIGIN_NAME = Path("motion_adapter", "adapter.json")
MOTION_SIZES = ("motion_dim", "motion_inner_dim", "motion_num_heads")
"""What the configuration of a generator with motion layers has and a stock one's has not."""

_REMEDY = "load it into the generator that it was trained in"

Encoder = TypeVar("Encoder", MotionEncoder, CameraEncoder)


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The generator that an adapter was trained in.

    Attributes:
        base: Its name, for people.
        weights: `backbone_fingerprint` of it.
        config: Its configuration, with the sizes of the motion layers.
    """

    base: str
    weights: str
    config: dict[str, Any]

    def motion_sizes(self) -> dict[str, int]:
        """Arguments of `MotionWanTransformer3DModel.from_transformer`."""
        return {name: self.config[name] for name in MOTION_SIZES}


def save_adapter(
    folder: str | os.PathLike[str],
    transformer: MotionWanTransformer3DModel,
    motion_encoder: MotionEncoder,
    camera_encoder: CameraEncoder,
    *,
    base: str,
    info: ModelInfo,
    lora: Lora | None = None,
) -> None:
    """Write an adapter checkpoint; the folder is made if needed, and an earlier adapter in it is replaced.

    Args:
        folder: To write.
        transformer: With its motion layers; its own weights must be those of the base.
        motion_encoder: Of the same training.
        camera_encoder: Likewise.
        base: Name of the generator without motion layers, for people.
        info: What generator and adapter make together.
        lora: Low-rank changes of the generator, which are not merged into `transformer`.

    Raises:
        InvalidModel: Low-rank changes are merged into the generator.
    """
    require_unchanged(transformer)
    folder = Path(folder)
    for stale in (INFO_NAME, LORA_NAME):
        (folder / stale).unlink(missing_ok=True)
    if lora is not None:
        save_lora(folder, lora)
    motion_encoder.save_pretrained(folder / "motion_encoder")
    camera_encoder.save_pretrained(folder / "camera_encoder")
    (folder / ORIGIN_NAME).parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().contiguous() for name, p in transformer.motion_parameters().items()}
    save_file(tensors, folder / TENSORS_NAME)
    origin = Origin(base, backbone_fingerprint(transformer), _public_config(transformer))
    (folder / ORIGIN_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(origin)) + b"\n")
    (folder / INFO_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")


def read_origin(folder: Path) -> Origin:
    """Read which generator an adapter belongs to.

    Raises:
        InvalidModel: That is missing or damaged.
    """
    try:
        origin = msgspec.convert(read_object(folder / ORIGIN_NAME, named=str(ORIGIN_NAME)), Origin)
    except msgspec.ValidationError as error:
        raise InvalidModel(f"{ORIGIN_NAME} cannot be understood: {error}", given=folder) from error
    if not all(isinstance(origin.config.get(name), int) for name in MOTION_SIZES):
        raise InvalidModel(f"{ORIGIN_NAME} does not say the sizes of the motion layers", given=folder)
    return origin


def check_adapter(folder: Path, transformer: MotionWanTransformer3DModel, base: str) -> None:
    """Compare everything of an adapter but its values with a generator, which may be on the device "meta".

    Args:
        folder: Of the adapter.
        transformer: With motion layers, of any values or none.
        base: What the generator is called, for the message.

    Raises:
        InvalidModel: Files are missing or damaged, or belong to another generator.
    """
    origin, own = read_origin(folder), _public_config(transformer)
    names = sorted(
        name for name in own.keys() | origin.config.keys() if own.get(name) != origin.config.get(name)
    )
    if names:
        raise InvalidModel(
            "the adapter was trained in another generator",
            given=_named(base, {name: own.get(name) for name in names}),
            allowed=_named(origin.base, {name: origin.config.get(name) for name in names}),
            remedy=_REMEDY,
        )
    check_lora(folder, transformer)
    expected = {name: tuple(p.shape) for name, p in transformer.motion_parameters().items()}
    given = file_shapes(folder / TENSORS_NAME, named=str(TENSORS_NAME))
    wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
    if wrong:
        raise InvalidModel(
            f"{TENSORS_NAME} does not hold the generator's motion layers",
            given=f"{len(wrong)} differ, first {wrong[0]}",
        )
    _check_encoder(folder / "motion_encoder", MotionEncoder, transformer.config["motion_dim"])
    _check_encoder(folder / "camera_encoder", CameraEncoder, transformer.config["motion_dim"])


def load_adapter(
    folder: str | os.PathLike[str],
    transformer: MotionWanTransformer3DModel,
    *,
    base: str,
    dtype: torch.dtype = torch.float32,
) -> tuple[MotionEncoder, CameraEncoder]:
    """Read an adapter checkpoint into a transformer.

    Nothing is changed unless everything fits.

    Args:
        folder: What `save_adapter` wrote.
        transformer: Receives the motion layers.
        base: What the transformer is called, for messages.
        dtype: Number format of the encoders.

    Returns:
        The encoders, on the CPU.

    Raises:
        ModelNotFound: There is no such folder.
        InvalidModel: Files are missing or damaged, or belong to another generator, or the generator holds
            the low-rank changes of another adapter.
    """
    folder = adapter_folder(folder)
    require_unchanged(transformer)
    check_adapter(folder, transformer, base)
    _require_same_weights(folder, transformer, base)
    lora = read_lora(folder, transformer)
    with loading(folder):
        tensors = load_file(folder / TENSORS_NAME)
        motion_encoder = _load_encoder(MotionEncoder, folder / "motion_encoder", dtype)
        camera_encoder = _load_encoder(CameraEncoder, folder / "camera_encoder", dtype)
    with torch.no_grad():
        for name, parameter in transformer.motion_parameters().items():
            parameter.copy_(tensors[name])
    if lora is not None:
        merge_lora(transformer, lora)
    return motion_encoder, camera_encoder


def _public_config(transformer: MotionWanTransformer3DModel) -> dict[str, Any]:
    public = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
    return json.loads(json.dumps(public))  # as it will be after a round trip: tuples become lists


def _named(base: str, values: dict[str, Any]) -> str:
    return f"{base}, which has " + ", ".join(f"{name}={value}" for name, value in values.items())


def _require_same_weights(folder: Path, transformer: MotionWanTransformer3DModel, base: str) -> None:
    """Fine-tunes of one generator have its configuration and other weights."""
    origin, own = read_origin(folder), backbone_fingerprint(transformer)
    if own != origin.weights:
        raise InvalidModel(
            "the adapter was trained in a generator with other weights",
            given=f"{base}, weights {own}",
            allowed=f"{origin.base}, weights {origin.weights}",
            remedy=_REMEDY,
        )


def _check_encoder(folder: Path, cls: type[MotionEncoder | CameraEncoder], motion_dim: int) -> None:
    encoder = check_network(folder, cls)
    width = encoder.config["motion_dim"]
    if width != motion_dim:
        raise InvalidModel(
            f"{folder.name} makes tokens of another width than the motion layers read",
            given=width,
            allowed=str(motion_dim),
        )


def _load_encoder(cls: type[Encoder], folder: Path, dtype: torch.dtype) -> Encoder:
    encoder: Any = cls.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True)
    return encoder
