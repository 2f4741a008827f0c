"""Messages that were changed at random, from strangers and from clients that are let in."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import zmq

from threedimo.wire import messages as wire
from threedimo.wire.codec import decode_server, encode

_BATCH = 50


def originals(inputs: Any, token: str) -> list[list[bytes]]:
    """One of each kind that a client sends; a changed one may still be well-formed, which is the point."""
    job_id = str(uuid.UUID(int=5))
    asset = inputs.reference
    messages: list[tuple[wire.Message, bytes | None]] = [
        (wire.Hello(client="x", versions=[1], token=token), None),
        (wire.AssetHave(assets=[asset]), None),
        (wire.AssetPut(hash=asset.hash, size=asset.size, offset=0), inputs.files[asset.hash][:20]),
        (wire.Submit(job_id=job_id, request=inputs.request("fine"), id=7), None),
        (wire.Cancel(job_id=job_id), None),
        (wire.ListJobs(limit=3), None),
        (wire.Subscribe(job_id=job_id, since_seq=0), None),
        (wire.Fetch(job_id=job_id, name="frames/00000.png", offset=0, credit=2), None),
        (wire.Ping(id=3), None),
        (wire.Bye(), None),
    ]
    return [encode(message, body) for message, body in messages]


def changed(parts: list[bytes], others: list[list[bytes]], chance: random.Random) -> list[bytes]:
    """A message with some bytes replaced, cut, put in or swapped, or with parts more or fewer."""
    header = bytearray(parts[0])
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(header))
        match chance.randrange(4):
            case 0:
                header[at] = chance.randrange(256)
            case 1:
                header[at:] = chance.randbytes(chance.randint(1, 8))
            case 2:
                header[at:at] = chance.randbytes(chance.randint(1, 4))
            case _:
                other = chance.choice(others)[0]
                header[at:] = other[chance.randrange(len(other)) :] or b"\xc0"
    extra = [chance.randbytes(chance.randint(0, 40)) for _ in range(chance.choice([0, 0, 0, 1, 3]))]
    return [bytes(header), *parts[1:], *extra]


def test_changed_messages_harm_nothing(
    full: bool,
    start_server: Callable[..., Any],
    follow: Callable[..., Any],
    inputs: Any,
    used_mb: Callable[[int], float],
    tell: Callable[[str], None],
) -> None:
    num_messages, chance = 100_000 if full else 5000, random.Random(7)
    server = start_server(limits={"max_queued_jobs": 20})
    follower = follow(server)
    follower.result(follower.submit(inputs))
    connection = server.connection()
    known, num_answers = originals(inputs, connection.token), 0
    memory: list[float] = []
    with zmq.Context() as context:
        sockets = [context.socket(zmq.DEALER) for _ in range(4)]
        for index, socket in enumerate(sockets):
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(connection.control if index % 2 else connection.data)
        for sent in range(0, num_messages, _BATCH):
            socket = sockets[chance.randrange(4)]
            if chance.random() < 0.5:
                socket.send_multipart(known[0])  # let in, whatever came before
            for _ in range(_BATCH):
                socket.send_multipart(changed(chance.choice(known), known, chance))
            while socket.poll(50 if sent % 5000 else 500):
                decode_server(socket.recv_multipart())
                num_answers += 1
            if sent >= num_messages // 4:
                memory.append(used_mb(server.process.pid))
        for socket in sockets:
            socket.close()

    assert server.process.poll() is None
    assert num_answers > num_messages / 4, "they were hardly read"
    assert max(memory) - memory[0] < 10
    assert "Traceback" not in server.log()
    assert "Traceback" not in server.output()
    job_id = follower.submit(inputs, "fine")
    assert follower.end(job_id).state == "done"
    tell(
        f"{num_messages} changed messages: {num_answers} answers, memory {memory[0]:.0f} MB after a quarter, "
        f"then at most {max(memory):.0f} MB, the next job succeeds"
    )
