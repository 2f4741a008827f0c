# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes long, in a thread that comes and goes, so that Blender can be alone. No bpy here.

While an operator runs, Blender lets go of Python's lock. In an overridden context (`temp_override`) it reads
Python's objects all the same, and takes any thread that holds the lock for itself: memory is spoilt, and
Blender crashes there or later (seen in 4.2, 4.5 and 5.0). So no thread may run Python then, not even to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread


class FileWork:
    """Calls that run one after the other in a thread. Used from Blender's main thread only.

    A thread begins in `go_on` alone, which the heartbeat calls: an operator that hands in a call and returns
    has started none.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[object], Callable[[], object]]] = deque()
        self._thread: Thread | None = None
        self._held = False

    def submit(self, call: Callable[[], object]) -> Future[object]:
        """Hand in a call, to be made after those that wait already."""
        future: Future[object] = Future()
        self._waiting.append((future, call))
        return future

    def go_on(self) -> None:
        """Begin with what waits, unless held."""
        if self._waiting and not self._held and not self._runs():
            self._thread = Thread(target=self._make_calls, name="threedimo-files")
            self._thread.start()

    def hold(self) -> bool:
        """Begin no further call until `release`; returns whether the thread is gone by now."""
        self._held = True
        return not self._runs()

    def wait(self) -> None:
        """Hold, and wait until the call that is being made is done and the thread gone."""
        self._held = True
        if self._thread is not None:
            self._thread.join()

    def release(self) -> None:
        """Let `go_on` begin again."""
        self._held = False

    def close(self) -> None:
        """Drop what waits, and wait for the call that is being made."""
        while self._waiting:
            self._waiting.popleft()[0].cancel()
        self.wait()

    def _runs(self) -> bool:
        # A thread counts as alive until Python has let go of its state: afterwards it runs nothing any more.
        return self._thread is not None and self._thread.is_alive()

    def _make_calls(self) -> None:
        while self._waiting and not self._held:
            future, call = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # it is raised again where the result is asked for
                future.set_exception(error)
