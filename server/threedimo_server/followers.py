"""Who follows which job. Events are pulled from the queue's table, so nothing piles up for a slow follower.

A follower that cannot take an event now is remembered as behind, with the number of the last event that it
got, and is tried again. Progress and previews of that moment are simply not sent: the latest wins.
"""

from __future__ import annotations

import logging

from threedimo.errors import ThreeDimoError
from threedimo.wire.codec import Buffer
from threedimo.wire.messages import ErrorReply, Event, Preview, Progress, Result
from threedimo_server.doors import Door
from threedimo_server.jobs import JobQueue
from threedimo_server.logs import for_job

logger = logging.getLogger(__name__)


class Followers:
    """Subscriptions of the clients at the control door.

    Args:
        door: The control door.
        queue: Where events and results are.
    """

    def __init__(self, door: Door, queue: JobQueue):
        self._door = door
        self._queue = queue
        self._last_seq: dict[str, dict[bytes, int]] = {}
        self._behind: set[tuple[str, bytes]] = set()

    @property
    def some_behind(self) -> bool:
        """Whether `catch_up` has something to do."""
        return bool(self._behind)

    def add(self, job_id: str, follower: bytes, since_seq: int) -> None:
        """Send the stored events after `since_seq`, then those that come, and the result.

        Raises:
            UnknownJob: No job has this id.
        """
        self._queue.is_over(job_id)
        self._last_seq.setdefault(job_id, {})[follower] = since_seq
        self._advance(job_id, follower)

    def announce(self, event: Event) -> None:
        """A job reached a state."""
        logger.info("%s %s", event.state, event.error_message, extra=for_job(event.job_id))
        for follower in list(self._last_seq.get(event.job_id, ())):
            self._advance(event.job_id, follower)

    def tell(self, message: Progress | Preview, body: Buffer | None = None) -> None:
        """Something that may be lost, to those who keep up."""
        for follower in list(self._last_seq.get(message.job_id, ())):
            if (message.job_id, follower) not in self._behind:
                self._door.offer(follower, message, body)

    def catch_up(self) -> None:
        """Try again those who could not take an event."""
        for job_id, follower in list(self._behind):
            self._advance(job_id, follower)

    def drop_unknown(self) -> None:
        """End the subscriptions of clients that the door has forgotten."""
        for job_id, followers in list(self._last_seq.items()):
            for follower in list(followers):
                if not self._door.knows(follower):
                    self._end(job_id, follower)

    def _advance(self, job_id: str, follower: bytes) -> None:
        try:
            if not self._send_rest(job_id, follower) and self._door.knows(follower):
                self._behind.add((job_id, follower))
                return
        except ThreeDimoError as error:
            logger.exception("cannot be told", extra=for_job(job_id))
            self._door.offer(follower, ErrorReply(code=error.code, message=str(error)))
        self._behind.discard((job_id, follower))
        if not self._door.knows(follower) or self._queue.is_over(job_id):
            self._end(job_id, follower)

    def _send_rest(self, job_id: str, follower: bytes) -> bool:
        last_seq = self._last_seq[job_id]
        while events := self._queue.replay(job_id, last_seq[follower]):
            for event in events:
                if not self._door.offer(follower, event):
                    return False
                last_seq[follower] = event.seq
        result = self._queue.result(job_id)
        if result is None:
            return True
        files, info = result
        return self._door.offer(follower, Result(job_id=job_id, files=files, info=info))

    def _end(self, job_id: str, follower: bytes) -> None:
        self._behind.discard((job_id, follower))
        followers = self._last_seq.get(job_id, {})
        followers.pop(follower, None)
        if not followers:
            self._last_seq.pop(job_id, None)
