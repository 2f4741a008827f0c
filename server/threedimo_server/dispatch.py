"""From the queue to the workers and back: who makes which job, and what becomes of what they report."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from threedimo.errors import AssetMissing, ThreeDimoError, from_code
from threedimo.wire.assets import assets_of
from threedimo.wire.messages import Event, GenerateRequest, Preview, Progress
from threedimo_server.assets import AssetStore
from threedimo_server.followers import Followers
from threedimo_server.jobs import Claim, JobQueue
from threedimo_server.logs import for_job
from threedimo_server.request_rules import resolve_request
from threedimo_server.results import ResultStore
from threedimo_server.served_models import ServedModels
from threedimo_server.worker_link import (
    Work,
    WorkerMessage,
    WorkFailed,
    WorkFinished,
    WorkPreview,
    WorkProgress,
)
from threedimo_server.workers import Loss, Worker, WorkerPool

logger = logging.getLogger(__name__)


class Dispatcher:
    """Gives waiting jobs to idle workers, and publishes, fails or queues again what comes back.

    What became of a job is recorded in order. If the queue cannot be written, because the disk is full, it is
    kept in memory and `advance` tries again: no job is forgotten, and the worker goes on with nothing new.
    """

    def __init__(
        self,
        queue: JobQueue,
        assets: AssetStore,
        results: ResultStore,
        pool: WorkerPool,
        followers: Followers,
        models: ServedModels,
    ):
        self._queue = queue
        self._assets = assets
        self._results = results
        self._pool = pool
        self._followers = followers
        self._models = models
        self._failure_told = False
        self._stopping = False
        self._to_record: deque[Callable[[], None]] = deque()

    def receive(self) -> None:
        """Deal with everything that workers have reported."""
        for worker, message, body in self._pool.receive():
            self._take(worker, message, body)

    def advance(self) -> None:
        """Record what is still to be recorded, watch the workers, and start what can start.

        Raises:
            NoSpace: The queue cannot be written; call again later.
        """
        for loss in self._pool.watch():
            self._to_record.append(partial(self._give_up, loss))
        self._record()
        if self._stopping:
            return
        self._face_failure()
        while self._queue.num_waiting() and self._pool.some_idle:
            claim = self._queue.claim()
            if claim is not None:
                self._announce(claim.event)
                self._start(claim)
        self._record()

    def cancel(self, job_id: str) -> Event | None:
        """Stop a job: as `JobQueue.cancel`, and its worker is told."""
        event = self._queue.cancel(job_id)
        if event is None:
            self._pool.cancel(job_id)
        else:
            self._followers.announce(event)
        return event

    def stop(self) -> None:
        """Start nothing any more; end the workers. Their jobs are queued again by `advance`."""
        self._stopping = True
        self._pool.stop()

    def _record(self) -> None:
        while self._to_record:
            self._to_record[0]()
            self._to_record.popleft()

    def _face_failure(self) -> None:
        """If no worker could load the model, jobs end with the reason; a later job tries at once again."""
        if not self._pool.all_failed:
            self._failure_told = False
            return
        error = self._pool.workers[0].error
        if not self._failure_told and error is not None:
            self._failure_told = True
            logger.error("nothing can be made: no device can load the model, and jobs fail until one can")
            for event in self._queue.fail_waiting(error):
                self._announce(event)
        elif self._queue.num_waiting():
            self._pool.retry_failed()

    def _start(self, claim: Claim) -> None:
        try:
            request = resolve_request(claim.request, claim.camera, self._models.infos)
            require_assets(self._assets, request)
            work = Work(
                job_id=claim.job_id,
                epoch=claim.epoch,
                model=self._models.choices[request.model_id],
                request=request,
                reference_image=str(self._assets.path(request.reference_image.hash)),
                driving_footage=[str(self._assets.path(file.hash)) for file in request.driving_footage.files],
                folder=str(self._results.new_attempt(claim.job_id, claim.epoch)),
            )
        except ThreeDimoError as error:
            self._to_record.append(partial(self._fail, claim.job_id, claim.epoch, error))
            return
        self._pool.assign(work, claim.camera or b"")

    def _take(self, worker: Worker, message: WorkerMessage, body: bytes) -> None:
        match message:
            case WorkProgress() if worker.works_on(message.job_id, message.epoch):
                self._followers.tell(
                    Progress(
                        job_id=message.job_id,
                        phase=message.phase,
                        step=message.step,
                        num_steps=message.num_steps,
                        elapsed_s=message.elapsed_s,
                        eta_s=message.eta_s,
                    )
                )
            case WorkPreview() if worker.works_on(message.job_id, message.epoch):
                preview = Preview(job_id=message.job_id, step=message.step, frame_index=message.frame_index)
                self._followers.tell(preview, body)
            case WorkFinished() if worker.works_on(message.job_id, message.epoch):
                worker.rest()
                self._to_record.append(partial(self._begin_publication, message))
            case WorkFailed() if worker.works_on(message.job_id, message.epoch):
                worker.rest()
                error = from_code(message.code, message.message)
                self._to_record.append(partial(self._fail, message.job_id, message.epoch, error))
            case _:
                logger.warning("ignored %s of worker %s", type(message).__name__, worker.device)

    def _give_up(self, loss: Loss) -> None:
        self._results.discard_attempt(loss.job_id, loss.epoch)
        if self._stopping:
            self._announce(self._queue.release(loss.job_id, loss.epoch))
        else:
            self._announce(self._queue.lose(loss.job_id, loss.epoch, loss.reason))

    def _fail(self, job_id: str, epoch: int, error: ThreeDimoError) -> None:
        self._results.discard_attempt(job_id, epoch)
        self._announce(self._queue.fail(job_id, epoch, error))

    def _begin_publication(self, done: WorkFinished) -> None:
        event = self._queue.begin_publication(done.job_id, done.epoch)
        self._announce(event)
        if event is None or event.state != "publishing":
            self._results.discard_attempt(done.job_id, done.epoch)
            return
        # A step of its own: what is recorded already must not be tried again with it.
        self._to_record.append(partial(self._publish, done))

    def _publish(self, done: WorkFinished) -> None:
        try:
            self._results.publish_attempt(done.job_id, done.epoch)
        except ThreeDimoError as error:
            logger.exception("cannot be published", extra=for_job(done.job_id))
            self._to_record.append(partial(self._fail, done.job_id, done.epoch, error))
            return
        self._to_record.append(partial(self._record_result, done))

    def _record_result(self, done: WorkFinished) -> None:
        self._announce(self._queue.publish(done.job_id, done.epoch, done.files, done.info))

    def _announce(self, event: Event | None) -> None:
        if event is not None:
            self._followers.announce(event)


def require_assets(store: AssetStore, request: GenerateRequest) -> None:
    """Refuse a request whose files are not all there.

    Raises:
        AssetMissing: Names the first that is missing.
    """
    missing = [asset for asset in assets_of(request).values() if not store.holds(asset.hash)]
    if missing:
        raise AssetMissing(
            f"the server does not hold {len(missing)} of the request's files",
            given=missing[0].name or missing[0].hash[:12],
            remedy="upload them, then submit again",
        )
