"""Where a model's files are and what the model can make, without torch.

A model is a folder in the format of diffusers (`model_index.json`, one folder per component) with one file
more, `threedimo.json`: the fields of `threedimo.wire.messages.ModelInfo`.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from threedimo.errors import InvalidModel, ModelNotFound
from threedimo.wire.messages import ModelInfo

EMBEDDED = "embedded"
INFO_NAME = "threedimo.json"
INDEX_NAME = "model_index.json"

_MAX_INFO_BYTES = 1024 * 1024
_HUB_ID = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_.\-]{0,95}/[0-9A-Za-z][0-9A-Za-z_.\-]{0,95}$")
# Only data: no pickled weights and no code are ever fetched.
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md"]


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


def read_model_info(model: str) -> ModelInfo:
    """Read what a model can make.

    Args:
        model: As in `model_folder`.

    Raises:
        ModelNotFound: There is no such model.
        InvalidModel: Its description is missing, damaged, or contradicts itself.
    """
    folder = model_folder(model)
    for name in (INFO_NAME, INDEX_NAME):
        if not (folder / name).is_file():
            raise InvalidModel(
                f"the model's folder has no {name}",
                given=model,
                remedy="choose a folder that holds a whole model",
            )
    path = folder / INFO_NAME
    if path.stat().st_size > _MAX_INFO_BYTES:
        raise InvalidModel(f"{INFO_NAME} is too large", given=model, allowed=f"{_MAX_INFO_BYTES} bytes")
    try:
        info = msgspec.json.decode(path.read_bytes(), type=ModelInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidModel(f"{INFO_NAME} cannot be understood: {error}", given=model) from error
    _require_consistent(info, model)
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


def _require_consistent(info: ModelInfo, model: str) -> None:
    checks = {
        "num_frames must not exceed max_frames": info.num_frames <= info.max_frames,
        "num_frames must be a multiple of frame_step, plus 1": info.num_frames % info.frame_step
        == 1 % info.frame_step,
        "width must be a multiple of size_step": info.width % info.size_step == 0,
        "height must be a multiple of size_step": info.height % info.size_step == 0,
    }
    for rule, holds in checks.items():
        if not holds:
            raise InvalidModel(f"{INFO_NAME} contradicts itself: {rule}", given=model)
