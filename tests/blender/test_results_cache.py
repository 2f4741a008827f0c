"""Results of files that were never saved: bounded if a person wants that, and nothing else is touched."""

from __future__ import annotations

import os
import time
import uuid

import pytest

pytestmark = pytest.mark.blender

TAKE_BYTES = 100_000
DAY_S = 24 * 3600.0


@pytest.fixture
def takes(leave_take, add_camera):
    """Four takes of an earlier session, oldest first, each of about `TAKE_BYTES`."""
    camera = add_camera()
    jobs = [leave_take(camera, scene_frames=range(1, 6), num_frames=5, seed=seed) for seed in range(4)]
    for age, job in enumerate(reversed(jobs)):
        (job.folder / "result" / "large.bin").write_bytes(bytes(TAKE_BYTES))
        os.utime(job.folder / "take.json", (time.time() - DAY_S * (age + 2),) * 2)
    return jobs


def test_oldest_go_until_the_rest_fits(addon, takes):
    trim = addon("results_cache").trim_results
    folder = takes[0].folder.parent

    deleted = trim(folder, int(2.5 * TAKE_BYTES), frozenset())

    assert deleted == [job.job_id for job in takes[:2]]
    assert [job.folder.exists() for job in takes] == [False, False, True, True]
    assert trim(folder, int(2.5 * TAKE_BYTES), frozenset()) == []


def test_takes_of_the_open_file_stay_however_old(addon, takes):
    kept = frozenset((takes[0].job_id, takes[2].job_id))

    deleted = addon("results_cache").trim_results(takes[0].folder.parent, 0, kept)

    assert deleted == [takes[1].job_id, takes[3].job_id]


def test_takes_of_the_last_day_stay(addon, takes):
    """Another Blender may be at work on them."""
    for job in takes[1:]:
        os.utime(job.folder / "take.json", (time.time() - DAY_S / 2,) * 2)

    assert addon("results_cache").trim_results(takes[0].folder.parent, 0, frozenset()) == [takes[0].job_id]


def test_what_is_no_take_stays(addon, takes, tmp_path):
    folder = takes[0].folder.parent
    for name in ("notes", str(uuid.uuid4())):
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    (takes[0].folder / "mine.txt").write_text("mine")
    foreign = folder / str(uuid.uuid4())
    foreign.mkdir()
    (foreign / "take.json").write_text("{}")
    os.utime(foreign / "take.json", (0, 0))

    addon("results_cache").trim_results(folder, 0, frozenset())

    assert sorted(path.name for path in folder.rglob("mine.txt")) == ["mine.txt"] * 3
    assert (foreign / "take.json").exists()
    assert [path.name for path in takes[0].folder.iterdir()] == ["mine.txt"]


@pytest.fixture
def preferences(blender, scene, addon):
    found = blender.context.preferences.addons[addon("preferences").__package__].preferences
    yield found
    found.cache_gb, found.output_folder = 0.0, ""


def test_only_the_extension_s_own_folder_is_bounded(blender, scene, addon, preferences, tmp_path):
    limit = addon("preferences").cache_limit
    assert limit() is None, "nothing is deleted unless somebody asks for it"
    preferences.cache_gb = 0.5
    folder, most_bytes = limit()
    assert (folder.name, most_bytes) == ("results", 500_000_000)
    assert folder == addon("preferences").takes_folder()
    preferences.output_folder = str(tmp_path)
    assert limit() is None
    preferences.output_folder = ""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert limit() is None


def test_next_shot_makes_room(blender, scene, add_camera, addon, preferences, server_says, tmp_path):
    """A shot of a file that was never saved, with an older take of nobody's in the folder."""
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    scene.threedimo.reference_image = str(tmp_path / "woman.png")
    scene.threedimo.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_start, scene.frame_end = 1, 9
    add_camera()
    preferences.cache_gb = 1e-7
    home = addon("preferences").takes_folder()
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    addon("dispatch").begin(scene, first)
    scene.threedimo.shots.clear()
    addon("runtime").end_session()
    os.utime(home / first / "take.json", (time.time() - 2 * DAY_S,) * 2)

    addon("dispatch").begin(scene, second)
    end = time.monotonic() + 20
    while (home / first).exists() and time.monotonic() < end:
        addon("runtime").tick()
        time.sleep(0.02)

    assert not (home / first).exists()
    assert (home / second / "take.json").exists()
