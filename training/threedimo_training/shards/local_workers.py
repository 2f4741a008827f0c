"""Shards made by processes of this machine.

Notable: workers are spawned, not forked (threads and CUDA do not survive a fork); each uses one thread; on
Ctrl-C they end after the sample at hand; and when the parent is killed they end at once, so that a run that
resumes finds no strangers at work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

from threedimo.environment import environment
from threedimo.errors import DataError
from threedimo_training.shards.index import ShardEntry
from threedimo_training.shards.shard_task import ONE_THREAD, ShardTask

_POLL_S = 0.5

_stop: Event
_drawn: Synchronized[int]


class _Stopped(Exception):
    """The run ends; the shard at hand is not finished."""


def run_in_processes(
    tasks: Iterable[ShardTask], workers: int, drawn: Callable[[int], None]
) -> Generator[ShardEntry]:
    """Make shards in parallel, giving each entry as it is finished, in any order.

    Args:
        tasks: What to make.
        workers: Processes.
        drawn: Called about twice a second with the number of samples drawn so far.

    Raises:
        ThreeDimoError: What making a shard raised; the other workers are stopped first.
        DataError: A worker died.
    """
    context = multiprocessing.get_context("spawn")
    stop, counter = context.Event(), context.Value("q", 0)
    with environment(ONE_THREAD):
        pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, counter))
        pending: set[Future[ShardEntry]] = {pool.submit(_make, task) for task in tasks}
        try:
            while pending:
                finished, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                drawn(counter.value)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a render process died",
                remedy="if memory ran out, use fewer workers; the same command goes on with the shards "
                "that are missing",
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(stop: Event, counter: Synchronized[int]) -> None:
    """Prepare a worker."""
    global _stop, _drawn
    _stop, _drawn = stop, counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and sets `stop`
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(task: ShardTask) -> ShardEntry:
    _check_stop()
    return task.run(_count)


def _count() -> None:
    with _drawn.get_lock():
        _drawn.value += 1
    _check_stop()


def _check_stop() -> None:
    if _stop.is_set():
        raise _Stopped
