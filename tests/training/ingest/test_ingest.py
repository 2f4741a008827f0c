"""From video files to shards."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from threedimo.camera import describe
from threedimo.errors import InvalidRequest, MediaTooSmall, NoPerson, StorageError
from threedimo.media import read_footage, write_video
from threedimo_training.ingest.ingest import ingest
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.reader import ShardFolder

from .conftest import FPS, HEIGHT, WIDTH, nobody, still_camera

FRAMES = 6


class Call:
    """One call at small size; keeps what was reported."""

    def __init__(self, output: Path):
        self.output = output
        self.said = ""

    def __call__(self, videos: Iterable[Path], **options) -> int:
        stream = io.StringIO()
        options = {"size": 96, "num_frames": FRAMES, "fps": FPS} | options
        try:
            return ingest(list(videos), output=self.output, report=RenderProgress(stream), **options)
        finally:
            self.said = stream.getvalue()

    def samples(self) -> list[Sample]:
        folder = ShardFolder(self.output)
        return [folder[index] for index in range(len(folder))]


@pytest.fixture
def call(tmp_path) -> Call:
    return Call(tmp_path / "shards")


def test_a_still_single_view_reconstructs_itself(call, film):
    assert call([film("still.mp4", 2 * FRAMES + 3)]) == 2
    first, second = call.samples()
    assert (first.sample_id, second.sample_id) == ("still-000000", f"still-{FRAMES:06d}")
    assert (first.role, first.source, first.motion_id) == ("same_view", "footage", "footage-still-000000")
    assert first.target.text == "The camera remains static."
    assert first.target.frames.shape == (FRAMES, 96, 96, 3)
    assert (first.driving.frames == first.target.frames).all()
    assert first.target.path is None
    assert first.target.smpl_pose is None
    assert first.hand_crops is not None
    assert first.driving.person_id == second.target.person_id == "footage-still"
    assert (call.output / "README.md").exists()


def test_the_crop_does_not_follow_the_person(call, film):
    call([film("walk.mp4", FRAMES, places=lambda i: [(60 + 8 * i, HEIGHT - 208)])])
    (sample,) = call.samples()
    frames = sample.target.frames.astype(int)
    # the wall in the upper left corner stays where it is, while she passes
    assert np.abs(frames[1:, :8, :8] - frames[0, :8, :8]).mean() < 6
    assert np.abs(frames[-1] - frames[0]).mean() > 10


def test_a_moving_camera_needs_words(call, film, tmp_path):
    video = film("pan.mp4", FRAMES, camera=lambda i: (4 * i, 0), folder=tmp_path)
    assert call([video]) == 0
    assert "left out, the camera moves" in call.said
    video.with_suffix(".txt").write_text("Front view. The camera pans right.")
    assert call([video]) == 1
    (sample,) = call.samples()
    assert (sample.role, sample.target.text) == ("moving_camera", "Front view. The camera pans right.")


def test_calibrated_views_become_pairs(call, film, tmp_path):
    names = ("front.mp4", "left.mp4", "right.mp4")
    videos = [film(name, FRAMES, seed=seed, folder=tmp_path) for seed, name in enumerate(names)]
    for video, azimuth in zip(videos, (0, 90, -90), strict=True):
        still_camera(WIDTH, HEIGHT, azimuth_deg=azimuth).to_json(video.with_suffix(".json"))
    cameras = tmp_path / "cameras.json"
    cameras.write_text(json.dumps({name: name.replace("mp4", "json") for name in names}))
    assert call(videos, cameras=cameras, synchronised=True) == 6
    samples = {sample.sample_id: sample for sample in call.samples()}
    sample = samples["front--left-000000"]
    assert sample.role == "cross_view"
    assert sample.target.path is not None
    assert sample.driving.path is not None
    assert sample.target.text == describe(sample.target.path) == "Left side view. The camera remains static."
    assert sample.driving.text.startswith("Front view.")
    assert {each.held_out for each in samples.values()} == {sample.held_out}
    # a second call has nothing to do, and says so
    assert call(videos, cameras=cameras, synchronised=True) == 0
    assert "1 of 1 clips are there already" in call.said


def test_a_camera_file_that_contradicts_the_footage_is_left_out(call, film, tmp_path):
    video = film("pan.mp4", FRAMES, camera=lambda i: (4 * i, 0), folder=tmp_path)
    still_camera(WIDTH, HEIGHT).to_json(tmp_path / "still.json")
    (tmp_path / "cameras.json").write_text('{"pan.mp4": "still.json"}')
    assert call([video], cameras=tmp_path / "cameras.json") == 0
    assert "says that the camera stands still" in call.said


def test_no_clip_crosses_a_cut(call, film, tmp_path):
    parts = [
        read_footage([film(f"{seed}.mp4", 10, seed=seed)], fps=None, start_s=0, num_frames=10, sample_fps=FPS)
        for seed in (1, 5)
    ]
    write_video(tmp_path / "cut.mp4", np.concatenate(parts), FPS)
    call([tmp_path / "cut.mp4"])
    assert [sample.sample_id for sample in call.samples()] == ["cut-000000", "cut-000010"]


def test_nobody_and_several_people_are_refused(call, film):
    with pytest.raises(NoPerson, match=r"nobody is seen in any of the 1 clips \(given: empty.mp4"):
        call([film("empty.mp4", FRAMES, places=nobody)])
    two = film("two.mp4", FRAMES, places=lambda i: [(i, 112), (280 + i, 124)])
    with pytest.raises(NoPerson, match=r"two.mp4 shows several people \(given: 2 people about frame 0"):
        call([two])
    assert call([two], people=(290, 120, 500, 320)) == 1
    (sample,) = call.samples()
    assert sample.role == "same_view"


def test_an_error_keeps_what_was_finished_and_the_next_call_goes_on(call, film, tmp_path):
    good = film("good.mp4", 2 * FRAMES)
    bad = film("two.mp4", FRAMES, places=lambda i: [(i, 112), (280 + i, 124)])
    with pytest.raises(NoPerson, match=r"two\.mp4"):
        call([good, bad], shard_samples=1)
    assert len(call.samples()) == 2
    stamps = {file: file.stat().st_mtime_ns for file in call.output.glob("shard-*.tar")}
    # as a kill between a shard and the index leaves the folder
    (call.output / "index.json").unlink()
    (call.output / ".shard-00002.tar.1234.part").write_bytes(b"half")
    assert call([good, bad], people="largest") == 1
    assert "2 of 3 clips are there already" in call.said
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    assert [sample.sample_id for sample in call.samples()] == ["good-000000", "good-000006", "two-000000"]
    assert not list(call.output.glob("*.part"))
    assert not list(call.output.glob(".*.part"))


def test_a_folder_keeps_its_options_and_its_videos(call, film):
    call([film("one.mp4", FRAMES)])
    with pytest.raises(InvalidRequest, match=r"other options \(given: 64 px.*Allowed: 96 px"):
        call([film("one.mp4", FRAMES)], size=64)
    with pytest.raises(InvalidRequest, match="another video of this name"):
        call([film("one.mp4", 2 * FRAMES)])


def test_short_films_and_bad_numbers(call, film, tmp_path):
    with pytest.raises(MediaTooSmall, match="shorter than one clip"):
        call([film("flash.mp4", 1)])
    for options in ({"size": 8}, {"num_frames": 1}, {"fps": 0}, {"hand_size": 0}, {"people": "both"}):
        with pytest.raises(InvalidRequest):
            call([film("still.mp4", FRAMES)], **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Call(tmp_path / "file" / "shards")([film("still.mp4", FRAMES)])
