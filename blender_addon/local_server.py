# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on this machine, started by a button with the library's own Python. No bpy here.

It is a process of its own that outlives Blender: what was queued goes on. It finds nothing of Blender in its
environment, and says what it has to say into a file in its home folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from threedimo.errors import InvalidRequest, ServerUnreachable, UnwritableFolder
from threedimo.wire.connection import home_folder

LOG_FILE = "server-from-blender.log"
_NUM_LOG_LINES = 3


class LocalServer:
    """The server that this Blender started, if it started one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._was_stopped = False

    @property
    def runs(self) -> bool:
        """Whether the process lives; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def problem(self) -> ServerUnreachable | None:
        """Why the server ended, if nobody here stopped it."""
        if self._process is None or self._was_stopped or self._process.poll() is None:
            return None
        return ServerUnreachable(
            f"the server ended: {_last_words(home_folder() / LOG_FILE)}",
            given=f"exit status {self._process.returncode}",
            remedy=f"read {home_folder() / LOG_FILE}",
        )

    def start(self, python: str) -> None:
        """Start the server; it answers some seconds later. Nothing happens if it runs.

        Args:
            python: The Python of the environment where the library is installed with its server.

        Raises:
            InvalidRequest: There is no such program, or none is named.
            UnwritableFolder: The home folder cannot be written.
        """
        if self.runs:
            return
        if not python:
            raise InvalidRequest(
                "it is not known where the library is installed",
                remedy="name its Python in the add-on's preferences, or start `threedimo serve` yourself",
            )
        log = home_folder() / LOG_FILE
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            stream = log.open("wb")
        except OSError as error:
            raise UnwritableFolder(f"cannot be written: {error.strerror}", given=log) from error
        detached = (
            {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        self._was_stopped = False
        with stream:
            try:
                self._process = subprocess.Popen(
                    [python, "-m", "threedimo_server.cli", "serve"],
                    cwd=log.parent,
                    env=_own_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    **detached,
                )
            except OSError as error:
                raise InvalidRequest(
                    f"this Python cannot be started: {error.strerror}",
                    given=python,
                    remedy="name the Python of the library in the add-on's preferences",
                ) from error

    def stop(self) -> None:
        """End it as Ctrl-C would, if this Blender started it; the queue is kept."""
        if self._process is not None and self.runs:
            self._was_stopped = True
            self._process.terminate()


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("BLENDER", "PYTHON"))}


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return " ".join(lines[-_NUM_LOG_LINES:])[-500:] or "it said nothing"
