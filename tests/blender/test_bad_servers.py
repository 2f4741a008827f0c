"""Servers that die, freeze, flood, lie or send what is no picture: Blender goes on, and says what is wrong.

The server is the small real one of `tests/wire`, with two sockets and the protocol's rules, made to
misbehave. Ticks are the add-on's own, as its timer calls them.
"""

from __future__ import annotations

import importlib.util
import statistics
import struct
import time
import uuid
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender

WIRE_TESTS = Path(__file__).resolve().parents[1] / "wire" / "conftest.py"
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


def is_magenta(pixels):
    return np.any((pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] > 200))


def test_honest_result_arrives(scene, server, job, tick, render):
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: arrived(scene))

    np.testing.assert_allclose(render(3, "BLENDER_WORKBENCH", (8, 8))[4, 4], (80, 200, 0), atol=4)


def test_server_that_dies_and_comes_back_costs_nothing_but_time(scene, server, job, tick, rest, addon):
    server.call(lambda: server.event(job.job_id, "running"))
    tick(lambda: job.state == "running")

    server.stop()
    took_s = tick(lambda: addon("runtime").session().problem is not None) + rest(0.5)

    assert not job.ended
    assert addon("runtime").session().problem.code == "server.unreachable"
    assert statistics.median(took_s) < 0.005
    server.start()
    tick(lambda: addon("runtime").session().connected)
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: arrived(scene))
    assert job.state == "ready"


def test_server_that_freezes_is_noticed_and_never_waited_for(scene, server, job, tick, rest, addon, drawn):
    server.mute = True

    took_s = tick(lambda: not addon("runtime").session().connected) + rest(0.5)

    assert statistics.median(took_s) < 0.005
    assert max(took_s) < 0.1
    assert not job.ended
    assert "threedimo.connect" in drawn("panels", "THREEDIMO_PT_shot").operators
    server.mute = False
    tick(lambda: addon("runtime").session().connected)
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: arrived(scene))


def test_cancel_that_nobody_confirms_is_given_up_and_still_reaches_the_server(
    blender, scene, server, job, tick, addon, drawn, monkeypatch
):
    from threedimo.wire.messages import Cancel

    monkeypatch.setattr(addon("session"), "CANCEL_DEADLINE_S", 0.5)
    server.mute = True
    assert blender.ops.threedimo.cancel(job_id=job.job_id) == {"FINISHED"}
    assert (job.ended, job.sentence()) == (False, "cancelling")
    assert "Take 1: cancelling" in drawn("take_panels", "THREEDIMO_PT_takes").labels

    tick(lambda: job.ended)

    assert job.state == "failed"
    panel = drawn("take_panels", "THREEDIMO_PT_takes")
    assert "did not confirm" in panel.text
    assert "threedimo.reattach" in panel.operators
    tick(lambda: not addon("runtime").session().connected)  # this server throws away what it does not hear
    server.mute = False
    tick(lambda: server.count(Cancel) > 0)
    again = addon("runtime").reattach(again=True)[0]
    tick(lambda: again.ended)
    assert again.state == "cancelled"


def test_cancel_is_confirmed_by_the_server(blender, scene, server, job, tick):
    blender.ops.threedimo.cancel(job_id=job.job_id)
    tick(lambda: job.ended)
    assert job.state == "cancelled"


def test_cancel_is_asked_again_over_a_new_connection(blender, scene, server, job, tick, addon):
    server.mute = True
    blender.ops.threedimo.cancel(job_id=job.job_id)
    addon("runtime").session().reconnect()
    server.mute = False

    tick(lambda: job.ended)

    assert job.state == "cancelled"


def test_cancel_of_a_result_on_its_way_stops_it_here(blender, scene, server, job, tick, rest):
    server.ignored_fetches = 1000
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: job.state == "fetching")

    blender.ops.threedimo.cancel(job_id=job.job_id)

    assert job.state == "cancelled"
    rest(0.3)
    assert not (job.folder / "result").exists()
    assert not arrived(scene)


def test_flood_of_news_never_holds_blender_up(blender, scene, server, job, tick, addon, tmp_path):
    from threedimo.wire.messages import Preview, Progress

    image = blender.data.images.new("made", 8, 8)
    image.filepath_raw, image.file_format = str(tmp_path / "made.jpg"), "JPEG"
    image.save()
    jpeg = (tmp_path / "made.jpg").read_bytes()

    def flood():
        for step in range(20_000):
            news = {"job_id": job.job_id, "step": step}
            server._tell(Progress(**news, phase="denoising", num_steps=20_000, elapsed_s=1.0, eta_s=1.0))
            if step % 20 == 0:
                server._tell(Preview(**news, frame_index=0), jpeg)

    server.call(lambda: server.event(job.job_id, "running"))
    server.call(flood)
    server.call(lambda: server.finish(job.job_id, result_files()))

    took_s = tick(lambda: arrived(scene), timeout_s=60.0)

    assert len(took_s) > 10
    # Generous against a busy machine: the figures of a real window are in the add-on's README.
    assert statistics.median(took_s) < 0.02
    assert max(took_s) < 0.25
    assert not [image for image in blender.data.images if image.packed_file], "no preview is left"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames/00003.png": MISSING}, "frame 3 of the result is missing"),
        ({"frames/00002.png": b"no picture"}, "frame 2 of the result is no PNG"),
        ({"frames/00002.png": png()[:-20]}, "frame 2 of the result is not complete"),
        ({"frames/00001.png": png(width=16)}, "frame 1 of the result is 16x8 and not 8x8"),
        ({"frames/00004.png": png(rows=b"nonsense")}, "frame 4 of the result has damaged pixels"),
        ({"frames/00000.png": png(rows=zlib.compress(b"\0" * 9))}, "another number of pixels"),
        ({"frames/00000.png": png(rows=zlib.compress(b"\0" * 10_000_000))}, "another number of pixels"),
        ({"frames/00000.png": png(width=2**31 - 1, rows=b"")}, "claims 2147483647x8 pixels"),
        ({"result.json": MISSING}, "a file of the take cannot be read"),
    ],
)
def test_result_that_is_not_what_it_should_be_is_never_shown(scene, server, job, tick, changes, says):
    server.call(lambda: server.finish(job.job_id, result_files(changes)))
    tick(lambda: job.ended)

    assert job.state == "failed"
    assert says in str(job.error)
    assert "What to do" in str(job.error)
    assert not job.plane_folder.exists()
    (shot,) = scene.threedimo.shots
    assert (shot.plane, shot.shown) == (None, "")


@pytest.mark.parametrize("claimed", [-1, 1, 2**50])
def test_size_that_is_a_lie_is_refused(scene, server, small, job, tick, claimed):
    """A file is a byte shorter or longer than the server says, or said to fill every disk."""
    import msgspec

    def finish():
        files = result_files()
        result = small.result_of(job.job_id, files)
        first = result.files[0]
        size = claimed if claimed > 1 else first.size + claimed
        lied = msgspec.structs.replace(first, size=size)
        entry = server.jobs[job.job_id]
        entry.files = files
        entry.result = msgspec.structs.replace(result, files=[lied, *result.files[1:]])
        server.event(job.job_id, "done")
        server._tell(entry.result)

    server.call(finish)
    tick(lambda: job.ended, timeout_s=60.0)

    assert job.state == "failed"
    assert not job.frames_folder.exists()
    assert not job.plane_folder.exists()


def test_length_that_is_a_lie_is_refused(scene, server, small, job, tick):
    import msgspec

    def finish():
        result = small.result_of(job.job_id, result_files())
        info = msgspec.structs.replace(result.info, num_frames=9)
        server.event(job.job_id, "done")
        server._tell(msgspec.structs.replace(result, info=info))

    server.call(finish)
    tick(lambda: job.ended)

    assert "another length than the shot asked for (given: 9 frames)" in str(job.error)


def test_pieces_and_files_in_a_wrong_order_make_the_right_frames_or_none(
    scene, server, job, tick, render, monkeypatch
):
    send = server._send_chunks

    def backwards(fetch, reply):
        held = []
        send(fetch, lambda kind, **fields: held.append((kind, fields)))
        for kind, fields in reversed(held):
            reply(kind, **fields)

    monkeypatch.setattr(server, "_send_chunks", backwards)
    noise = np.random.default_rng(0).integers(0, 255, 64 * 193, np.uint8).tobytes()
    frames = {
        f"frames/{frame:05d}.png": png(width=64, height=64, rows=zlib.compress(noise)) for frame in range(5)
    }
    files = dict(reversed(result_files(frames).items()))
    assert max(map(len, files.values())) > 5000, "several pieces a file"
    server.call(lambda: server.finish(job.job_id, files))

    tick(lambda: job.ended, timeout_s=60.0)

    if job.state == "ready":
        assert (job.frames_folder / "00000.png").read_bytes() == files["frames/00000.png"]
    else:
        assert not job.frames_folder.exists()


def test_old_news_changes_nothing(scene, server, job, tick, rest):
    from threedimo.wire.messages import Event

    server.call(lambda: server.event(job.job_id, "running"))
    tick(lambda: job.state == "running")

    for seq, state in ((1, "failed"), (2, "cancelled"), (0, "failed")):
        server.tell(Event(job_id=job.job_id, seq=seq, state=state))
    server.tell(Event(job_id=str(uuid.uuid4()), seq=9, state="failed"))
    rest(0.3)

    assert job.state == "running"
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: arrived(scene))


@pytest.mark.parametrize(
    "name", ["../../../esc.png", "/root/000000.png", "frames/..//0.png", ".hidden00000.pn"]
)
def test_names_that_lead_elsewhere_are_not_even_read(scene, server, small, job, rest, addon, tmp_path, name):
    from threedimo.wire.codec import encode

    assert len(name) <= len("frames/00000.png")
    name = name.ljust(len("frames/00000.png"), "x")
    before = sorted(path for path in tmp_path.rglob("*") if "home" not in path.parts)

    def finish():
        parts = [bytes(part) for part in encode(small.result_of(job.job_id, result_files()))]
        parts[0] = parts[0].replace(b"frames/00000.png", name.encode())
        for identity in server._followers[job.job_id]:
            server._sockets["control"].send_multipart([identity, *parts])

    server.call(finish)
    rest(1.0)

    assert job.state not in ("fetching", "ready")
    assert sorted(path for path in tmp_path.rglob("*") if "home" not in path.parts) == before
    assert not arrived(scene)


def test_two_blenders_on_one_server_keep_to_their_own_jobs(scene, server, job, tick, addon, tmp_path):
    """A second session beside this one: it sends its own shot, follows this one's too, and leaves."""
    import shutil

    from threedimo.wire.connection import find_server

    other = addon("session").Session(find_server)
    try:
        folder = tmp_path / "other" / str(uuid.uuid4())
        shutil.copytree(job.folder, folder)
        sheet = (folder / "take.json").read_text().replace(job.job_id, folder.name)
        (folder / "take.json").write_text(sheet)
        _, order = addon("takes").read_order(folder)
        theirs = other.start(folder.name, "theirs", folder, job.mapping, order)
        followed = other.attach(job.job_id, "ours", tmp_path / "other" / job.job_id, job.mapping, 0)

        def pumped(holds):
            def step():
                other.pump()
                return holds()

            tick(step)

        pumped(lambda: theirs.state == "queued" and followed.state == "queued")
        assert set(addon("runtime").session().jobs) == {job.job_id}
        server.call(lambda: server.finish(job.job_id, result_files()))
        pumped(lambda: arrived(scene) and followed.ended)
        assert followed.state == "ready"
        assert len(list((tmp_path / "other" / job.job_id / "plane").iterdir())) == 5
        other.cancel(theirs.job_id)
        pumped(lambda: theirs.ended)
        assert theirs.state == "cancelled"
        assert job.state == "ready"
    finally:
        other.close()
