"""A client that does not read: nothing piles up for it, nobody waits for it, and it misses no event."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from threedimo.errors import LimitExceeded
from threedimo.wire.codec import decode_server
from threedimo.wire.messages import (
    Asset,
    Event,
    Fetch,
    Footage,
    GenerateRequest,
    Limits,
    Pong,
    Preview,
    ResultFile,
)
from threedimo_server.doors import Door
from threedimo_server.downloads import MAX_FETCHES, Downloads
from threedimo_server.followers import Followers
from threedimo_server.jobs import JobQueue
from threedimo_server.results import ResultStore

ASSET = Asset(hash="0" * 64, size=1, name="a.png")
REQUEST = GenerateRequest(reference_image=ASSET, driving_footage=Footage(files=[ASSET]))


class Slow:
    """A door with one client that reads only when told to."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.door = Door("control", "127.0.0.1", None, limits=Limits(), queue_length=4)
        self.door.open(self.context)
        self.client = self.context.socket(zmq.DEALER)
        self.client.setsockopt(zmq.RCVHWM, 4)
        self.client.connect(self.door.endpoint)
        self.client.send(b"hello")
        self.door.socket.poll(5000)
        [letter] = list(self.door.receive(1))
        self.name = letter.sender
        self.door.admit(letter, "slow")

    def fill(self) -> int:
        """Send until nothing more is taken, also after the system's own buffers had time to fill."""
        preview = Preview(job_id=str(uuid.uuid4()), step=1, frame_index=0)
        num_sent, num_refused = 0, 0
        while num_refused < 10:
            if self.door.offer(self.name, preview, bytes(1_000_000)):
                num_sent, num_refused = num_sent + 1, 0
                assert num_sent < 1000, "the queue has no end"
            else:
                num_refused += 1
                time.sleep(0.03)
        return num_sent

    def read(self) -> Any:
        assert self.client.poll(5000)
        return decode_server(self.client.recv_multipart())[0]


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.context.destroy(linger=0)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(tmp_path / "jobs.sqlite")
    yield queue
    queue.close()


def test_events_wait_in_the_queue_for_a_client_that_does_not_read(
    slow: Slow, queue: JobQueue, wait: Callable[..., None]
) -> None:
    followers = Followers(slow.door, queue)
    job_id = str(uuid.uuid4())
    queue.submit(job_id, REQUEST, None)
    num_before = slow.fill()
    followers.add(job_id, slow.name, 0)
    for _ in range(20):
        claimed = queue.claim()
        assert claimed is not None
        followers.announce(claimed.event)
        released = queue.release(job_id, claimed.epoch)
        assert released is not None
        followers.announce(released)
    assert followers.some_behind
    for _ in range(num_before):
        assert isinstance(slow.read(), Preview)
    expected = queue.replay(job_id, 0)
    heard: list[Event] = []

    def all_heard() -> bool:
        followers.catch_up()
        while slow.client.poll(10):
            heard.append(slow.read())
        return not followers.some_behind

    wait(all_heard)
    assert heard == expected


def test_whoever_does_not_read_its_answers_is_forgotten(slow: Slow) -> None:
    slow.fill()
    slow.door.reply(slow.name, Pong())
    assert not slow.door.knows(slow.name)


def test_whoever_is_silent_is_forgotten(slow: Slow) -> None:
    slow.door.forget_silent(60.0)
    assert slow.door.knows(slow.name)
    slow.door.forget_silent(0.0)
    assert not slow.door.knows(slow.name)


def test_whoever_is_gone_is_forgotten(slow: Slow, wait: Callable[..., None]) -> None:
    slow.client.close(linger=0)

    def forgotten() -> bool:
        slow.door.offer(slow.name, Pong())
        return not slow.door.knows(slow.name)

    wait(forgotten)


def test_only_the_chunks_of_the_credit_are_sent(slow: Slow, tmp_path: Path) -> None:
    results = ResultStore(tmp_path / "results", reserve_bytes=0)
    job_id = str(uuid.uuid4())
    (results.new_attempt(job_id, 1) / "video.mp4").write_bytes(bytes(range(250)))
    results.publish_attempt(job_id, 1)
    file = ResultFile(name="video.mp4", size=250, hash="0" * 64)
    downloads = Downloads(slow.door, results, chunk_bytes=100)

    downloads.grant(slow.name, Fetch(id=5, job_id=job_id, name="video.mp4", offset=50, credit=1), file)
    while downloads.some_waiting:
        downloads.send_some()
    chunk = slow.read()
    assert (chunk.reply_to, chunk.offset, chunk.last) == (5, 50, False)
    assert slow.client.poll(100) == 0

    downloads.grant(slow.name, Fetch(id=6, job_id=job_id, name="video.mp4", offset=150, credit=8), file)
    while downloads.some_waiting:
        downloads.send_some()
    chunk = slow.read()
    assert (chunk.reply_to, chunk.offset, chunk.last) == (6, 150, True)
    assert slow.client.poll(100) == 0


def test_fetches_that_nobody_takes_are_bounded(slow: Slow, tmp_path: Path) -> None:
    downloads = Downloads(slow.door, ResultStore(tmp_path, reserve_bytes=0), chunk_bytes=100)
    fetch = Fetch(job_id=str(uuid.uuid4()), name="video.mp4")
    file = ResultFile(name="video.mp4", size=250, hash="0" * 64)
    for _ in range(MAX_FETCHES):
        downloads.grant(slow.name, fetch, file)
    with pytest.raises(LimitExceeded, match="fetches"):
        downloads.grant(slow.name, fetch, file)
