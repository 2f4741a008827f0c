"""A real server whose home is a small disk of its own, which can be filled. Needs `unshare -Urm`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from threedimo.wire.client import Client, Event, Refused, make_asset
from threedimo.wire.connection import read_connection
from threedimo.wire.messages import Footage, GenerateRequest

PATIENCE_S = 60.0
Heard = list[Event | Refused]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextmanager
def server_on_small_disk(home: Path, elsewhere: Path, model: str) -> Iterator[Client]:
    """A client of a server on a disk of 40 MB, except for `logs` and `results` if they are in `elsewhere`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(home)], check=True)
    for name in ("logs", "results"):
        if (elsewhere / name).is_dir():
            (home / name).symlink_to(elsewhere / name)
    program, models = Path(__file__).with_name("serve_tiny.py"), json.dumps([{"model": model}])
    serve = [sys.executable, str(program), str(home), models, "{}"]
    server = subprocess.Popen(serve, env=os.environ | {"THREEDIMO_TEST_MARKER": str(home / "marker")})
    try:
        wait_until((home / "connection.json").exists)
        with Client(read_connection(home / "connection.json"), "test") as client:
            yield client
    finally:
        server.terminate()
        server.wait()


def submit(client: Client, text: str, grey: int = 0) -> str:
    """Queue a job; with another grey its picture must be sent first."""
    stream = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), grey, np.uint8)).save(stream, "PNG")
    job_id, data = str(uuid.uuid4()), stream.getvalue()
    asset = make_asset(data, "grey.png")
    request = GenerateRequest(
        reference_image=asset, driving_footage=Footage(files=[asset] * 12, fps=8.0), text=text
    )
    client.submit(job_id, request, {asset.hash: data})
    return job_id


def follow(client: Client, job_id: str, heard: Heard, states: frozenset[str]) -> None:
    """Wait until the job is in one of the states, or refused."""

    def reached() -> bool:
        news = (event for event in client.pump() if isinstance(event, Event | Refused))
        heard.extend(event for event in news if event.job_id == job_id)
        return any(isinstance(event, Refused) or event.state in states for event in heard)

    wait_until(reached)


def fill(path: Path) -> None:
    """Take all space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
