"""Servers that die, freeze, flood, lie or send what is no picture: Blender goes on, and says what is wrong.

The server is the small real one of `tests/wire`, with two sockets and the protocol's rules, made to
misbehave. Ticks are the add-on's own, as its timer calls them.
"""

from __future__ import annotations

import importlib.util
import struct
import time
import uuid
import zlib
from functools import partial
from pathlib import Path

import pytest

WIRE_TESTS = Path(__file__).resolve().parents[2] / "wire" / "conftest.py"
MISSING = object()


@pytest.fixture(scope="module")
def small(installed):
    """The small server of the protocol's own tests."""
    spec = importlib.util.spec_from_file_location("threedimo_small_server", WIRE_TESTS)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up there.
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(small, addon, no_server, tmp_path, monkeypatch):
    """A server that the add-on finds, with a model, and a client that acts on silence within a second."""
    from threedimo.wire.client import Client
    from threedimo.wire.connection import connection_path, write_connection
    from threedimo.wire.messages import Capabilities, ModelInfo, Welcome

    model = ModelInfo(
        id="tiny",
        trained=True,
        width=8,
        height=8,
        num_frames=5,
        max_frames=33,
        fps=24.0,
        frame_step=4,
        size_step=8,
        num_inference_steps=2,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
    )

    class Server(small.SmallServer):
        def _greet(self, name, identity, _hello, reply):
            self._greeted[name].add(identity)
            offer = Capabilities(server_version="0", models=[model], devices=["cpu"])
            reply(Welcome, version=1, limits=self.limits, capabilities=offer)

    monkeypatch.setattr(addon("session"), "Client", partial(Client, timing=small.QUICK))
    server = Server()
    server.start()
    write_connection(connection_path(), server.info)
    yield server
    server.stop()


@pytest.fixture
def tick(addon):
    """Tick until something holds; gives the time that each tick took."""

    def until(holds, timeout_s=20.0):
        took_s, end = [], time.monotonic() + timeout_s
        while not holds():
            start = time.perf_counter()
            addon("runtime").tick()
            took_s.append(time.perf_counter() - start)
            assert time.monotonic() < end, addon("runtime").session().jobs
            time.sleep(0.005)
        return took_s

    return until


@pytest.fixture
def rest(tick):
    """Tick for a while."""

    def some(seconds):
        end = time.monotonic() + seconds
        return tick(lambda: time.monotonic() > end)

    return some


@pytest.fixture
def job(blender, scene, add_camera, server, addon, tick, tmp_path):
    """A shot of five frames that the server has."""
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    scene.threedimo.reference_image = str(tmp_path / "woman.png")
    scene.threedimo.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_start, scene.frame_end = 1, 5
    scene.render.resolution_x = scene.render.resolution_y = 8
    add_camera()
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    tick(lambda: addon("runtime").session().connected)
    job_id = str(uuid.uuid4())
    addon("dispatch").begin(scene, job_id)
    job = addon("runtime").session().jobs[job_id]
    tick(lambda: job.state == "queued")
    return job


def png(rgb=(200, 0, 0), width=8, height=8, rows=None):
    """A PNG of one colour; `rows` replaces its packed pixels."""
    packed = rows if rows is not None else zlib.compress((b"\0" + bytes(rgb) * width) * height)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def result_files(changes=None):
    """The files of an honest result; `changes` replaces some, or leaves them out."""
    files = {f"frames/{frame:05d}.png": png((40 * frame, 200, 0)) for frame in range(5)}
    files["result.json"] = b'{"model_id": "tiny", "seed": 0}'
    files |= changes or {}
    return {name: content for name, content in files.items() if content is not MISSING}


def arrived(scene):
    (shot,) = scene.threedimo.shots
    return shot.takes[0].placed
