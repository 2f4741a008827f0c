"""A worker of a Ray cluster as it is seen from the command: what it was told to do, and what came of that."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from threedimo.errors import JobFailed, ServerUnreachable, ThreeDimoError, WorkerLost
from threedimo_server.ray_cluster import RayCluster
from threedimo_server.served_models import ModelChoice
from threedimo_server.shot_maker import ShotMaker, ShotOrder, Step

if TYPE_CHECKING:
    from ray import ObjectRef

MAX_TRIES = 3
_ASIDE = "aside"


class ActorLost(Exception):
    """Ray could not bring an actor back often enough."""

    def as_error(self) -> WorkerLost:
        """What is told of the shot that it was making."""
        return WorkerLost(
            f"the Ray worker of the shot was lost, up to {MAX_TRIES} times",
            given=self.__cause__.__class__.__name__,
            remedy="see `ray status`; the same command makes what is missing",
        )


class RayWorker:
    """A `ShotMaker` in an actor of its own, which starts at once and may wait for room in the cluster.

    Ray replaces it when it is lost, without end, because what it does is tried `MAX_TRIES` times only.

    Args:
        cluster: Where.
        choice: The model.
        batch_id: A UUID of the run of the command.

    Attributes:
        task: What it does now; ready when it has ended.
        shot: Name of the shot that it makes; None while it starts or closes.
        closing: Whether nothing more is wanted of it.
        has_answered: Whether the cluster ever had room for it.
    """

    task: ObjectRef[Any]

    def __init__(self, cluster: RayCluster, choice: ModelChoice, batch_id: str):
        import ray

        remote: Any = ray.remote  # whose types know no concurrency groups
        actor = remote(
            num_cpus=cluster.resources["CPU"],
            num_gpus=cluster.resources.get("GPU", 0),
            max_restarts=-1,
            # of the whole actor: with that of a call alone, Ray spends all tries while one restart lasts
            max_task_retries=MAX_TRIES - 1,
            concurrency_groups={_ASIDE: 2},
        )(ShotMaker)
        self._maker: Any = actor.remote(choice, batch_id, cluster.scratch)
        self.shot: str | None = None
        self.closing = self.has_answered = False
        self._seen: ObjectRef[Step | None] | None = None
        self.begin()

    def begin(self) -> None:
        """Let it start its server; the answer is what the model makes."""
        self.shot, self.task = None, self._maker.model.remote()

    def make(self, order: ShotOrder, files: dict[str, ObjectRef[bytes]]) -> None:
        """Let it make a shot; the answer is a `MadeShot`."""
        call = self._maker.make.options(retry_exceptions=[ServerUnreachable])
        self.shot, self.task, self._seen = order.name, call.remote(order, files), None

    def close(self) -> None:
        """Let it end its server and delete what that wrote, whatever it does now."""
        if not self.closing:
            self.closing = True
            call = self._maker.close.options(concurrency_group=_ASIDE, max_task_retries=0)
            self.shot, self.task = None, call.remote()

    def kill(self) -> None:
        """End its process at once; Ray does not replace it."""
        import ray

        ray.kill(self._maker)

    def answer(self) -> Any:
        """What the task returned; waits for it.

        Raises:
            ActorLost: It died or could not be reached, too often.
            JobFailed: It met an error that nobody expected.
            ThreeDimoError: What the task raised.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = ray.get(self.task)
        except RayTaskError as error:
            self.has_answered = True
            if isinstance(error.cause, ThreeDimoError):
                raise error.cause from error
            raise JobFailed(
                "a Ray worker met an unexpected error",
                given=f"{type(error.cause).__name__}: {error.cause}",
                remedy="read the worker's log on its machine",
            ) from error
        except RayError as error:
            raise ActorLost from error
        self.has_answered = True
        return answer

    def look(self) -> Step | None:
        """How far the shot was when this was asked last; asks again, and never waits."""
        import ray
        from ray.exceptions import RayError

        step = None
        if self._seen is not None:
            if not ray.wait([self._seen], timeout=0)[0]:
                return None
            with suppress(RayError):  # it is being replaced
                step = ray.get(self._seen)
        seen = self._maker.seen.options(concurrency_group=_ASIDE, max_task_retries=0)
        self._seen = seen.remote(self.shot)
        return step
