"""Many clients with many short jobs, at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_many_clients_get_every_result_once(
    full: bool,
    start_server: Callable[..., Any],
    run_program: Callable[..., Any],
    ledger: Callable[[Path], Any],
    used_mb: Callable[[int], float],
    tell: Callable[[str], None],
    tmp_path: Path,
) -> None:
    num_clients, num_jobs = (32, 50) if full else (8, 2)
    server = start_server(devices=["cpu", "cpu:0"])
    began_s = time.monotonic()
    clients = [
        run_program(
            "busy_client.py",
            server.home / "connection.json",
            f"client {index}",
            num_jobs,
            tmp_path / f"fetched {index}",
        )
        for index in range(num_clients)
    ]
    total = num_clients * num_jobs
    memory: list[float] = []
    while any(client.poll() is None for client in clients):
        time.sleep(0.2)
        if len(ledger(server.home).published()) >= total // 4:
            memory.append(used_mb(server.process.pid))
    took_s = time.monotonic() - began_s
    memory.append(used_mb(server.process.pid))

    assert [client.communicate()[0] for client in clients] == [""] * num_clients
    assert server.stop() == 0
    ledger(server.home).check_each_done_once(total)
    fetched = [path.name for folder in tmp_path.glob("fetched *") for path in folder.iterdir()]
    assert len(fetched) == len(set(fetched)) == total
    assert max(memory) - memory[0] < 30, "the front's memory grows with its work"
    tell(
        f"load: {num_clients} clients x {num_jobs} jobs: {total} results in {took_s:.0f} s, each once; "
        f"memory of the front {memory[0]:.0f} MB after a quarter, then at most {max(memory):.0f} MB"
    )
