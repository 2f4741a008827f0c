# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocking form of the operators, for scripts: tick until something has happened."""

from __future__ import annotations

import time

from threedimo.errors import ServerUnreachable

from . import runtime
from .jobs import UNSENT_STATES, Job

# How long a blocking call waits for a server that does not answer, and for one that loads its model first.
PATIENCE_S = 15.0
START_PATIENCE_S = 300.0


def wait_for_server() -> None:
    """Tick until the server answers.

    Raises:
        ServerUnreachable: It did not within `PATIENCE_S`, or whatever stands in the way.
    """
    deadline = time.monotonic() + PATIENCE_S
    current = runtime.session()
    if not current.connected and not current.busy:
        current.reconnect()  # what stood in the way a while ago may be gone
    while True:
        runtime.tick()
        if current.connected:
            return
        if current.problem is not None:
            raise current.problem
        if time.monotonic() > deadline:
            raise ServerUnreachable(
                "the server does not answer", remedy="check that it runs: `threedimo doctor`"
            )
        time.sleep(0.01)


def wait_for_own_server() -> None:
    """Tick until the server that was started here answers.

    Raises:
        ServerUnreachable: It ended, or did not answer within `START_PATIENCE_S`.
    """
    deadline = time.monotonic() + START_PATIENCE_S
    while not runtime.session().connected:
        runtime.tick()
        if runtime.local_server.problem is not None:
            raise runtime.local_server.problem
        if time.monotonic() > deadline:
            raise ServerUnreachable(
                "the server was started and does not answer", remedy="run `threedimo doctor`"
            )
        time.sleep(0.05)


def wait_for_jobs(jobs: list[Job], *, sent: bool = False) -> None:
    """Tick until these jobs have ended, or, with `sent`, until the server has them.

    Raises:
        ServerUnreachable: The server was away for longer than `PATIENCE_S`.
    """
    heard_at = time.monotonic()
    while not all(job.ended or (sent and job.state not in UNSENT_STATES) for job in jobs):
        runtime.tick()
        current = runtime.session()
        if current.connected or current.working:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > PATIENCE_S:
            raise current.problem or ServerUnreachable("the server does not answer")
        time.sleep(0.01)
