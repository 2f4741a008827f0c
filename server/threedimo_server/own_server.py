"""A server started for one command, and ended with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from threedimo.errors import ServerUnreachable, ThreeDimoError, from_code
from threedimo.wire.connection import CONNECTION_FILE, HOME_VARIABLE, ConnectionInfo, read_connection
from threedimo_server.served_models import ModelChoice

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0
# Where the user's own server listens; another one must not want the same.
_PLACES = {f"THREEDIMO_{name}" for name in ("HOST", "PORT", "DATA_PORT", "METRICS_PORT")}
_ERROR_LINE = re.compile(r"^threedimo: error \[(?P<code>[a-z_.]+)\]: (?P<message>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class OwnServer:
    """A running server and the way to reach it."""

    connection: ConnectionInfo
    _process: subprocess.Popen[bytes]
    _log: IO[bytes]

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check_alive(self) -> None:
        """Raise the error with which the server ended, if it did.

        Raises:
            ThreeDimoError: Whatever the server said last.
        """
        if not self.is_alive:
            raise _last_words(self._process, self._log)


@contextmanager
def own_server(
    home: Path,
    choice: ModelChoice | None = None,
    *,
    device: str | None = None,
) -> Iterator[OwnServer]:
    """Start `threedimo serve` with this home folder, wait until it is ready, and stop it afterwards.

    The server has a session of its own, so that Ctrl-C in the terminal reaches the command alone, which can
    then still cancel its job. It also stops when this process dies in whatever way, because its standard
    input ends then; a job that it was making waits for the next server.

    Args:
        home: The server's `THREEDIMO_HOME`.
        choice: The model; None is the embedded one.
        device: As `--device` takes it; None leaves it to the settings of the home folder and the environment.

    Raises:
        ServerUnreachable: It does not get ready in a minute.
        ThreeDimoError: What the server itself said when it could not start.
    """
    with tempfile.TemporaryFile() as log:
        options = [
            *("--host", "127.0.0.1", "--end-with-input"),
            *(choice or ModelChoice()).options(),
            *(() if device is None else ("--device", device)),
        ]
        inherited = {name: value for name, value in os.environ.items() if name not in _PLACES}
        process = subprocess.Popen(
            [sys.executable, "-m", "threedimo_server.cli", "serve", *options],
            env=inherited | {HOME_VARIABLE: str(home)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield OwnServer(_wait_until_ready(home, process, log), process, log)
        finally:
            _stop(process)


def _wait_until_ready(home: Path, process: subprocess.Popen[bytes], log: IO[bytes]) -> ConnectionInfo:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            found = read_connection(home / CONNECTION_FILE)
        except ServerUnreachable:
            found = None
        if found is not None and found.pid == process.pid:
            return found
        if process.poll() is not None:
            raise _last_words(process, log)
        time.sleep(0.05)
    raise ServerUnreachable(
        f"the server did not get ready in {_START_LIMIT_S:.0f} s",
        given=_tail(log),
        remedy="start it by itself with `threedimo serve` and read what it says",
    )


def _last_words(process: subprocess.Popen[bytes], log: IO[bytes]) -> ThreeDimoError:
    said = _tail(log)
    found = _ERROR_LINE.findall(said)
    if found:
        return from_code(*found[-1])
    last_line = said.strip().rpartition("\n")[2]
    return ServerUnreachable(
        f"the server ended with exit code {process.returncode}",
        given=last_line or None,
        remedy="start it by itself with `threedimo serve` and read what it says",
    )


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 8192))
    return log.read().decode(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdin is not None  # a pipe, never written to
    process.stdin.close()
