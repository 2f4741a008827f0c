"""Real server processes on free ports in a temporary home, and what is needed to ask something of them."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from tests.training.ingest.conftest import film, portrait  # noqa: F401 - fixtures
from threedimo.camera import MOVES, View
from threedimo.media import write_png, write_video
from threedimo.model_files import INDEX_NAME, INFO_NAME
from threedimo.wire.client import Client, Event, Refused, Result, Timing, make_asset
from threedimo.wire.connection import ConnectionInfo, read_connection
from threedimo.wire.messages import FINAL_STATES, Asset, Footage, GenerateRequest, ModelInfo
from threedimo_server.served_models import ModelChoice

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 20.0
COMMAND_LIMIT_S = 120


@pytest.fixture(scope="session")
def tiny_info() -> ModelInfo:
    return ModelInfo(
        id="tiny",
        trained=False,
        width=32,
        height=32,
        num_frames=9,
        max_frames=33,
        fps=8.0,
        frame_step=4,
        size_step=16,
        num_inference_steps=4,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_info: ModelInfo) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / INFO_NAME).write_bytes(msgspec.json.encode(tiny_info))
    (folder / INDEX_NAME).write_text('{"_class_name": "MotionTransferPipeline"}')
    return folder


class Inputs:
    """A reference image and a sequence of driving pictures, with their bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.reference = self._picture(0)
        self.driving = [self._picture(10 + index) for index in range(12)]

    def request(self, text: str = "", **fields: Any) -> GenerateRequest:
        footage = fields.pop("driving_footage", Footage(files=self.driving, fps=8.0))
        return GenerateRequest(reference_image=self.reference, driving_footage=footage, text=text, **fields)

    def _picture(self, grey: int) -> Asset:
        stream = io.BytesIO()
        pixels = np.full((32, 32, 3), grey, np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        asset = make_asset(stream.getvalue(), f"{grey}.png")
        self.files[asset.hash] = stream.getvalue()
        return asset


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    return Inputs()


class ServerProcess:
    """A server that can be killed and started again in the same home."""

    def __init__(self, home: Path, models: list[ModelChoice], options: dict[str, Any]):
        self.home = home
        self._command = [
            sys.executable,
            str(PROGRAMS / "serve_tiny.py"),
            str(home),
            msgspec.json.encode(models).decode(),
            json.dumps(options),
        ]
        self._environment = {
            **os.environ,
            "THREEDIMO_TEST_MARKER": str(home / "marker"),
            "OMP_NUM_THREADS": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        connection_file = self.home / "connection.json"
        with (self.home / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=self._environment
            )

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            return connection_file.exists() and read_connection_or_none(connection_file) is not None

        wait_until(ready)

    def connection(self) -> ConnectionInfo:
        return read_connection(self.home / "connection.json")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def worker_pid(self) -> int:
        """The newest worker that the log names."""
        lines = [line for line in self.log().splitlines() if "starts as process" in line]
        return int(lines[-1].rsplit(" ", 1)[1])

    def log(self) -> str:
        return (self.home / "logs" / "server.log").read_text()

    def output(self) -> str:
        return (self.home / "output.txt").read_text()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()


def read_connection_or_none(path: Path) -> ConnectionInfo | None:
    try:
        return read_connection(path)
    except Exception:  # of a dead server whose file is still there, until the new one replaces it
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def wait() -> Callable[[Callable[[], bool]], None]:
    return wait_until


@pytest.fixture
def start_server(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(
        *models: Path,
        prepare: Callable[[Path], object] = lambda _: None,
        adapter: Path | None = None,
        **options: Any,
    ) -> ServerProcess:
        home = tmp_path / f"home{len(started)}"
        home.mkdir()
        prepare(home)
        choices = [ModelChoice(str(model)) for model in models or (tiny_model,)]
        if adapter is not None:
            choices[0] = msgspec.structs.replace(choices[0], adapter=str(adapter))
        server = ServerProcess(home, choices, options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("home"), [ModelChoice(str(tiny_model))], {})
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_pipeline_folder: Path) -> Iterator[Path]:
    """The home folder of a running server with a model of random weights."""
    home = tmp_path_factory.mktemp("home")
    command = ["serve", "--model", str(tiny_pipeline_folder), "--device", "cpu"]
    server = subprocess.Popen(
        [sys.executable, "-m", "threedimo_server.cli", *command],
        env=os.environ | {"THREEDIMO_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    wait_until((home / "connection.json").exists)
    yield home
    server.terminate()
    assert server.wait(30) == 0
    assert not (home / "connection.json").exists()


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start the command `threedimo` with a home folder and arguments."""

    def start_command(home: Path, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "threedimo_server.cli", *map(str, arguments)],
            env=os.environ | {"THREEDIMO_HOME": str(home), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start_command


@pytest.fixture(scope="session")
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Run the command to its end: exit code, output, errors."""

    def run_command(home: Path, *arguments: object) -> tuple[int, str, str]:
        process = start(home, *arguments)
        out, err = process.communicate(timeout=COMMAND_LIMIT_S)
        return process.returncode, out, err

    return run_command


def can_have_a_disk_of_its_own() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def on_a_full_disk(tmp_path: Path, tiny_model: Path) -> Callable[..., dict[str, Any]]:
    if not can_have_a_disk_of_its_own():
        pytest.skip("this system lets no user mount a disk of his own")

    def run(
        *elsewhere: str, program: str = "full_disk.py", arguments: Sequence[object] = (), limit_s: int = 120
    ) -> dict[str, Any]:
        (tmp_path / "home").mkdir()
        for name in elsewhere:
            (tmp_path / "elsewhere" / name).mkdir(parents=True)
        folders = [tmp_path / "home", tmp_path / "elsewhere", tiny_model]
        done = subprocess.run(
            ["unshare", "-Urm", sys.executable, str(PROGRAMS / program), *map(str, [*folders, *arguments])],
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def write_list(tmp_path):
    """A list of shots in a folder with what they are made of."""
    folder = tmp_path / "film"
    folder.mkdir()
    rng = np.random.default_rng(0)
    write_png(folder / "woman.png", rng.integers(0, 256, (48, 40, 3), dtype=np.uint8))
    write_video(folder / "dance.mp4", rng.integers(0, 256, (24, 48, 64, 3), dtype=np.uint8), 12.0)
    MOVES["arc_left"](View.around((0, 0, 0.9)), 17, 8.0).to_json(folder / "camera.json")

    def write(*shots, **common):
        base = {"reference": "woman.png", "drive": "dance.mp4", "frames": 5, "steps": 1}
        (folder / "shots.json").write_text(json.dumps({"shots": [base | common | shot for shot in shots]}))
        return folder / "shots.json"

    return write


class Follower:
    """A client that collects what it hears, of a server or of a connection to it."""

    def __init__(self, server: ServerProcess | ConnectionInfo):
        connection = server if isinstance(server, ConnectionInfo) else server.connection
        self.client = Client(connection, "test", Timing(ping_s=0.3, lost_s=1.5))
        self.heard: list[Any] = []

    def submit(self, inputs: Inputs, text: str = "", job_id: str | None = None, **options: Any) -> str:
        label = options.pop("label", "")
        job_id = job_id or str(uuid.uuid4())
        self.client.submit(job_id, inputs.request(text, **options), inputs.files, label=label)
        return job_id

    def wait_for(self, wanted: Callable[[Any], bool], patience_s: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + patience_s
        while True:
            found = next((event for event in self.heard if wanted(event)), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, self.heard
            self.client.wait(0.05)
            self.heard += self.client.pump()

    def state(self, job_id: str, state: str) -> Event:
        return self.wait_for(
            lambda event: isinstance(event, Event) and (event.job_id, event.state) == (job_id, state)
        )

    def end(self, job_id: str) -> Event:
        return self.wait_for(
            lambda event: isinstance(event, Event) and event.job_id == job_id and event.state in FINAL_STATES
        )

    def result(self, job_id: str) -> Result:
        return self.wait_for(lambda event: isinstance(event, Result) and event.job_id == job_id)

    def refusal(self) -> Refused:
        return self.wait_for(lambda event: isinstance(event, Refused))

    def states(self, job_id: str) -> list[str]:
        return [event.state for event in self.heard if isinstance(event, Event) and event.job_id == job_id]


@pytest.fixture
def follow() -> Iterator[Callable[[ServerProcess | ConnectionInfo], Follower]]:
    followers: list[Follower] = []

    def make(server: ServerProcess | ConnectionInfo) -> Follower:
        followers.append(Follower(server))
        return followers[-1]

    yield make
    for follower in followers:
        follower.client.close()
