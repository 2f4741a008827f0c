"""The front: one process and one thread that talks to clients, keeps the queue and watches the workers.

It imports neither torch nor any decoder of pictures, never waits for a client, and survives whatever one
sends. `run_server` is the whole server. `Front` turns the wheel, and the rooms beside it do the work: `doors`
(sockets), `gate` (who may come in), `answers` (what each message gets), `jobs` (queue), `followers` (events),
`downloads` (chunks), `dispatch` and `workers` (who makes what).
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

import zmq

from threedimo.errors import StorageError
from threedimo.model_info import read_model_info
from threedimo.wire.assets import assets_of
from threedimo.wire.connection import CONNECTION_FILE, ConnectionInfo, remove_connection, write_connection
from threedimo_server.answers import Answers
from threedimo_server.assets import AssetStore
from threedimo_server.config import ServerConfig
from threedimo_server.dispatch import Dispatcher
from threedimo_server.doors import Door
from threedimo_server.downloads import Downloads
from threedimo_server.followers import Followers
from threedimo_server.gate import Gate
from threedimo_server.jobs import JobQueue
from threedimo_server.logs import log_to
from threedimo_server.results import ResultStore
from threedimo_server.storage import make_private_folder
from threedimo_server.workers import WorkerPool

logger = logging.getLogger(__name__)

STOP_GRACE_S = 5.0

_CONTROL_QUEUE, _DATA_QUEUE = 256, 8  # Messages; those of data are a chunk each.
_CONTROL_BATCH, _DATA_BATCH = 100, 16
_IDLE_MS, _BEHIND_MS = 100, 10
_UPKEEP_S = 5.0
_DAY_S = 86_400.0


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
        UntrainedModel: It is a stock Wan model without an adapter.
        PortInUse: Another program listens on a port of `config`.
        ServerError: Another server uses the home folder, or the address is not this machine's.
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
        logger.info("serving %s on %s and %s", config.model, *front.endpoints)
        if config.untrained:
            logger.warning("motion and camera control of this model are untrained: both do nothing")
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


class Front:
    """Everything that the server consists of, and the loop that moves it.

    Args:
        config: How to serve.
        log_folder: Where workers write what they print.
    """

    def __init__(self, config: ServerConfig, log_folder: Path):
        self._config = config
        model = read_model_info(config.model, config.adapter, untrained=config.untrained)
        self._queue = JobQueue(config.home / "jobs.sqlite", max_queued=config.limits.max_queued_jobs)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._gate = None if config.on_loopback else Gate(self._context, config.home / "keys")
            self._control = self._door("control", config.control_port, _CONTROL_QUEUE)
            self._data = self._door("data", config.data_port, _DATA_QUEUE)
            self._assets = AssetStore(
                config.home / "assets",
                max_bytes=config.limits.max_asset_bytes,
                chunk_bytes=config.limits.chunk_bytes,
                reserve_bytes=config.reserve_bytes,
            )
            self._results = ResultStore(config.home / "results", reserve_bytes=config.reserve_bytes)
        except BaseException:
            self._context.destroy(linger=0)
            self._queue.close()
            raise
        self._followers = Followers(self._control, self._queue)
        self._downloads = Downloads(self._data, self._results, config.limits.chunk_bytes)
        self._pool = WorkerPool(self._context, config, log_folder)
        self._dispatcher = Dispatcher(
            self._queue, self._assets, self._results, self._pool, self._followers, model
        )
        self._stopping = False
        self._cannot_write = False
        self._upkeep_at_s = 0.0
        self.endpoints = (self._control.endpoint, self._data.endpoint)
        self.connection = self._connection()
        self._answers = Answers(
            config.limits,
            self.connection.token,
            model,
            queue=self._queue,
            assets=self._assets,
            dispatcher=self._dispatcher,
            followers=self._followers,
            downloads=self._downloads,
            pool=self._pool,
            control=self._control,
        )

    def serve_until(self, stop_asked: Callable[[], bool]) -> None:
        """Serve; once asked to stop refuse new work, and return when every worker has ended."""
        poller = zmq.Poller()
        for watched in (self._control.socket, self._data.socket, self._pool.socket):
            poller.register(watched, zmq.POLLIN)
        if self._gate is not None:
            poller.register(self._gate.socket, zmq.POLLIN)
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
            for door, batch in ((self._control, _CONTROL_BATCH), (self._data, _DATA_BATCH)):
                for letter in door.receive(batch):
                    self._answers.answer(door, letter)
            if self._gate is not None:
                self._gate.answer()
            moved = self._work()

    def tell_others(self) -> None:
        """Log what people on other machines type, if they can connect."""
        if self._gate is not None:
            address = self.endpoints[0].replace("0.0.0.0", socket.gethostname())
            logger.info("on other machines: threedimo keys trust %s %s", address, self._gate.public_word)

    def close(self) -> None:
        """Kill what is left, close sockets and files. What still ran is queued again at the next start."""
        self._pool.close()
        self._context.destroy()
        self._queue.close()

    def _door(self, name: str, port: int | None, queue_length: int) -> Door:
        return Door(
            self._context,
            name,
            self._config.host,
            port,
            limits=self._config.limits,
            queue_length=queue_length,
            gate=self._gate,
        )

    def _connection(self) -> ConnectionInfo:
        """How clients on this machine connect: with a token, or with a key for this run."""
        control, data = (endpoint.replace("//0.0.0.0:", "//127.0.0.1:") for endpoint in self.endpoints)
        if self._gate is None:
            return ConnectionInfo(control, data, secrets.token_urlsafe(32), os.getpid())
        return ConnectionInfo(
            control,
            data,
            pid=os.getpid(),
            server_key=self._gate.public_word,
            client_secret=self._gate.local.secret_word,
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
        """What has to be done now and then: forget silent clients and old jobs."""
        now = time.monotonic()
        if now < self._upkeep_at_s:
            return
        self._upkeep_at_s = now + _UPKEEP_S
        for door in (self._control, self._data):
            door.forget_silent(self._config.client_silence_s)
            door.forget_refused()
        self._followers.drop_unknown()
        if self._config.keep_days is not None:
            before_s = time.time() - self._config.keep_days * _DAY_S
            for job_id in self._queue.forget_before(before_s):
                self._results.remove(job_id)
            needed = {key for request in self._queue.unfinished_requests() for key in assets_of(request)}
            self._assets.prune(needed, before_s)
