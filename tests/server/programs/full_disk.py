"""A job of a real server on a disk that is full when the job ends, and free again later.

unshare -Urm python full_disk.py HOME ELSEWHERE MODEL, with a folder `results` in ELSEWHERE or without:
results lie there or on the full disk. HOME becomes a disk of its own, which nobody outside this process sees.
Prints the states and errors of the job and of one after it as JSON.
"""

import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from threedimo.wire.client import Client, Event, make_asset
from threedimo.wire.connection import read_connection
from threedimo.wire.messages import FINAL_STATES, Footage, GenerateRequest

PATIENCE_S = 60.0
home, elsewhere, model = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def picture() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def submit(client: Client, text: str) -> str:
    job_id, data = str(uuid.uuid4()), picture()
    asset = make_asset(data, "grey.png")
    request = GenerateRequest(
        reference_image=asset, driving_footage=Footage(files=[asset] * 12, fps=8.0), text=text
    )
    client.submit(job_id, request, {asset.hash: data})
    return job_id


def follow(client: Client, job_id: str, heard: list[Event], states: frozenset[str]) -> None:
    def reached() -> bool:
        heard.extend(event for event in client.pump() if isinstance(event, Event) and event.job_id == job_id)
        return any(event.state in states for event in heard)

    wait_until(reached)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(home)], check=True)
for name in ("logs", "results"):
    if (elsewhere / name).is_dir():
        (home / name).symlink_to(elsewhere / name)
serve = [sys.executable, str(Path(__file__).with_name("serve_tiny.py")), str(home), model, "{}"]
environment = os.environ | {"THREEDIMO_TEST_MARKER": str(home / "marker")}
server = subprocess.Popen(serve, env=environment)
log = elsewhere / "logs" / "server.log"
try:
    wait_until((home / "connection.json").exists)
    with Client(read_connection(home / "connection.json"), "test") as client:
        job_id, heard = submit(client, "slow slow slow"), list[Event]()
        follow(client, job_id, heard, frozenset({"running"}))
        fill(home / "filler")
        wait_until(lambda: "[storage.no_space]" in log.read_text())
        at_full = [event.state for event in heard]
        (home / "filler").unlink()
        follow(client, job_id, heard, FINAL_STATES)
        next_id, next_heard = submit(client, "fine"), list[Event]()
        follow(client, next_id, next_heard, FINAL_STATES)
    sys.stdout.write(
        json.dumps(
            {
                "at_full": at_full,
                "states": [event.state for event in heard],
                "error": heard[-1].error_code,
                "next": next_heard[-1].state,
                "lines": log.read_text().count("[storage.no_space]"),
            }
        )
    )
finally:
    server.terminate()
    server.wait()
