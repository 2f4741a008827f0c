"""The front: one process and one thread that talks to clients, keeps the queue and watches the workers.

It imports neither torch nor any decoder of pictures, never waits for a client, and survives whatever one
sends. `run_server` is the whole server. `Front` turns the wheel, and the rooms beside it do the work:
`entrance`, `doors` and `gate` (sockets, and who may come in), `answers` (what each message gets), `jobs`
(queue), `followers` (events), `downloads` (chunks), `dispatch` and `workers` (who makes what).
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from threedimo.errors import StorageError
from threedimo.wire.connection import CONNECTION_FILE, ConnectionInfo, remove_connection, write_connection
from threedimo_server.answers import Answers
from threedimo_server.assets import AssetStore
from threedimo_server.config import ServerConfig
from threedimo_server.dispatch import Dispatcher
from threedimo_server.downloads import Downloads
from threedimo_server.entrance import Entrance
from threedimo_server.followers import Followers
from threedimo_server.jobs import JobQueue
from threedimo_server.logs import log_to
from threedimo_server.results import ResultStore
from threedimo_server.retention import Retention
from threedimo_server.served_models import ServedModels
from threedimo_server.snapshot import Snapshot
from threedimo_server.storage import make_private_folder
from threedimo_server.workers import WorkerPool

if TYPE_CHECKING:
    from threedimo_server.metrics import Metrics

logger = logging.getLogger(__name__)

STOP_GRACE_S = 5.0

_IDLE_MS, _BEHIND_MS = 100, 10
_UPKEEP_S = 5.0


def run_server(config: ServerConfig, *, end_with_input: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; then stop the workers, whose jobs wait for the next start.

    Must be called from the main thread, which it keeps. The connection file is written when clients can
    connect, while the model still loads.

    Args:
        config: How to serve.
        end_with_input: Stop also when standard input ends, which the system sees to when whoever holds its
            other end dies.

    Returns:
        The exit status, 0.

    Raises:
        ModelNotFound, InvalidModel: There is no such model or adapter.
        UntrainedModel: One is a stock Wan model without an adapter.
        PortInUse: Another program listens on a port of `config`.
        ServerError: Another server uses the home folder, the address is not this machine's, or two models
            have the same id.
        InvalidKey, AccessRefused: Other machines could connect, and the keys for that are not in order.
        StorageError: The home folder cannot be used.
    """
    make_private_folder(config.home)
    log_folder = make_private_folder(config.home / "logs")
    log_to(log_folder / "server.log")
    front = Front(config, log_folder)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.append(received))
    if end_with_input:
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    connection_file = config.home / CONNECTION_FILE
    try:
        write_connection(connection_file, front.connection)
        names = ", ".join(choice.model for choice in config.models)
        logger.info("serving %s on %s and %s", names, *front.endpoints)
        for choice in config.models:
            if choice.untrained:
                logger.warning("motion and camera control of %s are untrained: both do nothing", choice.model)
        front.tell_others()
        _warn_of_little_space(config)
        front.serve_until(lambda: bool(signals))
    finally:
        remove_connection(connection_file, front.connection)
        front.close()
    logger.info("stopped")
    return 0


def _warn_of_little_space(config: ServerConfig) -> None:
    free = shutil.disk_usage(config.home).free
    if free < config.reserve_bytes:
        logger.warning(
            "only %.0f MB are free in %s: uploads and jobs are refused until %.0f MB are",
            *(free / 1e6, config.home, config.reserve_bytes / 1e6),
        )


def _stop_at_end_of_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _metrics(port: int) -> Metrics:
    from threedimo_server.metrics import Metrics  # most servers have no use for it

    return Metrics(port)


class Front:
    """Everything that the server consists of, and the loop that moves it.

    Args:
        config: How to serve.
        log_folder: Where workers write what they print.
    """

    def __init__(self, config: ServerConfig, log_folder: Path):
        self._config = config
        models = ServedModels(config.models)
        self._queue = JobQueue(config.home / "jobs.sqlite", max_queued=config.limits.max_queued_jobs)
        try:
            self._entrance = Entrance(config)
        except BaseException:
            self._queue.close()
            raise
        control, data = self._entrance.control, self._entrance.data
        try:
            self._assets = AssetStore(
                config.home / "assets",
                max_bytes=config.limits.max_asset_bytes,
                chunk_bytes=config.limits.chunk_bytes,
                reserve_bytes=config.reserve_bytes,
            )
            self._results = ResultStore(config.home / "results", reserve_bytes=config.reserve_bytes)
            self._retention = Retention(config, self._queue.records, self._assets, self._results)
            self._metrics = None if config.metrics_port is None else _metrics(config.metrics_port)
        except BaseException:
            self._entrance.close()
            self._queue.close()
            raise
        self._followers = Followers(control, self._queue)
        self._downloads = Downloads(data, self._results, config.limits.chunk_bytes)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pool = WorkerPool(self._context, config, log_folder)
        self._dispatcher = Dispatcher(
            self._queue, self._assets, self._results, self._pool, self._followers, models
        )
        self._stopping = False
        self._cannot_write = False
        self._upkeep_at_s = 0.0
        self.endpoints = (control.endpoint, data.endpoint)
        self.connection = self._connection()
        self._answers = Answers(
            config.limits,
            self.connection.token,
            models,
            queue=self._queue,
            assets=self._assets,
            dispatcher=self._dispatcher,
            followers=self._followers,
            downloads=self._downloads,
            pool=self._pool,
            control=control,
        )

    def serve_until(self, stop_asked: Callable[[], bool]) -> None:
        """Serve; once asked to stop refuse new work, and return when every worker has ended."""
        poller = self._poller()
        moved, kill_at_s = False, 0.0
        while not self._stopping or not self._pool.all_gone:
            if stop_asked() and not self._stopping:
                logger.info("stopping")
                self._stopping, kill_at_s = True, time.monotonic() + STOP_GRACE_S
                self._answers.refuse_work()
                self._dispatcher.stop()
            if self._stopping and time.monotonic() > kill_at_s:
                break
            poller.poll(self._patience_ms(moved))
            for door, letter in self._entrance.receive():
                self._answers.answer(door, letter)
            if self._entrance.relieve():
                poller = self._poller()
            moved = self._work()

    def tell_others(self) -> None:
        """Log what people on other machines type, if they can connect."""
        gate = self._entrance.gate
        if gate is not None:
            address = self.endpoints[0].replace("0.0.0.0", socket.gethostname())
            logger.info("on other machines: threedimo keys trust %s %s", address, gate.public_word)

    def close(self) -> None:
        """Kill what is left, close sockets and files. What still ran is queued again at the next start."""
        if self._metrics is not None:
            self._metrics.close()
        self._pool.close()
        self._context.destroy()
        self._entrance.close()
        self._queue.close()

    def _poller(self) -> zmq.Poller:
        poller = zmq.Poller()
        for watched in (*self._entrance.sockets, self._pool.socket):
            poller.register(watched, zmq.POLLIN)
        return poller

    def _connection(self) -> ConnectionInfo:
        """How clients on this machine connect: with a token, or with a key for this run."""
        control, data = (endpoint.replace("//0.0.0.0:", "//127.0.0.1:") for endpoint in self.endpoints)
        gate = self._entrance.gate
        if gate is None:
            return ConnectionInfo(control, data, secrets.token_urlsafe(32), os.getpid())
        return ConnectionInfo(
            control,
            data,
            pid=os.getpid(),
            server_key=gate.public_word,
            client_secret=gate.local.secret_word,
        )

    def _snapshot(self) -> Snapshot:
        waiting_since_s = self._queue.records.oldest_waiting_s()
        return Snapshot(
            jobs=self._queue.records.num_by_state(),
            oldest_waiting_s=0.0 if waiting_since_s is None else max(0.0, time.time() - waiting_since_s),
            workers={f"{worker.index} {worker.device}": worker.state for worker in self._pool.workers},
            clients={door.name: door.num_peers for door in (self._entrance.control, self._entrance.data)},
            free_bytes=shutil.disk_usage(self._config.home).free,
        )

    def _patience_ms(self, moved: bool) -> int:
        if self._downloads.some_waiting:
            return 0 if moved else _BEHIND_MS
        return _BEHIND_MS if self._followers.some_behind else _IDLE_MS

    def _work(self) -> bool:
        try:
            self._dispatcher.receive()
            self._dispatcher.advance()
            self._followers.catch_up()
            self._keep_up()
            if self._cannot_write:
                logger.info("the queue can be written again")
            self._cannot_write = False
        except StorageError as error:
            # Again and again until somebody frees the disk: one line says so, not one a try.
            if not self._cannot_write:
                logger.error(
                    "[%s] %s Until then nothing new begins; what is done is kept.", error.code, error
                )
            self._cannot_write = True
        return self._downloads.send_some()

    def _keep_up(self) -> None:
        """What has to be done now and then: forget silent clients, and what is not to be kept."""
        now = time.monotonic()
        if now < self._upkeep_at_s:
            return
        self._upkeep_at_s = now + _UPKEEP_S
        if self._metrics is not None:
            self._metrics.show(self._snapshot())
        for door in (self._entrance.control, self._entrance.data):
            door.forget_silent(self._config.client_silence_s)
            door.forget_refused()
        self._followers.drop_unknown()
        self._retention.keep_up()
