"""Rendering a folder: the same bytes however often it is killed, and no mixing of options."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from threedimo.errors import DataError, InvalidRequest, InvalidShard, UnwritableFolder
from threedimo_training.shards.index import checksum
from threedimo_training.shards.reader import ShardFolder

RENDER = Path(__file__).parent / "programs" / "render.py"


def contents(folder: Path) -> dict[str, str]:
    return {file.name: checksum(file) for file in folder.iterdir()}


def start(folder: Path, clips: int, draw: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(RENDER), str(folder), str(clips), draw],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What a run that ends well shows."""
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    return shown


def wait_for(condition, seconds: float = 30) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)


def begun(folder: Path) -> bool:
    """Whether a shard is finished and another one is being written."""
    names = [file.name for file in folder.iterdir()] if folder.exists() else []
    return "shard-00000.tar" in names and any(name.startswith(".shard-") for name in names)


def test_a_folder_is_the_same_with_any_number_of_workers(render, tmp_path):
    entries, shown = render(tmp_path / "one", workers=1)
    assert [entry.samples for entry in entries] == [4, 4, 2]
    assert [sum(entry.roles.values()) for entry in entries] == [4, 4, 2]
    assert "10 of 10 clips" in shown
    render(tmp_path / "three", workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    assert set(contents(tmp_path / "one")) == {
        "README.md", "index.json", "render.json", "shard-00000.tar", "shard-00001.tar", "shard-00002.tar",
    }  # fmt: skip


def test_another_seed_gives_other_samples(render, tmp_path):
    render(tmp_path / "one", clips=4, workers=1)
    render(tmp_path / "two", clips=4, workers=1, seed=4)
    assert (
        ShardFolder(tmp_path / "one").entries[0].blake2b != ShardFolder(tmp_path / "two").entries[0].blake2b
    )


def test_a_killed_run_goes_on_and_leaves_the_same_bytes(render, tmp_path):
    process = start(tmp_path / "out", 20, "draw_slowly")
    wait_for(lambda: begun(tmp_path / "out"))
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(child.is_running() for child in children), 5)
    finished = {
        name: value for name, value in contents(tmp_path / "out").items() if name.startswith("shard-")
    }
    assert 1 <= len(finished) < 5
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in finished}

    shown = finish(start(tmp_path / "out", 20, "draw_slowly"))
    assert f"{4 * len(finished)} of 20 clips are there already" in shown
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in finished} == times

    finish(start(tmp_path / "whole", 20, "draw_slowly"))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_control_c_leaves_finished_shards_and_nothing_else(tmp_path):
    process = start(tmp_path / "out", 20, "draw_slowly")
    wait_for(lambda: begun(tmp_path / "out"))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and to all workers
    _, shown = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in shown
    assert not list((tmp_path / "out").glob(".*"))
    shards = ShardFolder(tmp_path / "out")
    assert 4 <= len(shards) < 20
    shards.verify()


def test_a_worker_that_dies_is_told(render, stick_people, tmp_path):
    with pytest.raises(DataError, match="a render process died"):
        render(tmp_path / "out", draw=stick_people.draw_and_die, workers=1)
    assert len(ShardFolder(tmp_path / "out")) == 4


def test_a_shard_that_was_finished_just_before_a_kill_is_kept(render, tmp_path):
    render(tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "index.json").unlink()
    (tmp_path / "out" / ".shard-00001.tar.0.part").write_bytes(b"half")
    written = (tmp_path / "out" / "shard-00001.tar").stat().st_mtime_ns
    _, shown = render(tmp_path / "out")
    assert "10 of 10 clips are there already" in shown
    assert contents(tmp_path / "out") == before
    assert (tmp_path / "out" / "shard-00001.tar").stat().st_mtime_ns == written


def test_more_clips_may_be_asked_for_later(render, tmp_path):
    render(tmp_path / "grown")
    render(tmp_path / "grown", clips=13)
    render(tmp_path / "whole", clips=13)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_a_deleted_shard_is_made_again(render, tmp_path):
    render(tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "shard-00001.tar").unlink()
    render(tmp_path / "out")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 48}, "size 32 is now 48"),
        ({"num_frames": 9}, "num_frames 5 is now 9"),
        ({"seed": 4}, "seed 3 is now 4"),
        ({"fps": 12.0}, "fps 8.0 is now 12.0"),
        ({"held_out": True}, "held_out False is now True"),
        ({"roles": ("same_view",)}, "roles"),
        ({"shard_clips": 5}, "shard_clips 4 is now 5"),
        ({"clips": 4}, "clips 10 is now 4"),
    ],
)
def test_other_options_are_refused(render, rendered, change, message):
    before = contents(rendered)
    with pytest.raises(InvalidRequest, match=message):
        render(rendered, **change)
    assert contents(rendered) == before


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, stick_people) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "out"
    finish(start(folder, 10, "draw"))
    return folder


def test_settings_of_what_draws_are_kept_too(render, stick_people, tmp_path):
    render(
        tmp_path / "out", clips=1, workers=1, draw=functools.partial(stick_people.draw_paused, pause_s=0.0)
    )
    with pytest.raises(InvalidRequest, match=r"pause_s=0\.0\) is now .*pause_s=0\.1"):
        render(tmp_path / "out", clips=1, draw=functools.partial(stick_people.draw_paused, pause_s=0.1))


def test_another_way_to_draw_is_refused(rendered, render, stick_people):
    with pytest.raises(InvalidRequest, match="drawn_by"):
        render(rendered, draw=stick_people.draw_slowly)


@pytest.mark.parametrize(
    "change", [{"clips": 0}, {"size": 8}, {"num_frames": 0}, {"fps": 0}, {"seed": -1}, {"workers": 0},
               {"roles": ()}, {"roles": ("sideways",)}, {"roles": ("same_view", "same_view")}],
)  # fmt: skip
def test_options_out_of_range_are_refused(render, tmp_path, change):
    with pytest.raises(InvalidRequest):
        render(tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_a_finished_shard_that_was_changed_is_refused(render, tmp_path):
    render(tmp_path / "out", clips=4, workers=1)
    shard = tmp_path / "out" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(InvalidShard, match=r"shard-00000\.tar is not the shard"):
        render(tmp_path / "out", clips=4, workers=1)


def test_folders_of_others_are_left_alone(render, samples, folder, tmp_path):
    from threedimo_training.shards.writer import write_shards

    with pytest.raises(UnwritableFolder, match="not rendered into it"):
        render(folder)
    render(tmp_path / "out", clips=2, workers=1)
    with pytest.raises(UnwritableFolder, match="rendered shards"):
        write_shards(samples, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(UnwritableFolder, match="data card"):
        render(tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"
