"""The connection itself: greeting, refusal, silence, loss, threads, and what is told about jobs."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from threedimo.errors import AccessRefused, InvalidRequest, ServerUnreachable, UnknownJob, VersionMismatch
from threedimo.wire import messages as wire
from threedimo.wire.client import (
    Accepted,
    Client,
    Connected,
    ConnectionLost,
    Event,
    Jobs,
    PreviewImage,
    Progress,
    Refused,
    Result,
    Timing,
)
from threedimo.wire.connection import ConnectionInfo


def test_both_sockets_are_greeted_and_capabilities_told(server, connect):
    watcher = connect()
    assert not watcher.client.connected
    assert watcher.client.capabilities is None
    connected = watcher.until(Connected)
    assert connected.capabilities.devices == ["cpu"] == watcher.client.capabilities.devices
    assert watcher.client.limits == server.limits
    assert watcher.client.connected
    assert {name for name, message in server.received if isinstance(message, wire.Hello)} == {
        "control",
        "data",
    }


def test_pump_does_not_wait(connect):
    watcher = connect()
    watcher.until(Connected)
    slowest = 0.0
    for _ in range(200):
        begun = time.perf_counter()
        watcher.client.pump()
        slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 0.1


def test_a_wrong_token_is_refused_for_good(server, connect):
    watcher = connect(ConnectionInfo(server.info.control, server.info.data, "guess"))
    refused = watcher.until(Refused)
    assert isinstance(refused.error, AccessRefused)
    assert refused.request == "connection"
    watcher.rest(0.3)
    hellos = server.count(wire.Hello)
    watcher.rest(0.5)
    assert server.count(wire.Hello) == hellos
    assert not watcher.client.connected


def test_a_server_of_another_version_is_refused(server, connect):
    server.versions = {7}
    assert isinstance(connect().until(Refused).error, VersionMismatch)


def test_a_connection_file_of_another_version_is_refused(connect):
    def find_server() -> ConnectionInfo:
        raise VersionMismatch("the server speaks version 2 of the protocol")

    assert isinstance(connect(find_server).until(Refused).error, VersionMismatch)


def test_no_server_is_told_once_and_found_when_it_comes(server, connect):
    server.stop()
    watcher = connect()
    watcher.until(ConnectionLost)
    watcher.rest(1.0)
    assert len(watcher.of(ConnectionLost)) == 1
    server.start()
    watcher.until(Connected)


def test_a_server_that_moved_is_found_again(server, connect):
    watcher = connect(lambda: server.info)
    watcher.until(Connected)
    server.stop()
    server.ports = {"control": 0, "data": 0}
    server.start()
    watcher.until(ConnectionLost)
    watcher.until(Connected)


def test_a_server_that_cannot_be_found_yet_is_waited_for(server, connect):
    answers = [ServerUnreachable("no server is running here")] * 2

    def find_server() -> ConnectionInfo:
        if answers:
            raise answers.pop()
        return server.info

    watcher = connect(find_server)
    assert "no server is running here" in watcher.until(ConnectionLost).reason
    watcher.until(Connected)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "nonsense://x", "tcp://256.1.1.1:x"])
def test_an_endpoint_that_cannot_be_used_is_told(connect, endpoint):
    watcher = connect(ConnectionInfo(endpoint, endpoint))
    assert "endpoint" in watcher.until(ConnectionLost).reason


def test_silence_is_a_loss_and_the_server_is_found_again(server, connect):
    watcher = connect()
    watcher.until(Connected)
    watcher.rest(1.2)
    assert watcher.of(ConnectionLost) == []  # Pings are answered: quiet is not silence.
    server.mute = True
    assert "not answered" in watcher.until(ConnectionLost).reason
    assert not watcher.client.connected
    server.mute = False
    watcher.until(Connected)


def test_a_silent_server_that_turns_out_to_have_ended_is_told_as_that(server, connect):
    ended = [False]

    def find_server() -> ConnectionInfo:
        if ended[0]:
            raise ServerUnreachable("the server has ended")
        return server.info

    watcher = connect(find_server)
    watcher.until(Connected)
    server.mute, ended[0] = True, True
    assert "not answered" in watcher.until(ConnectionLost).reason
    watcher.rest(1.0)
    assert [loss.reason for loss in watcher.of(ConnectionLost)][1:] == ["the server has ended."]


def test_a_program_that_did_not_pump_for_long_loses_nothing(connect):
    watcher = connect()
    watcher.until(Connected)
    time.sleep(1.2)
    watcher.rest(0.3)
    assert watcher.of(ConnectionLost) == []


def test_another_thread_is_turned_away_before_the_sockets(connect):
    watcher = connect()
    watcher.until(Connected)
    errors: list[Exception] = []

    def use() -> None:
        for call in (watcher.client.pump, watcher.client.close, watcher.client.list_jobs):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(errors) == 3
    assert all("thread that made it" in str(error) for error in errors)
    assert watcher.client.connected


def test_a_closed_client_says_so_and_takes_leave(server):
    client = Client(server.info, "a test")
    deadline = time.monotonic() + 5
    while not client.connected and time.monotonic() < deadline:
        client.wait(0.05)
        client.pump()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.pump()
    while server.count(wire.Bye) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_never_pumped_closes(server):
    Client(server.info, "a test").close()


def test_events_arrive_in_order_and_the_result_last(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    server.call(lambda: server.event(shot.job_id, "running"))
    server.call(lambda: server.event(shot.job_id, "publishing"))
    server.call(lambda: server.finish(shot.job_id, {"video.mp4": b"x"}))
    watcher.until(Result, job_id=shot.job_id)
    assert [event.state for event in watcher.of(Event)] == ["queued", "running", "publishing", "done"]


def test_events_missed_while_away_are_caught_up_without_repeats(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="queued")
    server.stop()
    watcher.until(ConnectionLost)
    job = server.jobs[shot.job_id]
    job.events += [
        wire.Event(job_id=shot.job_id, seq=2, state="running"),
        wire.Event(job_id=shot.job_id, seq=3, state="failed", error_code="job.failed"),
    ]
    server.start()
    watcher.until(Event, state="failed")
    assert [event.seq for event in watcher.of(Event)] == [1, 2, 3]
    since = [message.since_seq for _, message in server.received if isinstance(message, wire.Subscribe)]
    assert since == [0, 1]


def test_a_result_that_was_missed_comes_after_reconnecting(server, connect, make_shot, result_for):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="queued")
    server.call(lambda: server.event(shot.job_id, "done"))
    watcher.until(Event, state="done")
    server.stop()
    watcher.until(ConnectionLost)
    server.jobs[shot.job_id].result = result_for(shot.job_id, {"video.mp4": b"x"})
    server.start()
    watcher.until(Result)


def test_a_finished_job_that_is_submitted_again_tells_its_story_again(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    server.call(lambda: server.finish(shot.job_id, {"video.mp4": b"x"}))
    watcher.until(Result)
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="done")
    watcher.until(Result)
    assert len(server.jobs) == 1


def test_a_job_of_an_earlier_client_is_followed_from_a_number_on(server, connect, make_shot):
    first, shot = connect(), make_shot()
    first.client.submit(shot.job_id, shot.request, shot.files)
    first.until(Event, state="queued")
    server.call(lambda: server.event(shot.job_id, "running"))
    first.until(Event, state="running")
    first.client.close()
    second = connect()
    second.client.subscribe(shot.job_id, since_seq=1)
    assert second.until(Event).state == "running"


def test_progress_and_previews_are_lossy_and_states_are_not(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="queued")
    for step in range(1, 21):
        server.tell(
            wire.Progress(job_id=shot.job_id, phase="denoising", step=step, num_steps=20, elapsed_s=0.1)
        )
        server.tell(wire.Preview(job_id=shot.job_id, step=step, frame_index=0), f"jpeg {step}".encode())
        if step in (5, 15):
            server.call(lambda: server.event(shot.job_id, "running"))
    time.sleep(0.5)
    told = watcher.client.pump(budget_s=2.0)
    assert [(event.step, event.jpeg) for event in told if isinstance(event, PreviewImage)] == [
        (20, b"jpeg 20")
    ]
    assert [event.step for event in told if isinstance(event, Progress)] == [20]
    assert sum(isinstance(event, Event) for event in told) == 2


def test_cancel_before_and_after_sending(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.client.cancel(shot.job_id)
    event = watcher.until(Event, state="cancelled")
    assert (event.seq, event.error_code) == (0, "job.cancelled")
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="queued")
    watcher.client.cancel(shot.job_id)
    assert watcher.until(Event, state="cancelled").seq == 2


def test_a_cancel_without_a_connection_is_sent_when_there_is_one(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Event, state="queued")
    server.stop()
    watcher.until(ConnectionLost)
    watcher.client.cancel(shot.job_id)
    server.start()
    watcher.until(Event, state="cancelled")
    assert server.count(wire.Cancel) == 1


def test_what_the_server_does_not_know_is_refused_by_name(connect):
    watcher, job_id = connect(), str(uuid.uuid4())
    watcher.until(Connected)
    watcher.client.subscribe(job_id)
    refused = watcher.until(Refused)
    assert (refused.request, refused.job_id) == ("subscribe", job_id)
    assert isinstance(refused.error, UnknownJob)
    watcher.client.cancel(job_id)
    refused = watcher.until(Refused)
    assert (refused.request, refused.job_id) == ("cancel", job_id)


def test_jobs_are_listed(connect):
    watcher = connect()
    watcher.client.list_jobs()
    assert watcher.until(Jobs).jobs == []


def test_a_server_that_talks_nonsense_is_left(server, connect):
    watcher = connect()
    watcher.until(Connected)
    server.call(
        lambda: [
            server._sockets["control"].send_multipart([identity, b"\xff\xff"])
            for identity in server._greeted["control"]
        ]
    )
    assert watcher.until(Refused).error.code == "protocol.malformed"


def test_a_request_out_of_range_is_refused_at_once(make_shot, connect):
    shot = make_shot()
    with pytest.raises(InvalidRequest, match="priority"):
        connect().client.submit(shot.job_id, shot.request, shot.files, priority=1000)
    with pytest.raises(InvalidRequest, match="camera"):
        connect().client.submit(shot.job_id, shot.request, shot.files, camera=b"12345678")


def test_the_defaults_keep_the_specification():
    assert (Timing().ping_s, Timing().lost_s) == (2.0, 10.0)
