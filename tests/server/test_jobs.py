"""The queue's rules: order, idempotence, epochs, losses; and a kill at any moment."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from threedimo.errors import (
    InvalidModel,
    InvalidRequest,
    NoSpace,
    ServerBusy,
    ServerError,
    StorageError,
    UnknownJob,
)
from threedimo.wire.messages import Asset, Footage, GenerateRequest, ResultFile, ResultInfo
from threedimo_server.job_database import JobDatabase
from threedimo_server.jobs import MAX_LOSSES, Claim, JobQueue

ASSET = Asset(hash="0" * 64, size=1, name="a.png")
REQUEST = GenerateRequest(reference_image=ASSET, driving_footage=Footage(files=[ASSET]))
FILES = [ResultFile(name="video.mp4", size=3, hash="1" * 64)]
INFO = ResultInfo(
    num_frames=5,
    width=32,
    height=32,
    fps=8.0,
    seed=0,
    text="",
    model_id="tiny",
    num_inference_steps=2,
    text_guidance_scale=1.0,
    motion_guidance_scale=1.0,
    seconds={"denoising": 1.0},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def queue(path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(path)
    yield queue
    queue.close()


def submit(queue: JobQueue, **options: int) -> str:
    job_id = str(uuid.uuid4())
    queue.submit(job_id, REQUEST, b"camera", **options)
    return job_id


def claim(queue: JobQueue) -> Claim:
    claimed = queue.claim()
    assert claimed is not None
    return claimed


def states(queue: JobQueue, job_id: str) -> list[str]:
    return [event.state for event in queue.replay(job_id, 0)]


def test_a_job_goes_through_its_states_and_keeps_its_result(queue: JobQueue) -> None:
    job_id = submit(queue)
    claimed = claim(queue)
    assert (claimed.job_id, claimed.epoch, claimed.request, claimed.camera) == (job_id, 1, REQUEST, b"camera")
    assert queue.result(job_id) is None
    assert queue.begin_publication(job_id, 1) is not None
    assert queue.publish(job_id, 1, FILES, INFO) is not None
    assert states(queue, job_id) == ["queued", "running", "publishing", "done"]
    assert queue.result(job_id) == (FILES, INFO)
    assert queue.is_over(job_id)


def test_higher_priority_goes_first_and_equals_in_order(queue: JobQueue) -> None:
    low, first, second, high = (submit(queue, priority=p) for p in (-1, 0, 0, 5))
    assert [claim(queue).job_id for _ in range(4)] == [high, first, second, low]
    assert queue.claim() is None


def test_a_submit_says_how_many_jobs_are_before_it(queue: JobQueue) -> None:
    submit(queue)
    submit(queue, priority=-5)
    job_id = str(uuid.uuid4())
    assert queue.submit(job_id, REQUEST, None).position == 1


def test_a_repeated_submit_is_the_same_job(queue: JobQueue) -> None:
    job_id = str(uuid.uuid4())
    first = queue.submit(job_id, REQUEST, b"camera")
    again = queue.submit(job_id, REQUEST, b"camera")
    assert first.is_new
    assert (again.seq, again.is_new) == (first.seq, False)
    assert states(queue, job_id) == ["queued"]


@pytest.mark.parametrize(
    ("request_", "camera"),
    [
        (GenerateRequest(reference_image=ASSET, driving_footage=Footage(files=[ASSET]), seed=1), b"camera"),
        (REQUEST, b"another"),
        (REQUEST, None),
    ],
)
def test_the_same_id_with_another_request_is_refused(
    queue: JobQueue, request_: GenerateRequest, camera: bytes | None
) -> None:
    job_id = submit(queue)
    with pytest.raises(InvalidRequest, match="another request"):
        queue.submit(job_id, request_, camera)


def test_a_full_queue_refuses_but_still_knows_its_jobs(path: Path) -> None:
    queue = JobQueue(path, max_queued=1)
    job_id = submit(queue)
    with pytest.raises(ServerBusy, match="1 jobs wait"):
        submit(queue)
    assert not queue.submit(job_id, REQUEST, b"camera").is_new
    queue.close()


def test_a_ghost_of_an_older_epoch_changes_nothing(queue: JobQueue) -> None:
    job_id = submit(queue)
    claim(queue)
    queue.lose(job_id, 1, "killed")
    assert claim(queue).epoch == 2
    assert queue.begin_publication(job_id, 1) is None
    assert queue.fail(job_id, 1, InvalidModel("x")) is None
    assert queue.lose(job_id, 1, "killed") is None
    assert queue.release(job_id, 1) is None
    assert queue.begin_publication(job_id, 2) is not None
    assert queue.publish(job_id, 1, FILES, INFO) is None
    assert queue.publish(job_id, 2, FILES, INFO) is not None
    assert queue.publish(job_id, 2, FILES, INFO) is None
    assert states(queue, job_id).count("done") == 1


def test_a_job_that_loses_three_workers_fails(queue: JobQueue) -> None:
    job_id = submit(queue)
    for _ in range(MAX_LOSSES):
        queue.lose(job_id, claim(queue).epoch, "signal 9")
    last = queue.replay(job_id, 0)[-1]
    assert (last.state, last.error_code, last.retryable) == ("failed", "job.worker_lost", True)
    assert "3 times" in last.error_message
    assert queue.claim() is None


def test_a_server_that_takes_a_job_back_does_not_blame_it(queue: JobQueue) -> None:
    job_id = submit(queue)
    for _ in range(MAX_LOSSES + 1):
        queue.release(job_id, claim(queue).epoch)
    assert claim(queue).job_id == job_id


def test_cancel_of_a_queued_job_ends_it_at_once(queue: JobQueue) -> None:
    job_id = submit(queue)
    event = queue.cancel(job_id)
    assert event is not None
    assert (event.state, event.error_code) == ("cancelled", "job.cancelled")
    assert queue.claim() is None
    assert queue.cancel(job_id) == event


def test_cancel_of_a_running_job_wins_over_everything_that_follows(queue: JobQueue) -> None:
    endings: list[Callable[[str], object]] = [
        lambda job_id: queue.begin_publication(job_id, 1),
        lambda job_id: queue.fail(job_id, 1, InvalidModel("x")),
        lambda job_id: queue.lose(job_id, 1, "killed"),
        lambda job_id: queue.release(job_id, 1),
    ]
    for end in endings:
        job_id = submit(queue)
        claim(queue)
        assert queue.cancel(job_id) is None
        end(job_id)
        assert states(queue, job_id) == ["queued", "running", "cancelled"]


def test_a_failure_keeps_code_and_sentence(queue: JobQueue) -> None:
    job_id = submit(queue)
    claim(queue)
    queue.fail(job_id, 1, InvalidModel("the weights are damaged"))
    [summary] = queue.list_jobs(10)
    assert (summary.state, summary.error_code) == ("failed", "model.invalid")
    assert summary.error_message == "the weights are damaged."


def test_waiting_jobs_can_all_be_failed(queue: JobQueue) -> None:
    running = submit(queue)
    claim(queue)
    waiting = [submit(queue), submit(queue)]
    assert [event.job_id for event in queue.fail_waiting(InvalidModel("x"))] == waiting
    assert not queue.is_over(running)


def test_events_have_growing_numbers_and_can_be_replayed_from_any(queue: JobQueue) -> None:
    first, second = submit(queue), submit(queue)
    claim(queue)
    numbers = [event.seq for job_id in (first, second) for event in queue.replay(job_id, 0)]
    assert len(set(numbers)) == 3
    events = queue.replay(first, 0)
    assert queue.replay(first, events[0].seq) == events[1:]
    assert queue.replay(first, 0, limit=1) == events[:1]


def test_the_list_is_newest_first(queue: JobQueue) -> None:
    job_ids = [submit(queue) for _ in range(3)]
    assert [summary.job_id for summary in queue.list_jobs(2)] == [job_ids[2], job_ids[1]]


def test_unknown_jobs_are_refused(queue: JobQueue) -> None:
    unknown = str(uuid.uuid4())
    for ask in (queue.cancel, queue.result, queue.is_over, lambda job_id: queue.replay(job_id, 0)):
        with pytest.raises(UnknownJob, match=unknown):
            ask(unknown)


def test_old_jobs_are_forgotten_but_not_unfinished_ones(queue: JobQueue) -> None:
    done, waiting = submit(queue), submit(queue)
    queue.fail(done, claim(queue).epoch, InvalidModel("x"))
    assert queue.records.ended_before(0.0) == []
    assert queue.records.ended_before(2e9) == [done]
    queue.records.forget([done])
    assert not queue.knows(done)
    assert queue.knows(waiting)
    last_seq = queue.replay(waiting, 0)[-1].seq
    assert queue.submit(str(uuid.uuid4()), REQUEST, None).seq > last_seq


def test_the_oldest_results_make_room(queue: JobQueue) -> None:
    done = []
    for size in (10, 20, 30):
        job_id = submit(queue)
        done.append(job_id)
        epoch = claim(queue).epoch
        queue.begin_publication(job_id, epoch)
        queue.publish(job_id, epoch, [ResultFile(name="a.png", size=size, hash="1" * 64)] * 2, INFO)
    waiting = submit(queue)
    assert queue.records.beyond(120) == []
    assert queue.records.beyond(119) == [done[0]]
    queue.records.forget([done[0]])
    assert not queue.knows(done[0])
    assert queue.result(done[2]) is not None
    assert queue.records.beyond(59) == [done[2], done[1]]
    queue.records.forget([done[2], done[1]])
    assert queue.knows(waiting)
    assert queue.records.beyond(1) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import msgspec
from threedimo.wire.messages import GenerateRequest
from threedimo_server.jobs import JobQueue
queue = JobQueue(Path(sys.argv[1]))
request = msgspec.json.decode(sys.argv[2], type=GenerateRequest)
ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)]
for job_id in ids:
    queue.submit(job_id, request, None)
for _ in range(3):
    queue.claim()
queue.begin_publication(ids[1], 1)
queue.cancel(ids[2])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_kill_9_the_work_of_the_dead_server_waits_again(path: Path) -> None:
    import msgspec

    program = [sys.executable, "-c", KILLED, str(path), msgspec.json.encode(REQUEST).decode()]
    assert subprocess.run(program, timeout=20).returncode == -9
    queue = JobQueue(path)
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)]
    assert states(queue, ids[0]) == ["queued", "running", "queued"]
    assert states(queue, ids[1]) == ["queued", "running", "publishing", "queued"]
    assert states(queue, ids[2]) == ["queued", "running", "cancelled"]
    assert states(queue, ids[3]) == ["queued"]
    claimed = claim(queue)
    assert (claimed.job_id, claimed.epoch) == (ids[0], 2)
    queue.close()


def test_two_servers_cannot_share_a_queue(queue: JobQueue, path: Path) -> None:
    with pytest.raises(ServerError, match="another server"):
        JobQueue(path)


def test_a_queue_of_a_newer_version_is_left_alone(path: Path) -> None:
    database = JobDatabase(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StorageError, match="newer version"):
        JobQueue(path)


def test_a_queue_that_cannot_be_opened_is_a_storage_error(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="the queue cannot be opened") as damaged:
        JobDatabase(path)
    assert str(path) in str(damaged.value)
    with pytest.raises(StorageError, match="the queue cannot be opened"):
        JobDatabase(path.parent)


def test_a_full_disk_at_the_start_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite's own limit of pages fails with the very code of a full disk.
    monkeypatch.setattr(
        "threedimo_server.job_database._SCHEMA", "PRAGMA max_page_count=1; CREATE TABLE t (a);"
    )
    with pytest.raises(NoSpace, match="the disk is full"):
        JobDatabase(path)
