"""Shards made by the Ray cluster that the variable `RAY_ADDRESS` names, or by Ray on this machine alone.

The output folder must be the same for all machines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from threedimo.errors import DataError, InvalidRequest
from threedimo.local_ray import loopback_environment, named_cluster, start_ray
from threedimo_training.shards.index import ShardEntry
from threedimo_training.shards.shard_task import ONE_THREAD, ShardTask

if TYPE_CHECKING:
    from ray import ObjectRef  # pyright: ignore[reportMissingImports]


def run_with_ray(
    tasks: Iterable[ShardTask], workers: int, drawn: Callable[[int], None]
) -> Generator[ShardEntry]:
    """Make shards in parallel, giving each entry as it is finished, in any order.

    Args:
        tasks: What to make.
        workers: How many shards are made at a time, over all machines.
        drawn: Called with the number of samples of finished shards.

    Raises:
        ThreeDimoError: What making a shard raised; the other tasks are cancelled first.
        DataError: A worker died.
        ServerUnreachable: Ray cannot be started.
        InvalidRequest: Ray is not installed.
    """
    with ExitStack() as stack:
        address = named_cluster()
        if address is None:
            stack.enter_context(loopback_environment())
        try:
            import ray  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise InvalidRequest(
                "Ray is not installed", remedy="pip install 'threedimo-training[ray]', or render without Ray"
            ) from error
        if not ray.is_initialized():
            stack.callback(ray.shutdown, wait_for_processes=True)
            environment: dict[str, Any] = {"env_vars": ONE_THREAD}
            if address is None:
                start_ray(ray, runtime_env=environment)
            else:
                ray.init(address=address, runtime_env=environment, log_to_driver=False)
        yield from _run(ray, tasks, workers, drawn)


def _run(
    ray: Any, tasks: Iterable[ShardTask], workers: int, drawn: Callable[[int], None]
) -> Generator[ShardEntry]:
    # not retried: a shard is remade by the next call, and what failed once should be seen
    make = ray.remote(num_cpus=1, max_retries=0)(_make)
    waiting, running, num_drawn = iter(tasks), [], 0
    try:
        while True:
            running += [make.remote(task) for task in islice(waiting, workers - len(running))]
            if not running:
                return
            finished, running = ray.wait(running)
            entry = _result(finished[0])
            num_drawn += entry.samples
            drawn(num_drawn)
            yield entry
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _make(task: ShardTask) -> ShardEntry:
    return task.run(lambda: None)


def _result(reference: ObjectRef) -> ShardEntry:
    """The entry, or the error as the task raised it."""
    import ray  # pyright: ignore[reportMissingImports]
    from ray.exceptions import RayTaskError, WorkerCrashedError  # pyright: ignore[reportMissingImports]

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except WorkerCrashedError as error:
        raise DataError(
            "a render process died",
            remedy="if memory ran out, use fewer workers; the same command goes on with the shards that are "
            "missing",
        ) from error
