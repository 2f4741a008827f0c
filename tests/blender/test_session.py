"""The session without a server, with a silent one, and with one of another version; jobs found on disk."""

from __future__ import annotations

import json
import shutil
import statistics
import time

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home: no server."""
    monkeypatch.setenv("THREEDIMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make_session(addon, home):
    """Make sessions that find the server of this home."""
    from threedimo.wire.connection import find_server

    made = []

    def make():
        made.append(addon("session").Session(find_server))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def silent_server(home):
    """Two sockets that take everything and never answer: a server that hangs."""
    import zmq

    from threedimo.wire.connection import ConnectionInfo, connection_path, write_connection

    with zmq.Context() as context, context.socket(zmq.ROUTER) as control, context.socket(zmq.ROUTER) as data:
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in (control, data)]
        addresses = [f"tcp://127.0.0.1:{port}" for port in ports]
        write_connection(connection_path(), ConnectionInfo(*addresses))
        yield
        for each in (control, data):
            each.close(linger=0)


def pump_for(session, seconds):
    """Pump as the timer does, and give the time that each call took."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        session.pump()
        took.append(time.perf_counter() - start)
        time.sleep(0.01)
    return took


def test_without_a_server_the_problem_says_how_to_start_one(make_session):
    session = make_session()

    session.pump()

    assert not session.connected
    assert session.problem.code == "server.unreachable"
    assert "no server is running here" in str(session.problem)
    assert "What to do: start a server with `threedimo serve`" in str(session.problem)


def test_server_of_another_version_is_named_as_such(make_session, home):
    home.mkdir()
    connection = {
        "version": 2,
        "control": "tcp://127.0.0.1:1",
        "data": "tcp://127.0.0.1:2",
        "token": "",
        "pid": 0,
    }
    file = home / "connection.json"
    file.write_text(json.dumps(connection))
    file.chmod(0o600)
    session = make_session()

    session.pump()

    assert session.problem.code == "protocol.version"
    assert "the server speaks version 2 of the protocol and this extension version 1" in str(session.problem)
    assert "What to do: update this extension, which is older" in str(session.problem)


def test_server_that_hangs_never_holds_blender_up(make_session, silent_server):
    session = make_session()

    took = pump_for(session, 1.5)

    assert not session.connected
    # Generous against a busy machine: a call that waited would show as hundreds of milliseconds.
    assert statistics.median(took) < 0.005
    assert max(took) < 0.1


def test_job_whose_frames_are_on_disk_needs_no_server(make_session, addon, tmp_path, write_picture):
    for frame in range(2):
        write_picture(tmp_path / "job" / "result" / "frames" / f"{frame:05d}.png", (frame, 0, 0))
    (tmp_path / "job" / "result" / "result.json").write_text('{"model_id": "tiny"}')
    session = make_session()

    job = session.attach("id", "label", tmp_path / "job", addon("timeline").FrameMapping(1, 4, 24.0, 2), 3)
    pump_for(session, 0.3)

    assert (job.state, job.error) == ("ready", None)
    assert len(list((tmp_path / "job" / "plane").iterdir())) == 4


def test_job_that_is_forgotten_while_its_plane_is_laid_out_writes_no_more(
    make_session, addon, tmp_path, write_picture
):
    """Its folder can be deleted at once, and stays deleted."""
    folder = tmp_path / "job"
    write_picture(folder / "result" / "frames" / "00000.png", (1, 0, 0))
    (folder / "result" / "result.json").write_text('{"model_id": "tiny"}')
    session = make_session()

    session.attach("id", "label", folder, addon("timeline").FrameMapping(1, 5000, 24.0, 1), 3)
    session.pump()
    while len(list(folder.iterdir())) == 1:
        time.sleep(0.0005)  # until the thread has begun
    session.forget("id")

    shutil.rmtree(folder)
    pump_for(session, 0.5)
    assert not folder.exists()
    assert not session.working


def test_damaged_result_on_disk_fails_the_job_with_a_remedy(make_session, addon, tmp_path):
    (tmp_path / "job" / "result" / "frames").mkdir(parents=True)
    session = make_session()

    job = session.attach("id", "label", tmp_path / "job", addon("timeline").FrameMapping(1, 4, 24.0, 2), 3)
    pump_for(session, 0.3)

    assert job.state == "failed"
    assert "What to do" in str(job.error)
    assert not (tmp_path / "job" / "plane").exists()


def test_job_says_what_goes_on(addon, tmp_path):
    make_job = addon("jobs").Job
    mapping = addon("timeline").FrameMapping(1, 4, 24.0, 2)

    running = make_job(
        "id", "label", tmp_path, mapping, "running", phase="denoising", step=3, num_steps=10, eta_s=12.4
    )
    long = make_job("id", "label", tmp_path, mapping, "running", phase="denoising", step=1, eta_s=700.0)
    sending = make_job("id", "label", tmp_path, mapping, "sending", moved=1_000_000, total=4_000_000)

    assert running.sentence() == "denoising 3/10, 12 s left"
    assert long.sentence().endswith(", 12 min left")
    assert sending.sentence() == "sending 1.0 of 4.0 MB"


def test_one_bar_covers_the_whole_job_and_never_goes_back(make_session, addon, tmp_path):
    """Every event of a job in its order, and then a worker that is lost: the job begins anew."""
    from threedimo.wire.client_events import Fetching, Uploading
    from threedimo.wire.messages import Accepted, Event, Progress

    session = make_session()
    job = session.attach("id", "label", tmp_path / "job", addon("timeline").FrameMapping(1, 4, 24.0, 2), 0)
    session.pump()
    seen = {}

    def take(event, name):
        session._take(event)
        session.pump()
        seen[name] = job.fraction

    def running(phase, num_steps):
        for step in range(num_steps + 1):
            progress = Progress(job_id="id", phase=phase, step=step, num_steps=num_steps, elapsed_s=1.0)
            take(progress, f"{phase} {step}")

    take(Uploading("id", 5, 10), "sending")
    take(Accepted(job_id="id", seq=1, position=0), "queued")
    take(Event(job_id="id", seq=2, state="running"), "running")
    for phase, num_steps in (("decoding", 1), ("encoding", 1), ("denoising", 10), ("rendering", 4)):
        running(phase, num_steps)
    running("writing", 1)
    take(Event(job_id="id", seq=3, state="publishing"), "publishing")
    take(Fetching("id", 5, 10), "fetching")

    values = list(seen.values())
    assert values == sorted(values)
    assert seen["denoising 10"] - seen["denoising 0"] == pytest.approx(0.8)
    assert seen["denoising 0"] < 0.15
    assert seen["rendering 4"] - seen["rendering 0"] < 0.05
    assert 0.95 < seen["fetching"] < 1.0
    take(Event(job_id="id", seq=4, state="queued"), "queued anew")
    running("denoising", 1)
    assert job.fraction == seen["fetching"]
    assert job.sentence() == "denoising 1/1"


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [("scene", "frame_end", 48), ("render", "fps", 30), ("render", "resolution_x", 640)],
)
def test_panel_is_drawn_anew_when_frames_or_size_are_changed_elsewhere(
    scene, addon, no_server, monkeypatch, owner, name, value
):
    drawn = []
    monkeypatch.setattr(addon("runtime"), "redraw_panel", lambda: drawn.append(1))
    for _ in range(3):
        addon("runtime").tick()
    drawn.clear()
    addon("runtime").tick()
    assert not drawn

    setattr(scene if owner == "scene" else scene.render, name, value)
    addon("runtime").tick()
    addon("runtime").tick()

    assert drawn == [1]
