"""What a monitoring system reads of a real server."""

import http.client
import socket
import subprocess
import sys

import pytest

from threedimo.errors import PortInUse
from threedimo_server.metrics import Metrics
from threedimo_server.snapshot import Snapshot


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def read(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_server_tells_its_queue_in_numbers(start_server, follow, inputs, wait, free_port):
    server = start_server(metrics_port=free_port)
    follower = follow(server)
    follower.end(follower.submit(inputs, label="secret film"))
    follower.end(follower.submit(inputs, "wrong"))
    running = follower.submit(inputs, "slow", num_inference_steps=150)
    follower.state(running, "running")
    waiting = follower.submit(inputs)
    follower.state(waiting, "queued")
    wait(lambda: read(free_port).get('threedimo_jobs{state="queued"}') == 1)
    numbers = read(free_port)
    counts = {"done": 1, "failed": 1, "running": 1, "queued": 1, "cancelled": 0, "publishing": 0}
    assert {state: numbers[f'threedimo_jobs{{state="{state}"}}'] for state in counts} == counts
    assert 0 < numbers["threedimo_oldest_waiting_seconds"] < 60
    assert numbers['threedimo_workers{device="0 cpu",state="busy"}'] == 1
    assert numbers['threedimo_clients{door="control"}'] == 1
    assert numbers["threedimo_disk_free_bytes"] > 0
    assert numbers["process_resident_memory_bytes"] > 1e6
    assert not any("secret" in name for name in numbers)
    assert server.stop() == 0


def test_before_the_first_look_there_are_no_numbers_of_the_queue(free_port):
    metrics = Metrics(free_port)
    assert not any(name.startswith("threedimo_") for name in read(free_port))
    metrics.show(Snapshot({"queued": 3}, 1.5, {}, {}, 10))
    assert read(free_port)['threedimo_jobs{state="queued"}'] == 3
    metrics.close()
    with pytest.raises(ConnectionRefusedError):
        read(free_port)


def test_a_taken_port_is_told(tmp_path, free_port, tiny_model):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(PortInUse, match="metrics"):
            Metrics(free_port)
        command = ["serve", "--model", str(tiny_model), "--metrics-port", str(free_port)]
        done = subprocess.run(
            [sys.executable, "-m", "threedimo_server.cli", *command],
            env={"THREEDIMO_HOME": str(tmp_path / "home"), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 7
    assert "server.port_in_use" in done.stderr
