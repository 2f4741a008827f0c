"""How a model is found and described, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from threedimo.errors import InvalidModel, ModelNotFound
from threedimo.model_files import INDEX_NAME, INFO_NAME
from threedimo.model_info import model_folder, read_model_info
from threedimo.wire.messages import ModelInfo


def write(folder: Path, info: ModelInfo) -> str:
    (folder / INFO_NAME).write_bytes(msgspec.json.encode(info))
    (folder / INDEX_NAME).write_text('{"_class_name": "MotionTransferPipeline"}')
    return str(folder)


def test_a_folder_describes_itself(tiny_model: Path, tiny_info: ModelInfo) -> None:
    assert model_folder(str(tiny_model)) == tiny_model
    assert read_model_info(str(tiny_model)) == tiny_info


@pytest.mark.parametrize("model", ["", "no such model", "/nowhere/at/all", "../up/and/away"])
def test_an_unknown_name_is_told_what_is_allowed(model: str) -> None:
    with pytest.raises(ModelNotFound, match="embedded"):
        model_folder(model)


def test_a_hub_id_without_network_and_cache_is_not_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = (
        "from threedimo.errors import ModelNotFound\n"
        "from threedimo.model_info import model_folder\n"
        "try:\n    model_folder('nobody/no-such-model')\n"
        "except ModelNotFound as error:\n    print(error)\n"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "local cache" in run.stdout, run.stderr
    assert "nobody/no-such-model" in run.stdout


@pytest.mark.parametrize("missing", [INFO_NAME, INDEX_NAME])
def test_an_incomplete_folder_is_refused(missing: str, tmp_path: Path, tiny_info: ModelInfo) -> None:
    model = write(tmp_path, tiny_info)
    (tmp_path / missing).unlink()
    with pytest.raises(InvalidModel, match=missing):
        read_model_info(model)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{}", b'{"id": 3}', b"[]", b" " * 1_100_000])
def test_a_damaged_description_is_refused(content: bytes, tmp_path: Path, tiny_info: ModelInfo) -> None:
    model = write(tmp_path, tiny_info)
    (tmp_path / INFO_NAME).write_bytes(content)
    with pytest.raises(InvalidModel, match=INFO_NAME):
        read_model_info(model)


@pytest.mark.parametrize(
    "fields", [{"num_frames": 10}, {"num_frames": 37}, {"width": 40}, {"height": 40}, {"unknown": 1}]
)
def test_a_description_that_contradicts_itself_is_refused(
    fields: dict[str, int], tmp_path: Path, tiny_info: ModelInfo
) -> None:
    model = write(tmp_path, tiny_info)
    content = {**msgspec.to_builtins(tiny_info), **fields}
    (tmp_path / INFO_NAME).write_bytes(msgspec.json.encode(content))
    with pytest.raises(InvalidModel, match=INFO_NAME):
        read_model_info(model)
