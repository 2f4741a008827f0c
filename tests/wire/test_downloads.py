"""Results from a real server into a folder: resumption, damage, full disks, names that must not escape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from threedimo.errors import AssetCorrupt, InvalidRequest, MalformedMessage, NoSpace, UnwritableFolder
from threedimo.wire import messages as wire
from threedimo.wire.client import Accepted, ConnectionLost, Fetched, Fetching, Refused
from threedimo.wire.downloads import MAX_CHUNKS_UNDER_WAY

FILES = {
    "result.json": b"{}",
    "video.mp4": bytes(index % 241 for index in range(15_500)),
    "empty.log": b"",
    **{f"frames/{index:05}.png": b"frame %d" % index * (200 + index) for index in range(9)},
}


@pytest.fixture
def done(server, connect, make_shot):
    """A client whose job is done, and its result."""
    watcher, shot = connect(), make_shot(footage_bytes=1000)
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    server.call(lambda: server.finish(shot.job_id, FILES))
    return watcher, watcher.until(wire.Result)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "shots" / "shot_010"


def partial(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def fetches(server) -> list[wire.Fetch]:
    return [message for _, message in server.received if isinstance(message, wire.Fetch)]


def test_a_result_arrives_whole_under_its_final_name(server, done, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    assert watcher.until(Fetched).folder == folder
    assert contents(folder) == FILES
    assert list(folder.parent.iterdir()) == [folder]
    last = watcher.of(Fetching)[-1]
    assert last.received == last.total == sum(map(len, FILES.values()))
    asked = sum(fetch.credit for fetch in fetches(server))
    assert asked == sum(-(-len(whole) // 1000) for whole in FILES.values())


def test_credit_is_bounded(server, done, folder):
    watcher, result = done
    server.ignored_fetches = 1000
    watcher.client.fetch(result.job_id, result, folder)
    watcher.rest(0.2)
    assert sum(fetch.credit for fetch in fetches(server)) == MAX_CHUNKS_UNDER_WAY


def test_nothing_looks_finished_before_it_is(server, done, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    seen = 0
    while not watcher.of(Fetched):
        assert folder.exists() == bool(watcher.of(Fetched))
        seen += partial(folder).exists()
        watcher.client.wait(0.02)
        watcher.events += watcher.client.pump(budget_s=0.0)
    assert seen > 5


def test_a_fetch_goes_on_where_a_lost_connection_left_it(server, done, folder):
    watcher, result = done

    def fall_silent() -> None:
        server.mute = len(fetches(server)) == 6

    server.on_fetch = fall_silent
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(ConnectionLost)
    received = watcher.of(Fetching)[-1].received
    asked_before = len(fetches(server))
    server.on_fetch = lambda: None
    server.stop()
    server.mute = False
    server.start()
    watcher.until(Fetched)
    assert contents(folder) == FILES
    assert fetches(server)[asked_before].offset > 0
    asked_after = sum(fetch.credit for fetch in fetches(server)[asked_before:])
    assert asked_after <= sum(-(-len(whole) // 1000) for whole in FILES.values()) - received // 1000 + 1


def test_another_client_goes_on_from_what_is_on_the_disk(server, done, connect, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    while not any(event.received > 9000 for event in watcher.of(Fetching)):
        watcher.events += watcher.client.pump(budget_s=0.0)
    watcher.client.close()
    kept = {name: len(body) for name, body in contents(partial(folder)).items()}
    asked_before = len(fetches(server))
    second = connect()
    second.client.fetch(result.job_id, result, folder)
    second.until(Fetched)
    assert contents(folder) == FILES
    # What the first client asked last may still reach the server after it was counted.
    later = fetches(server)[asked_before:]
    assert any(fetch.offset == kept.get(fetch.name, 0) > 0 for fetch in later)
    assert not any(fetch.offset == 0 and kept.get(fetch.name, 0) > 0 for fetch in later)


def test_a_fetch_that_is_stopped_writes_no_more_and_can_be_taken_up_again(done, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    while not any(event.received > 9000 for event in watcher.of(Fetching)):
        watcher.events += watcher.client.pump(budget_s=0.0)
    watcher.client.stop_fetching(result.job_id)
    kept = contents(partial(folder))
    watcher.rest(0.2)
    assert contents(partial(folder)) == kept
    assert not folder.exists()
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(Fetched)
    assert contents(folder) == FILES


def test_what_is_on_the_disk_is_not_trusted(server, done, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    while not watcher.of(Fetching):
        watcher.events += watcher.client.pump(budget_s=0.0)
    watcher.client.close()
    (partial(folder) / "video.mp4").write_bytes(b"damaged" * 100)
    (partial(folder) / "result.json").write_bytes(b"longer than the file")
    (partial(folder) / "frames").mkdir(exist_ok=True)
    whole = FILES["frames/00003.png"]
    (partial(folder) / "frames/00003.png").write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    second = type(watcher)(type(watcher.client)(server.info, "another"))
    with second.client:
        second.client.fetch(result.job_id, result, folder)
        second.until(Fetched)
        assert second.of(Fetching)[-1].received == sum(map(len, FILES.values()))
    assert contents(folder) == FILES


def test_a_damaged_chunk_is_found_and_a_new_fetch_heals_it(server, done, folder):
    watcher, result = done
    server.damaged_chunks = 1
    watcher.client.fetch(result.job_id, result, folder)
    refused = watcher.until(Refused)
    assert isinstance(refused.error, AssetCorrupt)
    assert (refused.request, refused.job_id) == ("fetch", result.job_id)
    assert not folder.exists()
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(Fetched)
    assert contents(folder) == FILES


def test_a_fetch_that_is_never_answered_is_begun_anew(server, done, folder):
    watcher, result = done
    server.ignored_fetches = 1
    watcher.client.fetch(result.job_id, result, folder)
    assert "does not move" in watcher.until(ConnectionLost).reason
    watcher.until(Fetched)


def test_two_results_are_fetched_one_after_the_other(server, done, make_shot, tmp_path):
    watcher, result = done
    shot = make_shot(footage_bytes=1000)
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    server.call(lambda: server.finish(shot.job_id, {"video.mp4": b"second"}))
    second = watcher.until(wire.Result)
    watcher.client.fetch(result.job_id, result, tmp_path / "a")
    watcher.client.fetch(second.job_id, second, tmp_path / "b")
    watcher.until(Fetched, job_id=result.job_id)
    watcher.until(Fetched, job_id=second.job_id)
    assert contents(tmp_path / "b") == {"video.mp4": b"second"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_and_leaves_nothing_that_looks_finished(done, folder):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    (partial(folder) / "video.mp4").symlink_to("/dev/full")
    refused = watcher.until(Refused)
    assert isinstance(refused.error, NoSpace)
    assert "free space" in str(refused.error)
    assert not folder.exists()
    (partial(folder) / "video.mp4").unlink()
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(Fetched)
    assert contents(folder) == FILES


def test_a_result_larger_than_the_disk_is_refused_before_it_is_fetched(done, folder):
    watcher, result = done
    giant = wire.ResultFile(name="video.mp4", size=2**50, hash="0" * 64)
    with pytest.raises(NoSpace, match="does not fit"):
        watcher.client.fetch(
            result.job_id, wire.Result(job_id=result.job_id, files=[giant], info=result.info), folder
        )


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "..", "a/b/c", "C:x", "a\\b", ".job_id", "x\n", ""])
def test_names_that_leave_the_folder_are_refused(done, folder, name):
    watcher, result = done
    entry = wire.ResultFile(name=name, size=1, hash="0" * 64)
    with pytest.raises(MalformedMessage):
        watcher.client.fetch(
            result.job_id, wire.Result(job_id=result.job_id, files=[entry], info=result.info), folder
        )
    assert not folder.parent.exists()


@pytest.mark.parametrize("names", [("a.png", "a.png"), ("a.png", "A.PNG"), ("frames", "frames/0.png")])
def test_names_that_collide_are_refused(done, folder, names):
    watcher, result = done
    entries = [wire.ResultFile(name=name, size=1, hash="0" * 64) for name in names]
    with pytest.raises(MalformedMessage, match="twice"):
        watcher.client.fetch(
            result.job_id, wire.Result(job_id=result.job_id, files=entries, info=result.info), folder
        )


def test_what_a_person_keeps_in_the_folder_is_left_alone(done, folder):
    watcher, result = done
    for place in (folder, partial(folder)):
        place.mkdir(parents=True)
        (place / "notes.txt").write_text("mine")
        with pytest.raises(UnwritableFolder):
            watcher.client.fetch(result.job_id, result, folder)
        assert contents(place) == {"notes.txt": b"mine"}
        (place / "notes.txt").unlink()
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(Fetched)


def test_the_rest_of_another_jobs_download_is_cleared_away(done, folder):
    watcher, result = done
    partial(folder).mkdir(parents=True)
    (partial(folder) / ".job_id").write_text("another job")
    (partial(folder) / "frames").mkdir()
    (partial(folder) / "frames/00099.png").write_bytes(b"old")
    watcher.client.fetch(result.job_id, result, folder)
    watcher.until(Fetched)
    assert contents(folder) == FILES


def test_one_job_is_fetched_into_one_folder(done, folder, tmp_path):
    watcher, result = done
    watcher.client.fetch(result.job_id, result, folder)
    watcher.client.fetch(result.job_id, result, folder)
    with pytest.raises(InvalidRequest):
        watcher.client.fetch(result.job_id, result, tmp_path / "elsewhere")
    watcher.until(Fetched)
    assert len(watcher.of(Fetched)) == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX message")
def test_a_folder_that_cannot_be_made_is_named(done, tmp_path):
    watcher, result = done
    (tmp_path / "a-file").write_text("")
    with pytest.raises(UnwritableFolder, match="a-file"):
        watcher.client.fetch(result.job_id, result, tmp_path / "a-file" / "shot")


def test_a_result_that_the_server_has_lost_is_refused(server, done, folder):
    watcher, result = done
    server.jobs.clear()
    watcher.client.fetch(result.job_id, result, folder)
    refused = watcher.until(Refused)
    assert (refused.error.code, refused.request, refused.job_id) == ("job.unknown", "fetch", result.job_id)
