"""A small real server: two ROUTER sockets in a thread, the protocol's rules, and knobs to misbehave."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

import pytest
import zmq

from threedimo.wire import messages as wire
from threedimo.wire.client import Client, ClientEvent, Timing, make_asset
from threedimo.wire.codec import decode_client, encode
from threedimo.wire.connection import ConnectionInfo

TOKEN = "a-secret"
CHUNK = 1000
QUICK = Timing(ping_s=0.05, lost_s=0.8, retry_s=0.05, max_retry_s=0.1, stalled_s=0.8)


@dataclass
class Job:
    request: wire.GenerateRequest
    camera: bytes
    events: list[wire.Event] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    result: wire.Result | None = None


class SmallServer:
    """Keeps assets and jobs over a stop and a start, as a real one does; forgets who said hello."""

    def __init__(self) -> None:
        self.assets: dict[str, bytes] = {}
        self.jobs: dict[str, Job] = {}
        self.received: list[tuple[str, wire.ClientMessage]] = []
        self.credit = 2
        self.limits = wire.Limits(chunk_bytes=CHUNK)
        self.versions = {1}
        self.mute = False
        self.unanswered_submits = 0
        self.damaged_chunks = 0
        self.ignored_fetches = 0
        self.on_put: Callable[[], None] = lambda: None
        self.on_fetch: Callable[[], None] = lambda: None
        self.ports = {"control": 0, "data": 0}
        self._calls: Queue[Callable[[], None]] = Queue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(5)

    def stop(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    @property
    def info(self) -> ConnectionInfo:
        control, data = (f"tcp://127.0.0.1:{self.ports[name]}" for name in ("control", "data"))
        return ConnectionInfo(control, data, TOKEN)

    def call(self, function: Callable[[], None]) -> None:
        """Run in the server's thread, which owns the sockets."""
        self._calls.put(function)

    def count(self, kind: type[wire.Message]) -> int:
        return sum(isinstance(message, kind) for _, message in self.received)

    def event(self, job_id: str, state: wire.JobState) -> None:
        job = self.jobs[job_id]
        job.events.append(wire.Event(job_id=job_id, seq=len(job.events) + 1, state=state))
        self._tell(job.events[-1])

    def finish(self, job_id: str, files: dict[str, bytes]) -> wire.Result:
        job = self.jobs[job_id]
        job.files = files
        job.result = result_of(job_id, files)
        self.event(job_id, "done")
        self._tell(job.result)
        return job.result

    def tell(self, message: wire.Message, body: bytes | None = None) -> None:
        self.call(lambda: self._tell(message, body))

    def _tell(self, message: wire.Message, body: bytes | None = None) -> None:
        to = self._greeted["control"]
        if isinstance(message, wire.Event | wire.Result):
            to = self._followers.get(message.job_id, set())
        for identity in to:
            self._sockets["control"].send_multipart([identity, *encode(message, body)])

    def _run(self, ready: threading.Event) -> None:
        context = zmq.Context()
        self._sockets = {name: context.socket(zmq.ROUTER) for name in self.ports}
        self._greeted: dict[str, set[bytes]] = {name: set() for name in self.ports}
        self._followers: dict[str, set[bytes]] = {}
        poller = zmq.Poller()
        for name, socket in self._sockets.items():
            socket.linger = 0
            port = self.ports[name] or "*"
            deadline = time.monotonic() + 5
            while True:
                try:
                    socket.bind(f"tcp://127.0.0.1:{port}")
                    break
                except zmq.ZMQError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            self.ports[name] = int(socket.last_endpoint.rsplit(b":", 1)[1])
            poller.register(socket, zmq.POLLIN)
        ready.set()
        while not self._stop.is_set():
            for socket, _ in poller.poll(5):
                name = "control" if socket is self._sockets["control"] else "data"
                identity, *parts = socket.recv_multipart()
                if not self.mute:
                    self._answer(name, identity, parts)
            while not self._calls.empty():
                try:
                    self._calls.get_nowait()()
                except Empty:
                    break
        for socket in self._sockets.values():
            socket.close()
        context.term()

    def _answer(self, name: str, identity: bytes, parts: list[bytes]) -> None:
        message, body = decode_client(parts)
        self.received.append((name, message))

        def reply(kind: type[wire.Message], *, body: bytes | None = None, **fields: object) -> None:
            answer = kind(reply_to=message.id, **fields)  # type: ignore[arg-type]
            self._sockets[name].send_multipart([identity, *encode(answer, body)])

        if isinstance(message, wire.Hello):
            self._greet(name, identity, message, reply)
        elif identity not in self._greeted[name]:
            reply(wire.ErrorReply, code="server.access_refused", message="say hello first")
        else:
            self._act(identity, message, body, reply)

    def _greet(self, name: str, identity: bytes, hello: wire.Hello, reply: Callable[..., None]) -> None:
        if hello.token != TOKEN:
            reply(wire.ErrorReply, code="server.access_refused", message="the token is not known")
        elif not self.versions & set(hello.versions):
            reply(wire.ErrorReply, code="protocol.version", message="the client is older")
        else:
            self._greeted[name].add(identity)
            capabilities = wire.Capabilities(server_version="0", models=[], devices=["cpu"])
            reply(wire.Welcome, version=1, limits=self.limits, capabilities=capabilities)

    def _act(
        self, identity: bytes, message: wire.ClientMessage, body: bytes | None, reply: Callable[..., None]
    ) -> None:
        match message:
            case wire.Ping():
                reply(wire.Pong)
            case wire.AssetHave():
                for asset in message.assets:
                    self._answer_asset(asset.hash, asset.size, reply)
            case wire.AssetPut():
                held = self.assets.get(message.hash, b"")
                if message.offset == len(held):
                    self.assets[message.hash] = held + body
                self._answer_asset(message.hash, message.size, reply)
                self.on_put()
            case wire.Submit():
                self._submit(message, body, reply)
            case wire.Cancel(job_id=job_id) | wire.Subscribe(job_id=job_id) | wire.Fetch(job_id=job_id) if (
                job_id not in self.jobs
            ):
                reply(wire.ErrorReply, code="job.unknown", message="no such job")
            case wire.Cancel():
                self.event(message.job_id, "cancelled")
            case wire.Subscribe():
                self._followers.setdefault(message.job_id, set()).add(identity)
                self._replay(message)
            case wire.ListJobs():
                reply(wire.Jobs, jobs=[])
            case wire.Fetch():
                self._send_chunks(message, reply)
            case _:
                pass

    def _answer_asset(self, key: str, size: int, reply: Callable[..., None]) -> None:
        held = self.assets.get(key, b"")
        if len(held) < size:
            reply(wire.AssetNeed, hash=key, offset=len(held), credit=self.credit)
        elif hashlib.blake2b(held, digest_size=32).hexdigest() == key:
            reply(wire.AssetHeld, hash=key)
        else:
            del self.assets[key]
            reply(wire.ErrorReply, code="asset.corrupt", message="the bytes have another hash")

    def _submit(self, message: wire.Submit, body: bytes | None, reply: Callable[..., None]) -> None:
        request = message.request
        assets = [request.reference_image, *request.driving_footage.files]
        if any(len(self.assets.get(asset.hash, b"")) != asset.size for asset in assets):
            reply(wire.ErrorReply, code="asset.missing", message="an asset is not here")
            return
        if message.job_id not in self.jobs:
            self.jobs[message.job_id] = Job(request, body or b"")
            self.event(message.job_id, "queued")
        if self.unanswered_submits:
            self.unanswered_submits -= 1
        else:
            reply(wire.Accepted, job_id=message.job_id, seq=1, position=0)

    def _replay(self, message: wire.Subscribe) -> None:
        job = self.jobs[message.job_id]
        for event in job.events:
            if event.seq > message.since_seq:
                self._tell(event)
        if job.result is not None:
            self._tell(job.result)

    def _send_chunks(self, fetch: wire.Fetch, reply: Callable[..., None]) -> None:
        if self.ignored_fetches:
            self.ignored_fetches -= 1
            return
        whole = self.jobs[fetch.job_id].files[fetch.name]
        end = min(len(whole), fetch.offset + fetch.credit * CHUNK)
        for offset in range(fetch.offset, end, CHUNK):
            body = whole[offset : min(offset + CHUNK, len(whole))]
            last = offset + len(body) == len(whole)
            if self.damaged_chunks:
                self.damaged_chunks -= 1
                body = bytes([body[0] ^ 1]) + body[1:]
            reply(wire.Chunk, job_id=fetch.job_id, name=fetch.name, offset=offset, last=last, body=body)
        self.on_fetch()


def result_of(job_id: str, files: dict[str, bytes]) -> wire.Result:
    entries = [
        wire.ResultFile(name=name, size=len(whole), hash=hashlib.blake2b(whole, digest_size=32).hexdigest())
        for name, whole in files.items()
    ]
    info = wire.ResultInfo(
        num_frames=5,
        width=8,
        height=8,
        fps=8.0,
        seed=0,
        text="",
        model_id="tiny",
        num_inference_steps=1,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
        seconds={"denoising": 1.0},
    )
    return wire.Result(job_id=job_id, files=entries, info=info)


@dataclass(frozen=True)
class Shot:
    job_id: str
    request: wire.GenerateRequest
    files: dict[str, Path | bytes]


@pytest.fixture
def make_shot(tmp_path: Path) -> Callable[..., Shot]:
    """A request with an image in memory and footage on disk."""

    def make(footage_bytes: int = 20 * CHUNK + 7, image: bytes = b"an image" * 300) -> Shot:
        video = tmp_path / f"footage-{footage_bytes}.mp4"
        video.write_bytes(bytes(index % 251 for index in range(footage_bytes)))
        assets = make_asset(image, "face.png"), make_asset(video, video.name)
        request = wire.GenerateRequest(
            reference_image=assets[0], driving_footage=wire.Footage(files=[assets[1]])
        )
        return Shot(str(uuid.uuid4()), request, {assets[0].hash: image, assets[1].hash: video})

    return make


@pytest.fixture
def result_for() -> Callable[[str, dict[str, bytes]], wire.Result]:
    return result_of


@pytest.fixture
def server() -> Iterator[SmallServer]:
    server = SmallServer()
    server.start()
    yield server
    server.stop()


class Watcher:
    """A client that is pumped, and everything it told."""

    def __init__(self, client: Client):
        self.client = client
        self.events: list[ClientEvent] = []
        self._seen = 0

    def pump(self) -> list[ClientEvent]:
        self.client.wait(0.02)
        new = self.client.pump()
        self.events += new
        return new

    def until(self, kind: type, timeout_s: float = 8.0, **fields: object):
        """Pump until an event of this kind and these fields comes after the last one found; return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            while self._seen < len(self.events):
                event = self.events[self._seen]
                self._seen += 1
                if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
                    return event
            self.pump()
        raise AssertionError(f"no {kind.__name__} {fields} in {timeout_s} s; came: {self.events[-20:]}")

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def rest(self, seconds: float) -> list[ClientEvent]:
        deadline = time.monotonic() + seconds
        new: list[ClientEvent] = []
        while time.monotonic() < deadline:
            new += self.pump()
        return new


@pytest.fixture
def connect(server: SmallServer) -> Iterator[Callable[..., Watcher]]:
    """Make clients that are closed at the end."""
    with ExitStack() as stack:

        def make(connection=None, timing: Timing = QUICK) -> Watcher:
            client = Client(connection or server.info, "a test", timing)
            return Watcher(stack.enter_context(client))

        yield make
