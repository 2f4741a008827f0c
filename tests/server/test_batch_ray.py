"""`threedimo batch --engine ray`: real clusters and actors, a tiny model of random weights."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from PIL import Image

PROGRAMS = Path(__file__).parent / "programs"
LIMIT_S = 180
SHOT_FILES = {"frames", "video.mp4", "comparison.mp4", "result.json", "contact_sheet.png"}


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two workers, which want no real GPU."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("OMP_NUM_THREADS", "1")
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short, for the sockets in it
        head = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "ray_cluster.py"), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        yield head.stdout.readline().strip()
        left = processes("--end-with-input")
        head.communicate(timeout=LIMIT_S)
        shutil.rmtree(folder, ignore_errors=True)
        assert (left, processes(folder)) == ([], [])


@pytest.fixture(scope="module")
def ray_options(cluster, tiny_pipeline_folder):
    return ["--engine", "ray", "--ray-address", cluster, "--model", tiny_pipeline_folder]


def processes(word):
    """Command lines of living processes with this word in them, but for zombies and this one."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if any(word in each for each in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def contents(folder):
    return {path.name for path in folder.iterdir() if path.name != ".batch.lock"}


def test_shots_are_those_of_a_server_and_one_that_fails_holds_up_nothing(
    run, home, ray_options, write_list, tmp_path
):
    listed = (
        {"name": "010", "camera_path": "camera.json", "frames": 9},
        {"name": "020", "text": "From above.", "seed": 3, "frames": 9},
        {"name": "030", "drive": ["woman.jpg"] * 6 + ["broken.jpg"] * 6, "drive_fps": 12},
    )
    shots, output = write_list(*listed), tmp_path / "ray"
    film = shots.parent
    Image.open(film / "woman.png").save(film / "woman.jpg")
    whole = (film / "woman.jpg").read_bytes()
    (film / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    code, out, err = run(home, "batch", shots, "--output", output, *ray_options)
    assert (code, "Traceback" in err) == (11, False), err
    assert contents(output) == {"010", "020", "batch.json"}
    assert "3 shots for up to 2 workers" in err
    table = [line.split()[:3] for line in out.splitlines()[1:]]
    assert table == [["010", "done", "9"], ["020", "done", "9"], ["030", "failed", "[media.unreadable]"]]

    book = json.loads((output / "batch.json").read_text())["shots"]
    found = [(book[name]["job_id"], book[name]["state"]) for name in ("010", "020", "030")]
    assert found == [("", "done"), ("", "done"), ("", "failed")], "no job outlives the command"

    shots = write_list(*listed[:2])
    assert run(home, "batch", shots, "--output", tmp_path / "server")[0] == 0
    for name in ("010", "020"):
        assert contents(output / name) == SHOT_FILES
        for frame in (tmp_path / "server" / name / "frames").iterdir():
            assert frame.read_bytes() == (output / name / "frames" / frame.name).read_bytes()

    code, out, err = run(home, "batch", shots, "--output", output, *ray_options, "--ray-address", "nowhere:1")
    assert (code, err) == (0, "2 of 2 done before\n"), "nothing is left that a cluster were needed for"
    assert out.count("done before") == 2


def test_a_worker_that_is_killed_is_replaced_and_its_shot_made(
    start, home, ray_options, write_list, tmp_path
):
    shots = write_list({"name": "a", "steps": 150, "frames": 13}, {"name": "b"})
    process = start(home, "batch", shots, "--output", tmp_path / "killed", *ray_options)
    seen = [""]
    while "a denoising" not in seen[-1]:
        seen.append(process.stderr.readline())
        assert seen[-1], seen
    killed = processes("ray::ShotMaker")
    assert killed
    for worker in killed:
        worker.kill()
    out, err = process.communicate(timeout=LIMIT_S)
    err = "".join(seen) + err
    assert process.returncode == 0, err
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [[name, "done"] for name in "ab"]
    assert contents(tmp_path / "killed") == {"a", "b", "batch.json"}
    assert len(re.findall(r"^[ab] done", err, re.MULTILINE)) == 2, "each shot once"


@pytest.mark.slow
def test_a_batch_that_was_interrupted_goes_on_and_its_own_ray_ends_with_it(
    home, ray_options, run, start, write_list, tmp_path
):
    shots = write_list({"name": "a"}, {"name": "b", "steps": 150, "frames": 13})
    own_ray = ["--engine", "ray", *ray_options[-2:]]
    command = [sys.executable, "-m", "threedimo_server.cli", "batch", shots, "--output", tmp_path / "b"]
    process = subprocess.Popen(
        [*map(str, [*command, *own_ray])],
        env=os.environ | {"THREEDIMO_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    seen = [""]
    while "b denoising" not in seen[-1]:
        seen.append(process.stderr.readline())
        assert seen[-1], seen
    family = psutil.Process(process.pid).children(recursive=True)
    places = {place for each in family for place in listened(each)}
    assert {place.ip for place in places} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert 8265 not in {place.port for place in places}, "a dashboard"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    assert "error [job.cancelled]: interrupted; 1 shot cancelled" in err.splitlines()[-1]
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    first = (tmp_path / "b" / "a" / "result.json").read_bytes()

    code, _, err = run(home, "batch", shots, "--output", tmp_path / "b")  # by whichever engine
    assert code == 0, err
    assert "1 of 2 done before" in err
    assert contents(tmp_path / "b") == {"a", "b", "batch.json"}
    assert (tmp_path / "b" / "a" / "result.json").read_bytes() == first


def listened(process):
    try:
        return {each.laddr for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    except psutil.Error:  # it has ended meanwhile
        return set()


def test_without_ray_the_error_names_what_to_install(run, write_list, tmp_path, monkeypatch):
    (tmp_path / "ray.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    shots = write_list({"name": "a"})
    code, out, err = run(tmp_path, "batch", shots, "--output", tmp_path / "out", "--engine", "ray")
    assert (code, out) == (5, "")
    assert "error [request.invalid]: Ray is not installed" in err
    assert "pip install 'threedimo[ray]'" in err


def test_a_cluster_that_does_not_answer_is_named(run, write_list, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    shots, address = write_list({"name": "a"}), "127.0.0.1:1"
    monkeypatch.setenv("RAY_ADDRESS", address)
    code, out, err = run(tmp_path, "batch", shots, "--output", tmp_path / "out", "--engine", "ray")
    assert (code, out) == (7, ""), err
    assert "error [server.unreachable]: no Ray cluster answers there" in err.splitlines()[-1]
    assert address in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "ray", "--server", "tcp://render-1:7400"], "--server: not allowed with --engine ray"),
        (["--ray-address", "10.0.0.1:6379"], "--ray-address: not allowed with --engine local"),
        (["--model", "embedded"], "--model: not allowed with --engine local"),
        (["--engine", "slurm"], "invalid choice: 'slurm'"),
    ],
)
def test_options_of_the_other_engine_are_wrong_usage(run, tmp_path, options, words):
    code, out, err = run(tmp_path, "batch", "shots.json", "--output", tmp_path / "out", *options)
    assert (code, out) == (2, "")
    assert "threedimo: error [usage]: argument " in err.splitlines()[-1]
    assert words in err
