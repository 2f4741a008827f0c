"""A Ray cluster for one command: the one that is named, or one that is started on this machine and ended.

How one is started here stands in `threedimo.local_ray`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threedimo.errors import AccessRefused, InvalidRequest, ServerError, ServerUnreachable
from threedimo.local_ray import loopback_environment, named_cluster, start_ray
from threedimo_server.job_progress import JobProgress

_CONNECT_LIMIT_S = 10.0


@dataclass(frozen=True)
class RayCluster:
    """A cluster that this process is connected to.

    Attributes:
        num_workers: How many shots it can make at a time: one on each GPU, or on each machine without any.
        resources: What such a worker reserves, by Ray's names ("CPU", "GPU").
        scratch: Folder of this machine for what workers write, deleted with the cluster; None where workers
            are on other machines and each uses its own.
    """

    num_workers: int
    resources: dict[str, int]
    scratch: Path | None


@contextmanager
def some_cluster(address: str | None, progress: JobProgress) -> Iterator[RayCluster]:
    """Connect to the cluster at `address`, or at the variable `RAY_ADDRESS`, or start one for this command.

    Raises:
        InvalidRequest: Ray is not installed.
        ServerUnreachable: No cluster answers there, or none can be started.
        AccessRefused: Tokens are asked for, and this process has none.
        ServerError: It has neither GPUs nor CPUs to work with.
    """
    address = named_cluster(address)
    with ExitStack() as stack:
        scratch = None
        if address is None:
            scratch = stack.enter_context(_private_folder())
            stack.enter_context(loopback_environment())
        ray = _import_ray()
        # Ray tells of lost workers on standard output, where the command's table goes
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.callback(ray.shutdown, wait_for_processes=True)
        with _signals_kept():
            if scratch is None:
                _connect(ray, str(address))
            else:
                progress.note("no Ray cluster is named: starting one on this machine for this command")
                start_ray(ray, _temp_dir=str(scratch))
        num_workers, resources = _share(ray)
        yield RayCluster(num_workers, resources, scratch)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InvalidRequest(
            "Ray is not installed", remedy="pip install 'threedimo[ray]', or leave out --engine ray"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    from ray.exceptions import AuthenticationError

    _require_listener(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except AuthenticationError as error:
        raise AccessRefused(
            "the Ray cluster wants a token",
            given=address,
            remedy="set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as on the cluster",
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ServerUnreachable(
            f"no Ray cluster can be used there: {_first_line(error)}",
            given=address,
            remedy="give the address that `ray start --head` has printed, on a machine of that cluster with "
            "the same versions of Ray and Python, and with its RAY_AUTH_MODE and RAY_AUTH_TOKEN",
        ) from error


def _require_listener(address: str) -> None:
    """Ray itself would look for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_LIMIT_S).close()
    except OSError as error:
        raise ServerUnreachable(
            f"no Ray cluster answers there: {error.strerror or error}",
            given=address,
            remedy="give the address that `ray start --head` has printed",
        ) from error


def _share(ray: Any) -> tuple[int, dict[str, int]]:
    """How many workers there can be, and what each reserves."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    num_gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if num_gpus:
        return num_gpus, {"CPU": 1, "GPU": 1}
    # torch computes one shot with all cores of a machine, so that each worker takes them all
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    if not cores:
        raise ServerError(
            "the Ray cluster has neither GPUs nor CPUs", remedy="add a machine, or see `ray status`"
        )
    return len(cores), {"CPU": min(cores)}


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder for this user alone. Its path is short, because Ray's sockets lie in it."""
    folder = tempfile.mkdtemp(prefix="threedimo-ray-", dir="/tmp" if os.name == "posix" else None)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Take back what Ray does with SIGTERM: the command decides how it ends."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
