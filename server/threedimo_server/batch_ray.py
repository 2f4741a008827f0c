"""A batch made by the GPUs of a Ray cluster: one worker on each, one shot at a time.

Notable: Ray itself replaces a worker that is lost and makes its shot again. This process deals out the shots
and alone writes results and the batch's book, so that the machines need to share no disk: files travel
through Ray's object store. A worker for which no shot is left is let go at once. Its GPU may be the one that
the replacement of a lost worker waits for.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threedimo.errors import AssetMissing, JobCancelled, ThreeDimoError
from threedimo.media.writing import storage_errors
from threedimo.model_info import EMBEDDED
from threedimo.wire.messages import ModelInfo
from threedimo_server.batch_ledger import BatchLedger
from threedimo_server.job_progress import JobProgress
from threedimo_server.ray_cluster import RayCluster, some_cluster
from threedimo_server.ray_worker import ActorLost, RayWorker
from threedimo_server.served_models import ModelChoice
from threedimo_server.shot_inputs import PreparedShot
from threedimo_server.shot_maker import MadeShot, ShotOrder

if TYPE_CHECKING:
    from ray import ObjectRef

_LOOK_INTERVAL_S = 0.5
_PATIENCE_S = 10.0
_CLOSE_LIMIT_S = 25.0
_CLOSE_LIMIT_UNSEEN_S = 2.0


@dataclass(frozen=True)
class RayEngine:
    """Workers with one model in a Ray cluster.

    Attributes:
        choice: The model.
        address: Of the cluster; None means `RAY_ADDRESS`, or Ray on this machine for this batch alone.
    """

    choice: ModelChoice
    address: str | None = None

    def expected_model(self) -> ModelInfo | None:
        """What will make the shots, where this machine has the model too.

        Raises:
            ModelError: The model cannot be used.
        """
        choice = self.choice
        places = [choice.model, choice.adapter, choice.lora and str(Path(choice.lora).parent)]
        if all(place in (None, EMBEDDED) or Path(place).is_dir() for place in places):
            return choice.info()
        return None

    @contextmanager
    def start(self, progress: JobProgress) -> Iterator[RayRun]:
        """Connect to the cluster and start the first worker.

        Raises:
            ServerError: There is no cluster, or the worker cannot start.
            InvalidRequest: Ray is not installed.
        """
        with some_cluster(self.address, progress) as cluster:
            run = RayRun(cluster, self.choice)
            try:
                run.meet(progress)
                yield run
            finally:
                run.close()


class RayRun:
    """A batch at a connected cluster.

    Args:
        cluster: Where.
        choice: The model.
    """

    model: ModelInfo

    def __init__(self, cluster: RayCluster, choice: ModelChoice):
        self._cluster, self._choice, self._batch_id = cluster, choice, str(uuid.uuid4())
        self._workers: list[RayWorker] = []
        self._waiting: deque[str] = deque()
        self._files = _SharedFiles(())

    def meet(self, progress: JobProgress) -> None:
        """Start the first worker and learn its model.

        Raises:
            ThreeDimoError: It cannot start.
        """
        import ray

        worker = self._hire()
        if not ray.wait([worker.task], timeout=_PATIENCE_S)[0]:
            needed = ", ".join(f"{number} {name}" for name, number in self._cluster.resources.items())
            progress.note(f"waiting until the cluster has room for a worker ({needed})")
        try:
            self.model = worker.answer()
        except ActorLost as lost:
            raise lost.as_error() from lost

    def make(self, ledger: BatchLedger) -> None:
        """Deal out the shots, and publish them as they come.

        Raises:
            ThreeDimoError: No worker can start.
        """
        import ray

        self._waiting = deque(ledger.left)
        self._files = _SharedFiles(ledger.prepared[name] for name in self._waiting)
        num_workers = min(self._cluster.num_workers, len(self._waiting))
        while len(self._workers) < num_workers:
            self._hire()
        ledger.progress.note(f"{_counted(len(self._waiting))} for up to {_counted(num_workers, 'worker')}")
        while ledger.left:
            tasks = {worker.task: worker for worker in self._workers}
            for task in ray.wait(list(tasks), timeout=_LOOK_INTERVAL_S)[0]:
                self._take(ledger, tasks[task])
            self._show(ledger.progress)

    def cancel(self, ledger: BatchLedger) -> JobCancelled:
        """Stop the workers."""
        self.close()
        return JobCancelled(
            f"interrupted; {_counted(len(ledger.left))} cancelled", remedy="the same command makes the rest"
        )

    def close(self) -> None:
        """Let every worker end its server and go; those that do not answer are killed."""
        import ray

        for worker in self._workers:
            worker.close()
        for has_answered, limit_s in ((True, _CLOSE_LIMIT_S), (False, _CLOSE_LIMIT_UNSEEN_S)):
            tasks = [worker.task for worker in self._workers if worker.has_answered == has_answered]
            if tasks:
                ray.wait(tasks, num_returns=len(tasks), timeout=limit_s)
        while self._workers:
            self._workers.pop().kill()

    def _hire(self) -> RayWorker:
        self._workers.append(RayWorker(self._cluster, self._choice, self._batch_id))
        return self._workers[-1]

    def _take(self, ledger: BatchLedger, worker: RayWorker) -> None:
        """Deal with the end of what a worker was doing, and give it something else to do."""
        name = worker.shot
        if worker.closing:
            self._dismiss(worker)
        elif name is None:
            self._welcome(ledger, worker)
        else:
            try:
                made: MadeShot = worker.answer()
            except ActorLost as lost:
                worker.begin()  # it gets a shot when it is there again
                self._fail(ledger, name, lost.as_error())
            except ThreeDimoError as error:
                self._employ(ledger, worker)
                self._fail(ledger, name, error)
            else:
                self._employ(ledger, worker)  # first, so that its GPU does not wait for this disk
                self._publish(ledger, name, made)

    def _welcome(self, ledger: BatchLedger, worker: RayWorker) -> None:
        """Employ a worker that was starting, or go on without it, unless it was the last one."""
        try:
            worker.answer()
        except (ActorLost, ThreeDimoError) as error:
            known = error.as_error() if isinstance(error, ActorLost) else error
            self._dismiss(worker)
            if all(each.closing for each in self._workers):
                raise known from error
            ledger.progress.note(f"a worker cannot start: {known}")
        else:
            self._employ(ledger, worker)

    def _dismiss(self, worker: RayWorker) -> None:
        worker.kill()
        self._workers.remove(worker)

    def _employ(self, ledger: BatchLedger, worker: RayWorker) -> None:
        """Give a worker the next shot, or let it go."""
        while self._waiting:
            name = self._waiting.popleft()
            shot = ledger.prepared[name]
            # a job that an earlier run has left on a server stays in the book, for that server
            before, is_same = ledger.job_before(name)
            ledger.enter({name: before if is_same else ""})
            try:
                files = self._files.put(shot)
            except ThreeDimoError as error:
                self._fail(ledger, name, error)
                continue
            worker.make(ShotOrder(name, shot.model, shot.request, shot.camera_numbers), files)
            return
        worker.close()

    def _publish(self, ledger: BatchLedger, name: str, made: MadeShot) -> None:
        self._files.drop(ledger.prepared[name])
        folder = ledger.workshop(name)
        try:
            with storage_errors(folder):
                made.write(folder)
        except ThreeDimoError as error:
            ledger.fail(name, error)
        else:
            ledger.arrive(name, made.info, folder)

    def _fail(self, ledger: BatchLedger, name: str, error: ThreeDimoError) -> None:
        self._files.drop(ledger.prepared[name])
        ledger.fail(name, error)

    def _show(self, progress: JobProgress) -> None:
        for worker in self._workers:
            step = None if worker.shot is None else worker.look()
            if step is not None:
                progress.step(f"{worker.shot} {step.phase}", step.step, step.num_steps, step.eta_s)


class _SharedFiles:
    """Input files in Ray's object store: each content once, as long as a shot is left that needs it.

    Args:
        shots: That will need files.
    """

    def __init__(self, shots: Iterable[PreparedShot]):
        self._needed = Counter(key for shot in shots for key in shot.sources)
        self._references: dict[str, ObjectRef[bytes]] = {}

    def put(self, shot: PreparedShot) -> dict[str, ObjectRef[bytes]]:
        """Where the content of a shot's files is, by their hashes.

        Raises:
            AssetMissing: A file is gone.
        """
        import ray

        for key, path in shot.sources.items():
            if key not in self._references:
                try:
                    self._references[key] = ray.put(path.read_bytes())
                except OSError as error:
                    raise AssetMissing(f"the file cannot be read: {error.strerror}", given=path) from error
        return {key: self._references[key] for key in shot.sources}

    def drop(self, shot: PreparedShot) -> None:
        """A shot needs its files no more."""
        self._needed.subtract(shot.sources.keys())
        for key in shot.sources:
            if not self._needed[key]:
                self._references.pop(key, None)


def _counted(number: int, what: str = "shot") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
