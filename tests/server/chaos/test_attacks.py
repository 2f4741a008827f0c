"""Who wants the server's memory, its disk or its attention: the service goes on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from threedimo.wire.codec import decode_server, encode
from threedimo.wire.messages import AssetPut, ClientMessage, ErrorReply, Hello, Ping, Pong, ServerMessage
from threedimo_server.assets import MAX_PARTS

MIB = 2**20


class Talker:
    """A client of the raw protocol that is let in."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, token: str):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 20_000)
        self.socket.connect(endpoint)
        self.ask(Hello(id=1, client="talker", versions=[1], token=token))

    def ask(self, message: ClientMessage, body: bytes | None = None) -> ServerMessage:
        self.socket.send_multipart(encode(message, body))
        return decode_server(self.socket.recv_multipart())[0]


@pytest.fixture
def talk() -> Iterator[Callable[[Any, str], Talker]]:
    context: zmq.Context[Any] = zmq.Context()
    talkers: list[Talker] = []

    def make(server: Any, door: str) -> Talker:
        connection = server.connection()
        talkers.append(Talker(context, getattr(connection, door), connection.token))
        return talkers[-1]

    yield make
    for talker in talkers:
        talker.socket.close()
    context.term()


@pytest.mark.parametrize("part_bytes", [100, MIB])
@pytest.mark.parametrize("door", ["control", "data"])
def test_a_message_that_never_ends_costs_connections_and_not_the_server(
    door: str,
    part_bytes: int,
    full: bool,
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    run_program: Callable[..., Any],
    used_mb: Callable[[int], float],
    tell: Callable[[str], None],
) -> None:
    # Not less: until the front looks and has closed its doors, 200 MB more come on a fast machine.
    room_mb = 1000 if full else 200
    server = start_server(front_memory_bytes=room_mb * 1_000_000)
    follower = follow(server)
    job_id = follower.submit(inputs, "slow", num_inference_steps=40)
    follower.state(job_id, "running")
    port = int(getattr(server.connection(), door).rsplit(":", 1)[1])
    before_mb, most_mb = used_mb(server.process.pid), 0.0
    attacker = run_program("endless_message.py", port, part_bytes, 10 if full else 3)
    while attacker.poll() is None:
        most_mb = max(most_mb, used_mb(server.process.pid))
        time.sleep(0.02)
    sent_mb = int(attacker.stdout.read()) / 1e6

    assert server.process.poll() is None
    assert sent_mb > 1.5 * room_mb, "the attack was too weak to prove anything"
    assert most_mb < before_mb + (1.3 if full else 3) * room_mb
    assert follower.end(job_id).state == "done"
    assert follower.states(job_id).count("running") == 1, "the job went on all the while"
    assert "closed all connections" in server.log()
    tell(
        f"a message that never ends, parts of {part_bytes} bytes, {door}: {sent_mb:.0f} MB sent, memory "
        f"{before_mb:.0f} MB before, at most {most_mb:.0f} MB; the running job went on"
    )


def test_thousands_of_unfinished_uploads_are_bounded_and_others_go_on(
    full: bool,
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    talk: Callable[[Any, str], Talker],
    inputs: Any,
    used_mb: Callable[[int], float],
    tell: Callable[[str], None],
) -> None:
    num_uploads = 10_000 if full else 1500
    server = start_server()
    talker, before_mb = talk(server, "data"), used_mb(server.process.pid)
    for index in range(num_uploads):
        name = hashlib.blake2b(str(index).encode(), digest_size=32).hexdigest()
        talker.ask(AssetPut(id=index + 2, hash=name, size=2, offset=0), b"x")
    assert len(list((server.home / "assets").iterdir())) == MAX_PARTS
    grown_mb = used_mb(server.process.pid) - before_mb
    assert grown_mb < 20
    follower = follow(server)
    assert follower.end(follower.submit(inputs)).state == "done"
    tell(f"{num_uploads} tiny uploads, never finished: {MAX_PARTS} kept, memory +{grown_mb:.1f} MB")


def test_a_flood_of_wrong_greetings_is_refused_and_others_go_on(
    full: bool, start_server: Callable[..., Any], follow: Callable[..., Any], inputs: Any
) -> None:
    server = start_server()
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.setsockopt(zmq.RCVTIMEO, 20_000)
        stranger.connect(server.connection().control)
        for index in range(20_000 if full else 2000):
            greeting = Hello(id=index + 1, client="stranger", versions=[1], token="a-guess")
            stranger.send_multipart(encode(greeting))
            answer = decode_server(stranger.recv_multipart())[0]
            assert isinstance(answer, ErrorReply)
            assert answer.code == "server.access_refused"
    follower = follow(server)
    assert follower.end(follower.submit(inputs)).state == "done"


def test_whoever_was_cut_off_by_another_can_go_on_in_the_same_connection(
    start_server: Callable[..., Any], talk: Callable[[Any, str], Talker], run_program: Callable[..., Any]
) -> None:
    """ZeroMQ connects again by itself; the server then wants to be greeted again."""
    server = start_server(front_memory_bytes=50_000_000)
    talker = talk(server, "control")
    port = int(server.connection().control.rsplit(":", 1)[1])
    run_program("endless_message.py", port, MIB, 1).wait()
    assert "closed all connections" in server.log()
    talker.socket.setsockopt(zmq.RCVTIMEO, 500)
    for attempt in range(20):
        try:
            answer = talker.ask(Ping(id=100 + attempt))
            break
        except zmq.Again:
            continue
    assert isinstance(answer, ErrorReply)
    assert "hello" in answer.message
    talker.ask(Hello(id=900, client="talker", versions=[1], token=server.connection().token))
    assert isinstance(talker.ask(Ping(id=901)), Pong)
