"""kill -9 at random moments, of front, worker and client, and freezing: nothing is lost or made twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
READY_S = 5.0


class Shop:
    """A server with a client that wants many jobs, and who kills them."""

    def __init__(self, server: Any, start_client: Callable[[], Any], ledger: Any):
        self.server, self.ledger = server, ledger
        self._start_client = start_client
        self.client = start_client()
        self.ready_s: list[float] = []

    def kill_front(self) -> None:
        self.server.kill()
        began_s = time.monotonic()
        self.server.start()
        while self.server.connection().pid != self.server.process.pid:
            assert time.monotonic() < began_s + PATIENCE_S, "the server does not come back"
            time.sleep(0.01)  # the file of the dead one is still there
        self.ready_s.append(time.monotonic() - began_s)  # clients can connect

    def kill_worker(self) -> None:
        self._signal_worker(signal.SIGKILL)

    def freeze_worker(self) -> None:
        """Stop it until the server has given it up, and then wake it, if the server has let it live."""
        frozen = self._signal_worker(signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_S
        while self.server.worker_pid() == frozen:
            assert time.monotonic() < deadline, "the server waits for a frozen worker"
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGCONT)

    def _signal_worker(self, number: int) -> int:
        """Of the worker that works now: the last one may be dead and the next not started yet."""
        while True:
            try:
                pid = self.server.worker_pid()
                os.kill(pid, number)
                return pid
            except ProcessLookupError:
                time.sleep(0.01)

    def kill_client(self) -> None:
        self.client.kill()
        self.client.wait()
        self.client = self._start_client()

    def wait_for_work(self) -> None:
        """Until another job is done: no job is hit so often that the server gives it up."""
        before = self.ledger.published()
        deadline = time.monotonic() + PATIENCE_S
        while self.ledger.published() == before and self.client.poll() is None:
            assert time.monotonic() < deadline, "the server does not come back to work"
            time.sleep(0.01)


@pytest.fixture
def open_shop(
    start_server: Callable[..., Any],
    run_program: Callable[..., Any],
    ledger: Callable[[Path], Any],
    tmp_path: Path,
) -> Iterator[Callable[[int], Shop]]:
    def make(num_jobs: int) -> Shop:
        server = start_server(worker_silence_s=1.5)
        arguments = (server.home / "connection.json", "client", num_jobs, tmp_path / "fetched", "slow")
        return Shop(server, lambda: run_program("busy_client.py", *arguments), ledger(server.home))

    return make


@pytest.mark.parametrize("blow", ["kill_front", "kill_worker", "kill_client", "freeze_worker"])
def test_nothing_is_lost_or_made_twice(
    blow: str,
    full: bool,
    open_shop: Callable[[int], Shop],
    tell: Callable[[str], None],
    tmp_path: Path,
) -> None:
    num_blows = 200 if full else 2
    # A blow costs the job that runs; at most every second job is met by one.
    num_jobs = 2 * num_blows + 4
    shop, chance = open_shop(num_jobs), random.Random(blow)
    for _ in range(num_blows):
        shop.wait_for_work()
        time.sleep(chance.uniform(0.0, 1.0))
        getattr(shop, blow)()
    assert shop.client.wait(600) == 0, shop.client.stdout.read()
    assert shop.server.stop() == 0
    shop.ledger.check_each_done_once(num_jobs)
    fetched = [path for path in (tmp_path / "fetched").iterdir() if not path.name.endswith(".part")]
    assert len(fetched) == num_jobs
    assert all((folder / "result.json").exists() for folder in fetched)
    ready = f"; ready again in at most {max(shop.ready_s):.1f} s" if shop.ready_s else ""
    if full and shop.ready_s:
        assert max(shop.ready_s) < READY_S
    tell(f"{blow} at {num_blows} random points: {num_jobs} jobs, each done once{ready}")
