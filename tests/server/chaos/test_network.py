"""A network that breaks in the middle of transfers, and a client behind a slow one."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from threedimo.wire.client import ConnectionLost, Event, Fetched, Fetching, Result, Uploading, make_asset
from threedimo.wire.messages import Footage, GenerateRequest

PROXY = Path(__file__).parents[1] / "programs" / "proxy.py"


@pytest.fixture
def make_proxy() -> Iterator[Callable[..., Any]]:
    """Put a network between a client and a server; gives it and the connection through it."""
    spec = importlib.util.spec_from_file_location("proxy", PROXY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    proxies: list[Any] = []

    def make(server: Any, bytes_per_s: float | None = None) -> tuple[Any, Any]:
        info = server.connection()
        ports = [int(endpoint.rsplit(":", 1)[1]) for endpoint in (info.control, info.data)]
        proxies.append(module.Proxy(ports, bytes_per_s))
        control, data = (f"tcp://127.0.0.1:{port}" for port in proxies[-1].ports)
        return proxies[-1], replace(info, control=control, data=data)

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> tuple[GenerateRequest, dict[str, Path]]:
    """A request whose inputs and result are many chunks: pictures of noise, which nothing makes smaller."""
    folder, noise = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    files: dict[str, Path] = {}
    for index in range(10):
        path = folder / f"{index}.png"
        Image.fromarray(noise.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)).save(path)
        files[make_asset(path, path.name).hash] = path
    assets = [make_asset(path, path.name) for path in files.values()]
    footage = Footage(files=assets, fps=8.0)
    request = GenerateRequest(reference_image=assets[0], driving_footage=footage, text="noise", num_frames=9)
    return request, files


def moved(event: Any, kind: type[Any], most: int) -> bool:
    """Whether more of a transfer than so many bytes is through."""
    return isinstance(event, kind) and (event.sent if kind is Uploading else event.received) > most


@pytest.mark.parametrize("cut_s", [1, 5, 60])
def test_transfers_go_on_after_the_network_was_cut(
    cut_s: float,
    full: bool,
    start_server: Callable[..., Any],
    make_proxy: Callable[..., Any],
    follow: Callable[..., Any],
    heavy: tuple[GenerateRequest, dict[str, Path]],
    tell: Callable[[str], None],
    tmp_path: Path,
) -> None:
    if cut_s > 1 and not full:
        pytest.skip("with --full")
    request, files = heavy
    server = start_server()
    proxy, connection = make_proxy(server, 20e6)
    follower, job_id = follow(connection), "0f0e0d0c-1111-4222-8333-444455556666"
    follower.client.submit(job_id, request, files)

    def break_network() -> None:
        proxy.cut()
        end_s = time.monotonic() + cut_s
        while time.monotonic() < end_s:
            follower.client.wait(0.05)
            follower.heard += follower.client.pump()
        proxy.mend()

    size = sum(path.stat().st_size for path in files.values())
    follower.wait_for(lambda event: moved(event, Uploading, size // 3))
    break_network()
    result = follower.wait_for(lambda event: isinstance(event, Result), 90.0)
    proxy.num_passed = 0
    follower.client.fetch(job_id, result, tmp_path / "shot")
    total = sum(file.size for file in result.files)
    follower.wait_for(lambda event: moved(event, Fetching, total // 3))
    break_network()
    follower.wait_for(lambda event: isinstance(event, Fetched), 90.0)

    for file in result.files:
        assert make_asset(tmp_path / "shot" / file.name, "").hash == file.hash
    seqs = [event.seq for event in follower.heard if isinstance(event, Event)]
    assert follower.states(job_id) == ["queued", "running", "publishing", "done"]
    assert seqs == sorted(set(seqs))
    again = proxy.num_passed / total - 1
    assert again < 0.5, "the download began again from nothing"
    tell(
        f"network cut for {cut_s} s in the upload of {size / 1e6:.0f} MB and in the download of "
        f"{total / 1e6:.0f} MB: went on, hashes equal, no gap in the events; {again:.0%} came twice"
    )


def test_a_slow_client_holds_up_nobody(
    full: bool,
    start_server: Callable[..., Any],
    make_proxy: Callable[..., Any],
    follow: Callable[..., Any],
    heavy: tuple[GenerateRequest, dict[str, Path]],
    used_mb: Callable[[int], float],
    tell: Callable[[str], None],
    tmp_path: Path,
) -> None:
    request, files = heavy
    server = start_server()
    fast, job_id = follow(server), "0f0e0d0c-1111-4222-8333-444455556666"
    fast.client.submit(job_id, request, files)
    result = fast.wait_for(lambda event: isinstance(event, Result), 60.0)
    total = sum(file.size for file in result.files)

    def fetch_s(name: str) -> float:
        began_s = time.perf_counter()
        fast.client.fetch(job_id, result, tmp_path / name)
        fast.wait_for(lambda event: isinstance(event, Fetched) and event.folder == tmp_path / name)
        return time.perf_counter() - began_s

    before_mb = used_mb(server.process.pid)
    # Either way a chunk takes longer than the client lets a question go unanswered.
    bytes_per_s = 100e3 if full else 400e3
    proxy, connection = make_proxy(server, bytes_per_s)
    slow = follow(connection)
    slow.client.subscribe(job_id)
    slow.wait_for(lambda event: isinstance(event, Result))
    alone, beside, num_rounds = [], [], 20 if full else 3
    for index in range(num_rounds):
        alone.append(fetch_s(f"alone {index}"))
    slow.client.fetch(job_id, result, tmp_path / "slow")
    slow.wait_for(lambda event: isinstance(event, Fetching), 60.0)
    assert not [event for event in slow.heard if isinstance(event, ConnectionLost)]
    for index in range(num_rounds):
        slow.client.pump()
        beside.append(fetch_s(f"beside {index}"))
    assert not (tmp_path / "slow").exists(), "the slow client should still be at it"
    assert proxy.num_passed < total / 2
    grown_mb = used_mb(server.process.pid) - before_mb
    assert grown_mb < 100, "what waits for the slow client is bounded by its credit"
    kept = sorted(alone)[num_rounds // 2] / sorted(beside)[num_rounds // 2]
    tell(
        f"a client at {bytes_per_s / 1e3:.0f} kB/s beside one that fetches {total / 1e6:.0f} MB {num_rounds} "
        f"times: the fast one keeps {kept:.0%} of its throughput (medians), memory +{grown_mb:.0f} MB"
    )
