"""Where a model's files are and what the model can make, without torch.

A model is a folder in the format of diffusers (`model_index.json`, one folder per component). One of this
project has one file more, `threedimo.json`: the fields of `threedimo.wire.messages.ModelInfo`. A stock Wan
model has none; the adapter that is loaded into it brings its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from threedimo.errors import InvalidModel, InvalidRequest, ModelNotFound, UntrainedModel
from threedimo.model_files import INDEX_NAME, INFO_NAME, MAX_JSON_BYTES, is_stock, read_object
from threedimo.wire.messages import ModelInfo

EMBEDDED = "embedded"
FEW_STEPS = 4
"""For which most LoRA files for few steps are made."""
LONGEST_CLIP = 1921
"""Frames of the longest clip that is made in one go, window by window: 80 s at 24 fps. What grows with it are
the finished frames in the machine's memory, 2.3 GB at 832x480."""
AUTO_PLAN = "auto"
NATIVE_ATTENTION = "native"
ATTENTION_KERNELS = (NATIVE_ATTENTION, "flash", "flex", "sage", "xformers")
"""Native is torch's own choice; the others but flex need packages of their own."""
MEMORY_PLANS = ("full", "offload", "fp8", "tiny")
"""How a model fits into a device's memory, see `threedimo.memory_plans`; "auto" is the fastest that does."""

_HUB_ID = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_.\-]{0,95}/[0-9A-Za-z][0-9A-Za-z_.\-]{0,95}$")
# Only data: no pickled weights and no code are ever fetched.
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md"]
_NAME_LENGTH = 50
_MOST_LORA_STEPS = 50
_UNTRAINED_NOTES = (
    "A stock Wan model without an adapter: its motion and camera control are untrained. It animates the "
    "reference image as the text says, and neither the driving footage nor the camera path has any effect."
)


def model_folder(model: str) -> Path:
    """The folder that holds a model's files.

    Args:
        model: "embedded" for the small model inside the package, the path of a folder, or a Hugging Face hub
            id ("organisation/name"), which is downloaded into the local cache on first use. An existing
            folder wins over a hub id of the same name.

    Raises:
        ModelNotFound: There is no such model, or it cannot be downloaded.
    """
    if model == EMBEDDED:
        return Path(__file__).parent / "embedded"
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return folder
    if _HUB_ID.match(model):
        return _hub_folder(model)
    raise ModelNotFound(
        "no model of this name",
        given=model,
        allowed=f'"{EMBEDDED}", a folder, or a hub id such as "organisation/name"',
        remedy="check the spelling of the path",
    )


def adapter_folder(adapter: str | os.PathLike[str]) -> Path:
    """The folder that holds an adapter's files.

    Raises:
        ModelNotFound: There is no such folder.
    """
    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        raise ModelNotFound(
            "no adapter in this folder", given=folder, remedy="check the spelling of the path"
        )
    return folder


def model_name(model: str) -> str:
    """What a model is called, without the place where this machine keeps it; at most 50 characters."""
    folder = Path(model).expanduser()
    name = folder.resolve().name if folder.is_dir() else model.rpartition("/")[2]
    return name[:_NAME_LENGTH]


def with_step_lora(info: ModelInfo, lora: str, num_steps: int) -> ModelInfo:
    """What a model makes after a LoRA for few steps: without guidance, which such a LoRA has built in.

    Args:
        info: Of the model without it.
        lora: Its file, by whose name the model is told from the one without.
        num_steps: That it was made for.

    Raises:
        InvalidRequest: That is no number of steps.
    """
    if not 1 <= num_steps <= _MOST_LORA_STEPS:
        raise InvalidRequest(
            "no number of steps of such a LoRA", given=num_steps, allowed=f"1 to {_MOST_LORA_STEPS}"
        )
    return msgspec.structs.replace(
        info,
        id=f"{info.id}-{Path(lora).stem[:_NAME_LENGTH]}",
        num_inference_steps=num_steps,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
        presets=[],
        mag_ratios=[],
    )


def read_model_info(
    model: str, adapter: str | os.PathLike[str] | None = None, *, untrained: bool = False
) -> ModelInfo:
    """Read what a model can make.

    Args:
        model: As in `model_folder`; a model of this project or a stock Wan model.
        adapter: Folder of an adapter that is loaded into it, which then says what can be made.
        untrained: Accept a stock Wan model without an adapter, in which motion and camera do nothing.

    Raises:
        ModelNotFound: There is no such model or adapter.
        UntrainedModel: It is a stock Wan model, and there is neither an adapter nor `untrained`.
        InvalidModel: A description is missing, damaged, or contradicts itself.
        InvalidRequest: `untrained` was asked of what is trained.
    """
    folder = model_folder(model)
    if adapter is None and untrained:
        if is_stock(folder):
            return stock_info(model)
        raise InvalidRequest(
            "this is a model with trained motion layers, not a stock Wan model",
            given=model,
            remedy="leave out the option for untrained ones",
        )
    if untrained:
        raise InvalidRequest(
            "a model with an adapter is not untrained", given=adapter, remedy="choose one of the two options"
        )
    if adapter is not None:
        is_stock(folder)
        return read_adapter_info(adapter)
    if is_stock(folder):
        raise UntrainedModel(
            "this is a stock Wan model, whose motion and camera control are untrained",
            given=model,
            allowed="a stock model with an adapter",
            remedy="name an adapter that was trained in it with --adapter FOLDER (in Python adapter=), or "
            "see what it makes without control with --untrained (in Python untrained=True)",
        )
    return _described(folder)


def read_adapter_info(adapter: str | os.PathLike[str]) -> ModelInfo:
    """Read what an adapter and its generator make together.

    Raises:
        ModelNotFound: There is no such folder.
        InvalidModel: The description is missing, damaged, or contradicts itself.
    """
    return _described(adapter_folder(adapter))


def stock_info(model: str) -> ModelInfo:
    """What a stock Wan model makes without motion layers, from its published size and rate.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: A file is missing or damaged.
    """
    folder = model_folder(model)
    vae, transformer = (read_object(folder / part / "config.json") for part in ("vae", "transformer"))
    # The models that take a clean first frame by per-token timesteps (Wan2.2-TI2V-5B) are those of 24 fps.
    first_frame = bool(read_object(folder / INDEX_NAME).get("expand_timesteps"))
    try:
        info = msgspec.convert(
            {
                "id": f"stock-{model_name(model)}",
                "trained": False,
                "width": 832,
                "height": 480,
                "num_frames": 121 if first_frame else 81,
                "max_frames": LONGEST_CLIP,
                "fps": 24.0 if first_frame else 16.0,
                # The library's own defaults, on which older configurations rely.
                "frame_step": vae.get("scale_factor_temporal", 4),
                "size_step": vae.get("scale_factor_spatial", 8) * transformer.get("patch_size", (1, 2, 2))[1],
                "num_inference_steps": 50,
                "text_guidance_scale": 5.0,
                "motion_guidance_scale": 1.0,
                "notes": _UNTRAINED_NOTES,
            },
            type=ModelInfo,
        )
    except (msgspec.ValidationError, TypeError, IndexError, KeyError) as error:
        raise InvalidModel(
            f"config.json of vae or transformer cannot be understood: {error}", given=folder
        ) from error
    _require_consistent(info, folder)
    return info


def _described(folder: Path) -> ModelInfo:
    path = folder / INFO_NAME
    if not path.is_file():
        raise InvalidModel(
            f"the folder has no {INFO_NAME}",
            given=folder,
            remedy="choose a folder that was written completely",
        )
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InvalidModel(f"{INFO_NAME} is too large", given=folder, allowed=f"{MAX_JSON_BYTES} bytes")
    try:
        info = msgspec.json.decode(path.read_bytes(), type=ModelInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidModel(f"{INFO_NAME} cannot be understood: {error}", given=folder) from error
    _require_consistent(info, folder)
    return info


def _hub_folder(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise ModelNotFound(
            "models of the hub need the server's packages", given=model, remedy="install threedimo[server]"
        ) from error
    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelNotFound(
            "neither a folder, nor in the local cache, nor to be had from the hub",
            given=model,
            remedy="check the name and the network, or give the path of a folder",
        ) from error


def _require_consistent(info: ModelInfo, folder: Path) -> None:
    checks = {
        "num_frames must not exceed max_frames": info.num_frames <= info.max_frames,
        "num_frames must be a multiple of frame_step, plus 1": info.num_frames % info.frame_step
        == 1 % info.frame_step,
        "width must be a multiple of size_step": info.width % info.size_step == 0,
        "height must be a multiple of size_step": info.height % info.size_step == 0,
    }
    for rule, holds in checks.items():
        if not holds:
            raise InvalidModel(f"{INFO_NAME} contradicts itself: {rule}", given=folder)
