"""Cuts, lengths, and files that are not what they say."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest, MediaError, MediaTooSmall, UnreadableMedia
from threedimo.media import read_footage, write_video
from threedimo_training.ingest.footage import SampledVideo
from threedimo_training.ingest.survey import clip_starts, survey

from .conftest import FPS, tripod


def test_a_cut_between_two_films_is_found_and_a_pan_is_none(film, tmp_path):
    frames = [
        read_footage([film(f"{seed}.mp4", 20, seed=seed, camera=camera)], fps=None, start_s=0, num_frames=20,
                     sample_fps=FPS)
        for seed, camera in ((1, lambda i: (3 * i, 0)), (5, tripod))
    ]  # fmt: skip
    write_video(tmp_path / "both.mp4", np.concatenate(frames), FPS)
    assert survey(SampledVideo.open(tmp_path / "both.mp4", FPS), 9) == (40, (20,))


def test_clips_stay_within_shots():
    assert clip_starts(40, (15, 33), 9) == [0, 15, 24]
    assert clip_starts(9, (), 9) == [0]
    assert clip_starts(8, (), 9) == []


def test_every_frame_is_read_once_in_pieces(film, monkeypatch):
    video = SampledVideo.open(film("pieces.mp4", 20), FPS)
    whole = list(video.frames(3, 20))
    monkeypatch.setattr("threedimo_training.ingest.footage.PIECE_BYTES", 512 * 320 * 3 * 4)
    pieces = list(video.frames(3, 20))
    assert len(pieces) == len(whole) == 17
    assert all((a == b).all() for a, b in zip(pieces, whole, strict=True))


def test_one_frame_is_shorter_than_a_clip(film):
    with pytest.raises(MediaTooSmall, match=r"one.mp4 is shorter than one clip \(given: 1 frames"):
        survey(SampledVideo.open(film("one.mp4", 1), FPS), 9)


def test_a_truncated_film_is_named(film, tmp_path):
    whole = film("whole.mp4", 40).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UnreadableMedia, match=r"cut\.mp4"):
        survey(SampledVideo.open(cut, FPS), 9)


def test_no_video_and_too_few_frames_a_second(film, tmp_path):
    with pytest.raises(MediaError, match=r"missing\.mp4"):
        SampledVideo.open(tmp_path / "missing.mp4", FPS)
    with pytest.raises(InvalidRequest, match=r"12 frames a second, 24 asked for"):
        SampledVideo.open(film("slow.mp4", 12), 24.0)
