"""One real server process, real clients: the whole way of a job, and everything that is refused."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from threedimo.errors import AccessRefused, InvalidRequest, UnknownJob, UnsupportedFrameCount
from threedimo.media import read_image
from threedimo.wire.client import Fetched, Jobs, PreviewImage, Progress, Result
from threedimo.wire.codec import decode_server, encode
from threedimo.wire.messages import (
    AssetHave,
    AssetNeed,
    AssetPut,
    Bye,
    ErrorReply,
    Fetch,
    Hello,
    Message,
    Ping,
    Pong,
    ServerMessage,
    Submit,
    Subscribe,
    Welcome,
)

pytestmark = pytest.mark.usefixtures("shared_server")


class RawSocket:
    """A DEALER that sends whatever it is told."""

    def __init__(self, context: zmq.Context[Any], endpoint: str):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 10_000)
        self.socket.connect(endpoint)

    def send(self, *parts: bytes) -> None:
        self.socket.send_multipart(parts)

    def ask(self, message: Message, body: bytes | None = None) -> ServerMessage:
        self.socket.send_multipart(encode(message, body))
        return self.hear()

    def hear(self) -> ServerMessage:
        return decode_server(self.socket.recv_multipart())[0]


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def control(context: zmq.Context[Any], shared_server: Any) -> RawSocket:
    return RawSocket(context, shared_server.connection().control)


@pytest.fixture
def data(context: zmq.Context[Any], shared_server: Any) -> RawSocket:
    return RawSocket(context, shared_server.connection().data)


def greet(socket: RawSocket, server: Any) -> ServerMessage:
    return socket.ask(Hello(id=1, client="raw", versions=[1], token=server.connection().token))


def test_a_job_from_upload_to_the_fetched_folder(
    shared_server: Any, follow: Callable[..., Any], inputs: Any, tmp_path: Path
) -> None:
    follower = follow(shared_server)
    job_id = follower.submit(inputs, "slow", seed=7, num_inference_steps=15)
    result = follower.result(job_id)
    assert follower.states(job_id) == ["queued", "running", "publishing", "done"]
    progress = [event for event in follower.heard if isinstance(event, Progress)]
    assert {"denoising", "writing"} <= {event.phase for event in progress}
    assert [event.eta_s for event in progress if event.phase == "denoising"][-1] is not None
    preview = next(event for event in follower.heard if isinstance(event, PreviewImage))
    assert read_image(preview.jpeg).shape == (32, 32, 3)

    names = [file.name for file in result.files]
    frames = [f"frames/{index:05d}.png" for index in range(9)]
    assert names == ["comparison.mp4", *frames, "result.json", "video.mp4"]
    assert (result.info.num_frames, result.info.seed, result.info.model_id) == (9, 7, "tiny")
    assert {"loading", "decoding", "denoising", "writing"} <= set(result.info.seconds)

    follower.client.fetch(job_id, result, tmp_path / "shot")
    follower.wait_for(lambda event: isinstance(event, Fetched))
    assert sorted(path.name for path in (tmp_path / "shot").iterdir()) == [
        "comparison.mp4",
        "frames",
        "result.json",
        "video.mp4",
    ]
    assert read_image(tmp_path / "shot" / "frames" / "00004.png")[0, 0].tolist() == [7, 7, 7]
    written = msgspec.json.decode((tmp_path / "shot" / "result.json").read_bytes())
    assert written == msgspec.to_builtins(result.info)


def test_a_repeated_submit_makes_no_second_job(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    first, second = follow(shared_server), follow(shared_server)
    job_id = first.submit(inputs, "once")
    first.result(job_id)
    second.submit(inputs, "once", job_id=job_id)
    again = second.result(job_id)
    assert again == next(event for event in first.heard if isinstance(event, Result))
    assert second.states(job_id) == ["queued", "running", "publishing", "done"]

    third = follow(shared_server)
    third.submit(inputs, "another", job_id=job_id)
    assert isinstance(third.refusal().error, InvalidRequest)


def test_without_previews_none_are_sent(shared_server: Any, follow: Callable[..., Any], inputs: Any) -> None:
    follower = follow(shared_server)
    follower.result(follower.submit(inputs, "slow", previews=False))
    assert not any(isinstance(event, PreviewImage) for event in follower.heard)


def test_cancel_of_a_running_and_of_a_queued_job(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(shared_server)
    running = follower.submit(inputs, "slow", num_inference_steps=100)
    follower.state(running, "running")
    queued = follower.submit(inputs)
    follower.state(queued, "queued")
    follower.client.cancel(queued)
    assert follower.end(queued).state == "cancelled"
    follower.client.cancel(running)
    assert follower.end(running).error_code == "job.cancelled"
    assert "running" not in follower.states(queued)
    follower.result(follower.submit(inputs, "the worker lives"))


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("wrong", "job.failed", "RuntimeError: a sentence of the library)"),
        ("memory", "model.out_of_memory", "fewer frames"),
    ],
)
def test_errors_in_the_worker_are_told_and_the_next_job_succeeds(
    text: str, code: str, sentence: str, shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(shared_server)
    failure = follower.end(follower.submit(inputs, text))
    assert (failure.state, failure.error_code) == ("failed", code)
    assert sentence in failure.error_message
    assert "second line" not in failure.error_message
    follower.result(follower.submit(inputs, "fine"))


def test_a_damaged_picture_is_named_as_the_user_knows_it(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    from threedimo.wire.client import make_asset

    follower = follow(shared_server)
    asset = make_asset(b"not a picture", "hero.png")
    request = msgspec.structs.replace(inputs.request(), reference_image=asset)
    job_id = str(uuid.uuid4())
    follower.client.submit(job_id, request, {**inputs.files, asset.hash: b"not a picture"})
    failure = follower.end(job_id)
    assert failure.error_code == "media.unreadable"
    assert "hero.png" in failure.error_message
    assert str(shared_server.home) not in failure.error_message
    assert asset.hash not in failure.error_message


def test_an_impossible_frame_count_is_refused_at_once_with_the_nearest(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(shared_server)
    follower.submit(inputs, num_frames=10)
    refusal = follower.refusal()
    assert isinstance(refusal.error, UnsupportedFrameCount)
    assert "choose 9 or 13" in str(refusal.error)


def test_jobs_are_listed_and_unknown_ones_refused(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(shared_server)
    job_id = follower.submit(inputs)
    follower.end(job_id)
    follower.client.list_jobs(1)
    jobs = follower.wait_for(lambda event: isinstance(event, Jobs))
    assert [(job.job_id, job.state) for job in jobs.jobs] == [(job_id, "done")]
    follower.client.subscribe(str(uuid.uuid4()))
    assert isinstance(follower.refusal().error, UnknownJob)


def test_the_welcome_says_what_the_server_can_do(shared_server: Any, control: RawSocket) -> None:
    welcome = greet(control, shared_server)
    assert isinstance(welcome, Welcome)
    assert welcome.reply_to == 1
    assert [model.id for model in welcome.capabilities.models] == ["tiny"]
    presets = welcome.capabilities.models[0].presets
    assert [(preset.name, preset.num_inference_steps) for preset in presets] == [
        ("draft", 4),
        ("standard", 4),
        ("final", 8),
    ]
    assert len(welcome.capabilities.devices) == 1


def test_a_wrong_token_is_refused(shared_server: Any, control: RawSocket, data: RawSocket) -> None:
    for socket in (control, data):
        answer = socket.ask(Hello(id=5, client="raw", versions=[1], token="wrong"))
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.reply_to) == (AccessRefused.code, 5)
        answer = socket.ask(Ping(id=6))
        assert isinstance(answer, ErrorReply)
        assert answer.code == AccessRefused.code


def test_each_socket_needs_its_own_hello(shared_server: Any, control: RawSocket, data: RawSocket) -> None:
    greet(control, shared_server)
    answer = data.ask(Ping(id=2))
    assert isinstance(answer, ErrorReply)
    assert answer.code == AccessRefused.code
    greet(data, shared_server)
    assert data.ask(Ping(id=3)) == Pong(reply_to=3)


def test_whoever_said_bye_must_say_hello_again(shared_server: Any, control: RawSocket) -> None:
    greet(control, shared_server)
    control.socket.send_multipart(encode(Bye(id=2)))
    answer = control.ask(Ping(id=3))
    assert isinstance(answer, ErrorReply)
    assert answer.code == AccessRefused.code


def test_an_older_client_is_told_who_must_update(control: RawSocket) -> None:
    control.send(msgspec.msgpack.encode({"type": "hello", "v": 99, "id": 4, "client": "x", "versions": [99]}))
    answer = control.hear()
    assert isinstance(answer, ErrorReply)
    assert (answer.code, answer.reply_to) == ("protocol.version", 4)
    assert "update the server" in answer.message


def test_malformed_messages_are_answered_and_the_server_lives(shared_server: Any, control: RawSocket) -> None:
    greet(control, shared_server)
    job_id = str(uuid.uuid4())
    malformed: list[tuple[bytes, ...]] = [
        (b"",),
        (b"\xc1",),
        (os.urandom(200),),
        (b"\xa4\xff\xff\xff\xff",),
        (msgspec.msgpack.encode({"type": "nonsense", "id": 7}),),
        (msgspec.msgpack.encode({"type": "ping", "id": 7, "more": 1}),),
        (msgspec.msgpack.encode({"type": "ping", "id": -1}),),
        (msgspec.msgpack.encode({"type": "cancel", "id": 7, "job_id": "../../etc"}),),
        (msgspec.msgpack.encode({"type": "fetch", "id": 7, "job_id": job_id, "name": "../x"}),),
        (msgspec.msgpack.encode({"type": "ping"}), b"a body"),
        (msgspec.msgpack.encode({"type": "ping"}), b"b", b"c"),
        (b"\x91" * 60_000,),
        (b"x" * 70_000,),
    ]
    for parts in malformed:
        control.send(*parts)
        answer = control.hear()
        assert isinstance(answer, ErrorReply), parts
        assert answer.code.startswith("protocol."), answer
    assert control.ask(Ping(id=8)) == Pong(reply_to=8)


def test_messages_on_the_wrong_socket_are_refused(
    shared_server: Any, control: RawSocket, data: RawSocket
) -> None:
    greet(control, shared_server)
    greet(data, shared_server)
    job_id = str(uuid.uuid4())
    for socket, message, body in (
        (control, AssetPut(id=2, hash="0" * 64, size=1, offset=0), b"x"),
        (control, Fetch(id=2, job_id=job_id, name="video.mp4"), None),
        (data, Subscribe(id=2, job_id=job_id), None),
    ):
        answer = socket.ask(message, body)
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.reply_to) == ("protocol.malformed", 2)
        assert "other socket" in answer.message


def test_assets_are_asked_for_before_a_job_and_missing_ones_named(
    shared_server: Any, control: RawSocket, inputs: Any
) -> None:
    greet(control, shared_server)
    missing = msgspec.structs.replace(inputs.reference, hash="ab" * 32, name="other.png")
    need = control.ask(AssetHave(id=2, assets=[missing]))
    assert isinstance(need, AssetNeed)
    assert (need.offset, need.reply_to) == (0, 2)
    request = msgspec.structs.replace(inputs.request(), reference_image=missing)
    answer = control.ask(Submit(id=3, job_id=str(uuid.uuid4()), request=request))
    assert isinstance(answer, ErrorReply)
    assert (answer.code, answer.retryable) == ("asset.missing", True)


def test_files_that_are_no_result_cannot_be_fetched(
    shared_server: Any, follow: Callable[..., Any], inputs: Any, data: RawSocket
) -> None:
    follower = follow(shared_server)
    job_id = follower.submit(inputs)
    size = {file.name: file.size for file in follower.result(job_id).files}["video.mp4"]
    greet(data, shared_server)
    for name, offset, code in (
        ("jobs.sqlite", 0, "request.invalid"),
        ("video.mp4", size + 1, "request.invalid"),
    ):
        answer = data.ask(Fetch(id=2, job_id=job_id, name=name, offset=offset))
        assert isinstance(answer, ErrorReply)
        assert answer.code == code
    answer = data.ask(Fetch(id=3, job_id=str(uuid.uuid4()), name="video.mp4"))
    assert isinstance(answer, ErrorReply)
    assert answer.code == "job.unknown"


def test_the_log_has_job_ids_and_the_connection_file_is_private(
    shared_server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(shared_server)
    job_id = follower.submit(inputs)
    follower.end(job_id)
    lines = [line for line in shared_server.log().splitlines() if f"job={job_id}" in line]
    assert len(lines) >= 4
    connection_file = shared_server.home / "connection.json"
    assert connection_file.stat().st_mode & 0o777 == 0o600
    assert json.loads(connection_file.read_text())["token"] not in shared_server.log()


def test_old_results_make_room_for_new_ones(start_server, follow, inputs, wait):
    server = start_server(keep_bytes=1)
    follower = follow(server)
    jobs = [follower.submit(inputs) for _ in range(2)]
    for job_id in jobs:
        follower.result(job_id)
    wait(lambda: not any((server.home / "results" / job_id).exists() for job_id in jobs))
    follower.client.list_jobs()
    assert follower.wait_for(lambda event: isinstance(event, Jobs)).jobs == []
