"""Assets to a real server: credit, resumption, idempotent submission."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import pytest

from threedimo.errors import AssetCorrupt, AssetMissing, EmptyMedia, LimitExceeded, UnreadableMedia
from threedimo.wire import messages as wire
from threedimo.wire.client import Accepted, ConnectionLost, Event, Refused, Uploading, make_asset


def puts(server) -> list[wire.AssetPut]:
    return [message for _, message in server.received if isinstance(message, wire.AssetPut)]


def test_an_asset_is_named_by_its_bytes_wherever_they_are(tmp_path):
    whole = bytes(3_000_000)
    (tmp_path / "a.bin").write_bytes(whole)
    assert make_asset(whole, "x") == make_asset(tmp_path / "a.bin", "x")
    with pytest.raises(EmptyMedia):
        make_asset(b"", "x")
    with pytest.raises(UnreadableMedia, match="gone"):
        make_asset(tmp_path / "gone.mp4", "x")


def test_a_job_is_uploaded_and_submitted(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files, label="shot 1", priority=2)
    accepted = watcher.until(Accepted)
    assert accepted.job_id == shot.job_id
    for key, source in shot.files.items():
        assert server.assets[key] == (source if isinstance(source, bytes) else source.read_bytes())
    assert server.jobs[shot.job_id].request == shot.request
    total = sum(asset.size for asset in (shot.request.reference_image, *shot.request.driving_footage.files))
    counts = [event.sent for event in watcher.of(Uploading)]
    assert counts == sorted(counts)
    assert counts[-1] == total == watcher.of(Uploading)[-1].total
    assert {name for name, message in server.received if isinstance(message, wire.AssetPut)} == {"data"}


def test_the_camera_travels_in_the_body(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    camera = bytes(8 * 25)
    track = wire.CameraTrack(num_frames=1, fps=8.0, width=8, height=8)
    request = msgspec.structs.replace(shot.request, camera=track)
    watcher.client.submit(shot.job_id, request, shot.files, camera=camera)
    watcher.until(Accepted)
    assert server.jobs[shot.job_id].camera == camera


@pytest.mark.parametrize("credit", [1, 3, 64])
def test_no_more_is_sent_than_the_server_has_asked_for(server, connect, make_shot, credit):
    server.credit = credit
    watcher, shot = connect(), make_shot(footage_bytes=30_500)
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    assert len(puts(server)) == 3 + 31  # Each chunk once.


def test_what_the_server_holds_is_not_sent_again(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    sent = len(puts(server))
    again = str(uuid.uuid4())
    watcher.client.submit(again, shot.request, {})
    watcher.until(Accepted, job_id=again)
    assert len(puts(server)) == sent


def test_two_jobs_share_an_upload(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    second = str(uuid.uuid4())
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.client.submit(second, shot.request, shot.files)
    watcher.until(Accepted, job_id=shot.job_id)
    watcher.until(Accepted, job_id=second)
    assert len(puts(server)) == 3 + 21


def test_footage_of_many_files_is_asked_about_in_parts(server, connect, make_shot, tmp_path):
    files: list[Path] = []
    for index in range(300):
        files.append(tmp_path / f"plate.{index:04}.png")
        files[-1].write_bytes(b"plate %d" % index)
    assets = [make_asset(file, file.name) for file in files]
    shot = make_shot()
    request = msgspec.structs.replace(shot.request, driving_footage=wire.Footage(files=assets, fps=24.0))
    sources = {asset.hash: file for asset, file in zip(assets, files, strict=True)} | shot.files
    watcher = connect()
    watcher.client.submit(shot.job_id, request, sources)
    watcher.until(Accepted)
    assert [len(m.assets) for _, m in server.received if isinstance(m, wire.AssetHave)] == [256, 45]


def test_an_upload_goes_on_where_a_lost_connection_left_it(server, connect, make_shot):
    server.credit = 1
    watcher, shot = connect(), make_shot()

    def fall_silent() -> None:
        server.mute = len(puts(server)) == 12

    server.on_put = fall_silent
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(ConnectionLost)
    server.on_put = lambda: None
    server.stop()
    server.mute = False
    server.start()
    watcher.until(Accepted)
    offsets = [(put.hash, put.offset) for put in puts(server)]
    assert len(offsets) == 3 + 21
    assert len(set(offsets)) == len(offsets)
    assert sum(isinstance(message, wire.Submit) for _, message in server.received) == 1


def test_a_restart_that_nobody_notices_is_healed(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    server.stop()
    server.start()
    second = make_shot(footage_bytes=5000)
    watcher.client.submit(second.job_id, second.request, second.files)
    watcher.until(Accepted, job_id=second.job_id)


def test_chunks_that_were_not_stored_are_sent_again(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    footage = shot.request.driving_footage.files[0].hash

    def lose_half() -> None:
        if len(server.assets.get(footage, b"")) > 10_000:
            server.assets[footage] = server.assets[footage][:5000]
            server.on_put = lambda: None

    server.on_put = lose_half
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    assert watcher.of(Refused) == []


def test_a_submit_without_an_answer_is_repeated_and_makes_one_job(server, connect, make_shot):
    server.unanswered_submits = 1
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    while not server.count(wire.Submit):
        watcher.pump()
    server.stop()
    watcher.until(ConnectionLost)
    server.start()
    watcher.until(Accepted)
    watcher.until(Event, state="queued")
    watcher.rest(0.3)
    assert server.count(wire.Submit) == 2
    assert len(server.jobs) == 1
    assert len(watcher.of(Accepted)) == len(watcher.of(Event)) == 1


def test_submitting_twice_is_one_submission(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    watcher.rest(0.2)
    assert server.count(wire.Submit) == 1


def test_an_asset_that_the_server_lost_is_offered_again(server, connect, make_shot):
    watcher, shot = connect(), make_shot()
    face = shot.request.reference_image.hash
    footage = shot.request.driving_footage.files[0]

    def evict() -> None:
        if len(server.assets.get(footage.hash, b"")) == footage.size:
            del server.assets[face]
            server.on_put = lambda: None

    server.on_put = evict
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    watcher.until(Accepted)
    assert server.count(wire.Submit) == 2


def test_a_job_whose_files_are_nowhere_is_refused(connect, make_shot):
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, {})
    refused = watcher.until(Refused)
    assert isinstance(refused.error, AssetMissing)
    assert (refused.request, refused.job_id) == ("asset.have", shot.job_id)


def test_a_file_that_differs_is_refused_at_once(connect, make_shot):
    watcher, shot = connect(), make_shot()
    footage = shot.request.driving_footage.files[0].hash
    video = shot.files[footage]
    video.write_bytes(b"shorter")
    with pytest.raises(AssetCorrupt, match="7 bytes"):
        watcher.client.submit(shot.job_id, shot.request, shot.files)
    video.unlink()
    with pytest.raises(AssetMissing, match="footage"):
        watcher.client.submit(shot.job_id, shot.request, shot.files)


@pytest.mark.parametrize("change", ["vanishes", "shrinks", "differs"])
def test_a_file_that_changes_under_way_stops_its_job_alone(server, connect, make_shot, change):
    watcher, shot, other = connect(), make_shot(), make_shot(footage_bytes=3000)
    footage = shot.request.driving_footage.files[0]
    video = shot.files[footage.hash]

    def spoil() -> None:
        if len(server.assets.get(footage.hash, b"")) >= 3000:
            server.on_put = lambda: None
            if change == "vanishes":
                video.unlink()
            elif change == "shrinks":
                video.write_bytes(b"short")
            else:
                video.write_bytes(bytes(footage.size))

    server.on_put = spoil
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    refused = watcher.until(Refused)
    assert (refused.job_id, refused.request) == (shot.job_id, "asset.put")
    assert isinstance(refused.error, AssetMissing if change == "vanishes" else AssetCorrupt)
    watcher.client.submit(other.job_id, other.request, other.files)
    watcher.until(Accepted, job_id=other.job_id)
    assert len(watcher.of(Refused)) == 1


def test_a_file_over_the_servers_limit_is_refused_before_it_is_sent(server, connect, make_shot):
    server.limits = wire.Limits(chunk_bytes=1000, max_asset_bytes=20_000)
    watcher, shot = connect(), make_shot()
    watcher.client.submit(shot.job_id, shot.request, shot.files)
    refused = watcher.until(Refused)
    assert isinstance(refused.error, LimitExceeded)
    assert "20000 bytes" in str(refused.error)
    assert puts(server) == []
