"""What is deleted, when, and what a death in the middle of it leaves."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from threedimo.errors import InvalidModel
from threedimo.wire.assets import make_asset
from threedimo.wire.messages import Footage, GenerateRequest
from threedimo_server.assets import AssetStore
from threedimo_server.config import ServerConfig
from threedimo_server.jobs import JobQueue
from threedimo_server.results import ResultStore
from threedimo_server.retention import Retention

DAY_S = 86_400.0
PICTURE = b"a picture"
ASSET = make_asset(PICTURE, "a.png")


class Home:
    """Queue, inputs and results of a server that does not run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.queue = JobQueue(folder / "jobs.sqlite")
        self.assets = AssetStore(folder / "assets", max_bytes=1000, chunk_bytes=1000, reserve_bytes=0)
        self.results = ResultStore(folder / "results", reserve_bytes=0)
        self.assets.put(ASSET.hash, ASSET.size, 0, PICTURE)

    def retention(self, **fields: float) -> Retention:
        config = ServerConfig(home=self.folder, **fields)
        return Retention(config, self.queue.records, self.assets, self.results)

    def ended_job(self) -> str:
        job_id = str(uuid.uuid4())
        request = GenerateRequest(reference_image=ASSET, driving_footage=Footage(files=[ASSET]))
        self.queue.submit(job_id, request, None)
        claim = self.queue.claim()
        assert claim is not None
        self.queue.fail(job_id, claim.epoch, InvalidModel("x"))
        self.results.path(job_id).mkdir()
        return job_id


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.queue.close()


def test_what_is_too_old_goes_with_its_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = home.ended_job()
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 3 * DAY_S)
    home.retention(keep_days=4).keep_up()
    assert home.queue.knows(job_id)
    assert home.assets.holds(ASSET.hash)
    home.retention(keep_days=2).keep_up()
    assert not home.queue.knows(job_id)
    assert not home.results.path(job_id).exists()
    assert not home.assets.holds(ASSET.hash)


def test_without_limits_everything_is_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, now_s = home.ended_job(), time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 10_000 * DAY_S)
    home.retention().keep_up()
    assert home.queue.knows(job_id)
    assert home.results.path(job_id).exists()
    assert home.assets.holds(ASSET.hash)


def test_an_upload_that_stands_still_for_a_day_is_forgotten_though_everything_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.assets.put("ab" * 32, 10, 0, b"x")
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 2 * DAY_S)
    home.retention().keep_up()
    assert home.assets.next_offset("ab" * 32, 10) == 0


def test_a_death_between_files_and_record_is_made_good(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, now_s = home.ended_job(), time.time()
    home.results.remove(job_id)  # and then the server died
    monkeypatch.setattr(time, "time", lambda: now_s + 3 * DAY_S)
    home.retention(keep_days=2).keep_up()
    assert not home.queue.knows(job_id)
