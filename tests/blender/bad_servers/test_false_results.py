"""Results that are damaged, incomplete, out of order, or lie about sizes and names."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.blender.bad_servers.conftest import MISSING, arrived, png, result_files

pytestmark = pytest.mark.blender


def test_honest_result_arrives(scene, server, job, tick, render):
    server.call(lambda: server.finish(job.job_id, result_files()))
    tick(lambda: arrived(scene))

    np.testing.assert_allclose(render(3, "BLENDER_WORKBENCH", (8, 8))[4, 4], (80, 200, 0), atol=4)


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
