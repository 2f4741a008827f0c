"""A worker of a Ray cluster: it holds a warm model on one GPU, and makes one shot after the other.

It does that with a 3DiMo server of its own on its machine, as `threedimo generate` does, so that limits of
decoding, memory that runs out, and progress are dealt with in one place. The server ends with this process,
in whatever way that dies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from threedimo.errors import InvalidModel, JobCancelled
from threedimo.wire.messages import GenerateRequest, ModelInfo, ResultInfo
from threedimo.wire.processes import process_is_alive
from threedimo_server.generate import model_of
from threedimo_server.job_progress import JobProgress
from threedimo_server.job_run import connected_client, fetch_result, wait_for_result
from threedimo_server.own_server import OwnServer, own_server
from threedimo_server.served_models import ModelChoice
from threedimo_server.settings import SETTINGS_FILE

if TYPE_CHECKING:
    from ray import ObjectRef

# What is done has left for the one who asked: half an hour is for what several shots have in common.
_SERVER_SETTINGS = "keep_days = 0.02\n"
_STOP_LIMIT_S = 5.0


@dataclass(frozen=True)
class ShotOrder:
    """A shot as it travels to a worker, but for the files.

    Attributes:
        name: Of the shot.
        model: What the shot was prepared for.
        request: What to make.
        camera: The camera's numbers.
    """

    name: str
    model: ModelInfo
    request: GenerateRequest
    camera: bytes | None


@dataclass(frozen=True)
class MadeShot:
    """A shot as it travels back: the result's files by their names in its folder."""

    info: ResultInfo
    files: dict[str, bytes]

    def write(self, folder: Path) -> None:
        """Write the files into a new folder.

        Raises:
            OSError: The system refused.
        """
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


@dataclass(frozen=True)
class Step:
    """How far a shot is; see `JobProgress.step`."""

    phase: str
    step: int
    num_steps: int
    eta_s: float | None


class ShotMaker:
    """What runs in a Ray actor. `seen` and `close` may be called while `make` is at work in another thread.

    Args:
        choice: The model.
        batch_id: A UUID of the run of the command, in the names of folders.
        scratch: Folder in which to write; None means the machine's own for temporary files.
    """

    def __init__(self, choice: ModelChoice, batch_id: str, scratch: Path | None):
        import ray

        self._choice = choice
        self._scratch = scratch or Path(tempfile.gettempdir())
        # of this node: containers may share a folder, but not the numbers of their processes
        self._prefix = f"threedimo-ray-{batch_id}-{ray.get_runtime_context().get_node_id()}."
        self._stack = ExitStack()
        self._server: OwnServer | None = None
        self._home = Path()
        self._at_work = threading.Lock()
        self._over = threading.Event()
        self._progress = _LastStep()

    def model(self) -> ModelInfo:
        """Start the server if need be, and say what its model makes. The model itself loads meanwhile.

        Raises:
            ThreeDimoError: The server cannot be started.
        """
        with self._at_work, connected_client(self._running_server().connection) as client:
            return model_of(client)

    def make(self, order: ShotOrder, files: dict[str, ObjectRef[bytes]]) -> MadeShot:
        """Make a shot.

        Args:
            order: The shot.
            files: The content of its files by their hashes.

        Raises:
            ServerUnreachable: The server died or is silent; the next call starts another.
            JobCancelled: By `close`.
            ThreeDimoError: The error with which the shot was refused or failed.
        """
        import ray

        self._progress.shot, self._progress.last = order.name, None
        with self._at_work, connected_client(self._running_server().connection) as client:
            here = model_of(client)
            if here != order.model:
                raise InvalidModel(
                    "a worker has another model than the one for which the shot was prepared",
                    given=here.id,
                    allowed=order.model.id,
                    remedy="put the same model in the same place on every machine of the cluster",
                )
            job_id, folder = str(uuid.uuid4()), self._home / "fetched"
            contents = {key: ray.get(reference) for key, reference in files.items()}
            client.submit(job_id, order.request, contents, order.camera, label=order.name)
            result = wait_for_result(client, job_id, self._progress, self._check)
            shutil.rmtree(folder, ignore_errors=True)
            fetch_result(client, result, folder, self._progress)
        return MadeShot(
            result.info, {entry.name: (folder / entry.name).read_bytes() for entry in result.files}
        )

    def seen(self, shot: str) -> Step | None:
        """How far a shot is; None if it is not the one that is being made."""
        return self._progress.last if self._progress.shot == shot else None

    def close(self) -> None:
        """Stop what is going on, end the server, and delete what it and lost workers wrote here."""
        self._over.set()
        self._at_work.acquire(timeout=_STOP_LIMIT_S)  # in vain if it hangs: it dies with the server
        self._stack.close()
        for home in self._scratch.glob(f"{self._prefix}*"):
            _, pid, _ = home.name.split(".")
            if not process_is_alive(int(pid)):
                shutil.rmtree(home, ignore_errors=True)

    def _running_server(self) -> OwnServer:
        if self._over.is_set():
            raise JobCancelled("the worker was told to stop")
        if self._server is None or not self._server.is_alive:
            self._stack.close()
            home = tempfile.mkdtemp(prefix=f"{self._prefix}{os.getpid()}.", dir=self._scratch)
            self._stack.callback(partial(shutil.rmtree, home, ignore_errors=True))
            self._home = Path(home)
            (self._home / SETTINGS_FILE).write_text(_SERVER_SETTINGS)
            self._server = self._stack.enter_context(
                own_server(
                    self._home,
                    self._choice,
                    # the GPU that Ray has given to this process is the only one that it sees
                    device="auto",
                )
            )
        return self._server

    def _check(self) -> None:
        if self._over.is_set():
            raise JobCancelled("the worker was told to stop")
        if self._server is not None:
            self._server.check_alive()


class _LastStep(JobProgress):
    """Progress that is kept for whoever asks."""

    def __init__(self) -> None:
        super().__init__()
        self.shot = ""
        self.last: Step | None = None

    def step(self, phase: str, step: int, num_steps: int, eta_s: float | None = None) -> None:
        self.last = Step(phase, step, num_steps, eta_s)

    def transfer(self, phase: str, num_bytes: int, total_bytes: int) -> None:
        """It goes from this machine to this machine."""

    def note(self, sentence: str) -> None:
        """Nobody reads it here."""
