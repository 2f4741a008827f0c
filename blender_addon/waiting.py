# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocking form of the operators, for scripts: tick until something has happened.

Afterwards no thread of this extension runs: a script may have overridden the context (`file_work`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from threedimo.errors import ServerUnreachable

from . import runtime
from .jobs import UNSENT_STATES, Job

# How long a blocking call waits for a server that does not answer, and for one that loads its model first.
PATIENCE_S = 15.0
START_PATIENCE_S = 300.0
INTERVAL_S = 0.01


def wait_for_server() -> None:
    """Tick until the server answers.

    Raises:
        ServerUnreachable: It did not within `PATIENCE_S`, or whatever stands in the way.
    """
    deadline = time.monotonic() + PATIENCE_S
    current = runtime.session()
    if not current.connected and not current.busy:
        current.reconnect()  # what stood in the way a while ago may be gone

    def answers() -> bool:
        if current.connected:
            return True
        if current.problem is not None:
            raise current.problem
        if time.monotonic() > deadline:
            raise ServerUnreachable(
                "the server does not answer", remedy="check that it runs: `threedimo doctor`"
            )
        return False

    _tick_until(answers)


def wait_for_own_server() -> None:
    """Tick until the server that was started here answers.

    Raises:
        ServerUnreachable: It ended, or did not answer within `START_PATIENCE_S`.
    """
    deadline = time.monotonic() + START_PATIENCE_S

    def answers() -> bool:
        if runtime.session().connected:
            return True
        if runtime.local_server.problem is not None:
            raise runtime.local_server.problem
        if time.monotonic() > deadline:
            raise ServerUnreachable(
                "the server was started and does not answer", remedy="run `threedimo doctor`"
            )
        return False

    _tick_until(answers)


def wait_for_jobs(jobs: list[Job], *, sent: bool = False) -> None:
    """Tick until these jobs have ended, or, with `sent`, until the server has them.

    Raises:
        ServerUnreachable: The server was away for longer than `PATIENCE_S`.
    """
    heard_at = time.monotonic()

    def ended() -> bool:
        nonlocal heard_at
        if all(job.ended or (sent and job.state not in UNSENT_STATES) for job in jobs):
            return True
        current = runtime.session()
        if current.connected or current.working:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > PATIENCE_S:
            raise current.problem or ServerUnreachable("the server does not answer")
        return False

    _tick_until(ended)


def _tick_until(done: Callable[[], bool]) -> None:
    try:
        runtime.tick()
        while not done():
            time.sleep(INTERVAL_S)
            runtime.tick()
    finally:
        runtime.settle()
