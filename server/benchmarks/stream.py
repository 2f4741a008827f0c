"""How fast a result leaves the server: its real door, store and downloads, without queue and worker."""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from threedimo.wire.client import Client
from threedimo.wire.codec import decode_client, decode_server, encode
from threedimo.wire.downloads import MAX_CHUNKS_UNDER_WAY, Download
from threedimo.wire.messages import CHUNK_BYTES, Chunk, Fetch, Limits, Result, ResultFile, ResultInfo
from threedimo_server.doors import Door
from threedimo_server.downloads import Downloads
from threedimo_server.results import ResultStore

SIZE = 512 * 1024 * 1024
JOB_ID = str(uuid.UUID(int=1))


def stream(_client: Client, rounds: int) -> Iterator[str]:
    """Fetch one large file again and again, and copy as much in memory."""
    with tempfile.TemporaryDirectory(prefix="threedimo-benchmark-") as folder, zmq.Context() as context:
        file = _store(Path(folder))
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, file, there))
        server.start()
        with context.socket(zmq.DEALER) as socket:
            socket.connect(here.recv())
            socket.send_multipart([b"hello"])
            dropped, kept, copied = [], [], []
            for index in range(rounds):
                dropped.append(_rate(_fetch(socket, file, None)))
                copied.append(_rate(_copy()))
                kept.append(_rate(_fetch(socket, file, Path(folder) / f"fetched {index}")))
        here.send("end")
        server.join()
    stream_mb, copy_mb, file_mb = (statistics.median(rates) for rates in (dropped, copied, kept))
    yield (
        f"chunks of {CHUNK_BYTES // 2**20} MiB: {stream_mb:.0f} MB/s, copying them {copy_mb:.0f} MB/s: "
        f"ratio {stream_mb / copy_mb:.2f}; into a folder with hashes {file_mb:.0f} MB/s ({rounds} rounds)"
    )


def _store(folder: Path) -> ResultFile:
    content = bytes(range(256)) * (SIZE // 256)
    (folder / "results" / JOB_ID).mkdir(parents=True)
    (folder / "results" / JOB_ID / "video.mp4").write_bytes(content)
    return ResultFile(name="video.mp4", size=SIZE, hash=hashlib.blake2b(content, digest_size=32).hexdigest())


def _serve(folder: str, file: ResultFile, pipe: Connection) -> None:
    with zmq.Context() as context:
        door = Door("data", "127.0.0.1", None, limits=Limits(), queue_length=16)
        door.open(context)
        downloads = Downloads(door, ResultStore(Path(folder) / "results", reserve_bytes=0), CHUNK_BYTES)
        pipe.send(door.endpoint)
        moved = False
        while not pipe.poll():
            door.socket.poll(0 if moved else 10)
            for letter in door.receive(16):
                if door.knows(letter.sender):
                    message, _ = decode_client(letter.parts)
                    assert isinstance(message, Fetch)
                    downloads.grant(letter.sender, message, file)
                else:
                    door.admit(letter, "benchmark")
            moved = downloads.send_some()
        door.close()


def _fetch(socket: zmq.Socket[bytes], file: ResultFile, folder: Path | None) -> float:
    """Seconds to fetch the file, into a folder or to drop it."""
    began_s = time.perf_counter()
    if folder is None:
        asked = received = message_id = 0
        while received < file.size:
            while asked < min(file.size, received + MAX_CHUNKS_UNDER_WAY * CHUNK_BYTES):
                message_id += 1
                fetch = Fetch(id=message_id, job_id=JOB_ID, name=file.name, offset=asked, credit=1)
                socket.send_multipart(encode(fetch))
                asked += CHUNK_BYTES
            received += len(_receive(socket)[1])
        return time.perf_counter() - began_s
    download, message_id = Download(_result(file), folder), 0
    while not download.complete:
        if download.check():
            continue
        while (fetch := download.next_fetch(CHUNK_BYTES)) is not None:
            message_id += 1
            download.asked(fetch, CHUNK_BYTES, message_id)
            socket.send_multipart(encode(Fetch(**{**_fields(fetch), "id": message_id})))
        download.receive(*_receive(socket))
    download.finish()
    return time.perf_counter() - began_s


def _receive(socket: zmq.Socket[bytes]) -> tuple[Chunk, memoryview]:
    frames = socket.recv_multipart(copy=False)
    message, body = decode_server([frame.buffer for frame in frames])
    assert isinstance(message, Chunk)
    assert isinstance(body, memoryview)
    return message, body


def _fields(fetch: Fetch) -> dict[str, object]:
    return {name: getattr(fetch, name) for name in fetch.__struct_fields__}


def _result(file: ResultFile) -> Result:
    info = ResultInfo(
        num_frames=1,
        width=16,
        height=16,
        fps=8.0,
        seed=0,
        text="",
        model_id="none",
        model_notes="",
        num_inference_steps=1,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
        seconds={},
    )
    return Result(job_id=JOB_ID, files=[file], info=info)


def _copy() -> float:
    """Seconds to copy as much from one place in memory to another, both larger than any cache."""
    source, target = memoryview(bytearray(SIZE)), memoryview(bytearray(SIZE))
    began_s = time.perf_counter()
    for start in range(0, SIZE, CHUNK_BYTES):
        target[start : start + CHUNK_BYTES] = source[start : start + CHUNK_BYTES]
    return time.perf_counter() - began_s


def _rate(seconds: float) -> float:
    return SIZE / seconds / 1e6
