"""Several models on one server: who gets which, and that a device holds only one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from threedimo.errors import InvalidModel, ServerError
from threedimo.model_files import INDEX_NAME, INFO_NAME
from threedimo.wire.client import Result
from threedimo.wire.messages import ModelInfo
from threedimo_server.device_use import DeviceUse
from threedimo_server.served_models import ModelChoice, ServedModels
from threedimo_server.warm_model import WarmModel


def write_model(folder: Path, info: ModelInfo) -> Path:
    folder.mkdir()
    (folder / INFO_NAME).write_bytes(msgspec.json.encode(info))
    (folder / INDEX_NAME).write_text('{"_class_name": "MotionTransferPipeline"}')
    return folder


@pytest.fixture
def wide(tmp_path: Path, tiny_info: ModelInfo) -> Path:
    """A model of another size than the tiny one."""
    return write_model(tmp_path / "wide", msgspec.structs.replace(tiny_info, id="wide", width=64))


def test_every_request_gets_its_model_and_else_the_first(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, tiny_model: Path, wide: Path
) -> None:
    server = start_server(tiny_model, wide)
    follower = follow(server)
    asked = ["wide", "", "tiny", "wide"]
    jobs = [follower.submit(inputs, model_id=model_id) for model_id in asked]
    made = [follower.result(job_id).info for job_id in jobs]
    assert [info.model_id for info in made] == ["wide", "tiny", "tiny", "wide"]
    assert [info.width for info in made] == [64, 32, 32, 64]
    assert [model.id for model in follower.client.capabilities.models] == ["tiny", "wide"]
    assert server.log().count("starts as process") == 1
    loaded = (server.home / "logs" / "worker-0.log").read_text().count(" loaded ")
    assert loaded == 4  # the first at the start, then for each change


def test_a_worker_that_has_the_model_gets_the_job(
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    tiny_model: Path,
    wide: Path,
    wait: Callable[..., None],
) -> None:
    server = start_server(tiny_model, wide, devices=["cpu", "cpu:0"])
    wait(lambda: server.log().count("is ready with") == 2)
    follower = follow(server)
    for model_id in ("wide", "tiny", "wide", "tiny"):
        assert follower.result(follower.submit(inputs, model_id=model_id)).info.model_id == model_id
    logs = [(server.home / "logs" / f"worker-{index}.log").read_text() for index in range(2)]
    assert sorted(log.count(" loaded ") for log in logs) == [1, 2]


def test_a_model_that_the_server_lacks_is_refused_with_those_that_it_has(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, tiny_model: Path, wide: Path
) -> None:
    follower = follow(start_server(tiny_model, wide))
    job_id = follower.submit(inputs, model_id="grand")
    refused = follower.refusal()
    assert (refused.job_id, refused.error.code) == (job_id, "model.not_found")
    for words in ("grand", "Allowed: tiny, wide", "server.toml"):
        assert words in str(refused.error)


def test_one_model_that_cannot_be_loaded_fails_its_own_jobs_only(
    start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any, tiny_model: Path, wide: Path
) -> None:
    (wide / "broken").touch()
    server = start_server(tiny_model, wide)
    follower = follow(server)
    jobs = [follower.submit(inputs, model_id=model_id) for model_id in ("tiny", "wide", "tiny")]
    follower.result(jobs[0])
    failure = follower.end(jobs[1])
    assert failure.error_code == "model.invalid"
    assert "the weights are damaged" in failure.error_message
    follower.result(jobs[2])
    (wide / "broken").unlink()
    follower.result(follower.submit(inputs, model_id="wide"))
    assert server.log().count("starts as process") == 1


def test_the_real_worker_changes_between_a_model_and_a_stock_one_with_its_adapter(
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    tiny_stock_folder: Path,
    tiny_pipeline_folder: Path,
    tiny_trained_stock: Any,
    tmp_path: Path,
) -> None:
    tiny_trained_stock.save_adapter(tmp_path / "adapter", base="wan")
    server = start_server(
        tiny_stock_folder, tiny_pipeline_folder, adapter=tmp_path / "adapter", real_worker=True
    )
    follower = follow(server)
    follower.wait_for(lambda _: True)
    first, second = (model.id for model in follower.client.capabilities.models)
    frames = {}
    for model_id in (first, second, first):
        job_id = follower.submit(inputs, "Front view.", model_id=model_id)
        result = follower.wait_for(
            lambda event, job_id=job_id: isinstance(event, Result) and event.job_id == job_id, 60.0
        )
        assert result.info.model_id == model_id
        hashes = [file.hash for file in result.files if file.name.startswith("frames/")]
        assert frames.setdefault(model_id, hashes) == hashes
    assert frames[first] != frames[second]


def test_models_of_one_id_are_refused(tiny_info: ModelInfo, tiny_model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", tiny_info)
    with pytest.raises(ServerError, match=r"the same id.*given: tiny: .*; .*other"):
        ServedModels([ModelChoice(str(tiny_model)), ModelChoice(str(other))])


class LoadedModel:
    def __init__(self, model: str) -> None:
        self.info = SimpleNamespace(id=model)
        self.hook = self  # which holds it, as the hooks of a pipeline do


class Loader:
    """Loads things that can be seen to go."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str | None]] = []
        self.alive: list[weakref.ref[Any]] = []

    def __call__(self, choice: ModelChoice, _use: DeviceUse, /) -> Any:
        assert not [ref for ref in self.alive if ref() is not None], "two models at once"
        self.loaded.append((choice.model, choice.adapter))
        if choice.model == "broken":
            raise RuntimeError("bad weights")
        pipeline = LoadedModel(choice.model)
        self.alive.append(weakref.ref(pipeline))
        return pipeline


def test_a_device_never_holds_two_models() -> None:
    load = Loader()
    warm = WarmModel(load, DeviceUse("cpu"))
    gc.disable()  # what goes, goes because room is made
    try:
        for model, adapter in (("a", None), ("a", None), ("b", None), ("b", "c"), ("a", None)):
            assert warm.pipeline(ModelChoice(model, adapter)).info.id == model
    finally:
        gc.enable()
    assert load.loaded == [("a", None), ("b", None), ("b", "c"), ("a", None)]


def test_after_a_failure_nothing_is_held_and_the_next_is_loaded() -> None:
    load = Loader()
    warm = WarmModel(load, DeviceUse("cpu"))
    warm.pipeline(ModelChoice("a"))
    assert warm.take_loading_s() > 0
    with pytest.raises(InvalidModel, match="RuntimeError: bad weights"):
        warm.pipeline(ModelChoice("broken"))
    assert not warm.holds(ModelChoice("a"))
    assert warm.take_loading_s() == 0
    assert isinstance(warm.pipeline(ModelChoice("a")).info.id, str)
    assert [model for model, _ in load.loaded] == ["a", "broken", "a"]
