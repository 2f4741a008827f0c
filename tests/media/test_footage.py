import math

import numpy as np
import pytest
from PIL import Image

from threedimo.errors import (
    EmptyMedia,
    InvalidRequest,
    MediaTooLarge,
    MediaTooSmall,
    UnreadableMedia,
)
from threedimo.media import (
    MediaLimits,
    frame_counts_that_fit,
    probe_footage,
    read_footage,
    write_png,
)


def sample(path, num_frames, sample_fps, start_s=0.0, **options):
    return read_footage(
        [path], fps=None, start_s=start_s, num_frames=num_frames, sample_fps=sample_fps, **options
    )


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
@pytest.mark.parametrize("sample_fps", [30.0, 24.0, 16.0, 8.0, 60.0])
def test_each_sample_is_the_frame_on_screen_at_its_time(write_coded, numbers_in, name, sample_fps):
    path = write_coded(name, 60, fps=30)
    num_frames = int(1.9 * sample_fps)
    expected = [math.floor(i / sample_fps * 30 + 0.1) for i in range(num_frames)]
    assert numbers_in(sample(path, num_frames, sample_fps)) == expected


def test_variable_frame_rate_is_sampled_by_time_and_not_by_index(write_coded, numbers_in):
    times_s = [0.0, 0.05, 0.5, 0.55, 1.0, 2.0, 2.1]
    path = write_coded("phone.mp4", 7, times_s=times_s)
    sampled = numbers_in(sample(path, 21, 10.0))
    assert sampled == [max(k for k, t in enumerate(times_s) if t <= i / 10 + 1e-6) for i in range(21)]
    assert sampled != sorted(set(sampled)), "a frame that stays is shown several times"


def test_footage_whose_clock_starts_late_starts_at_its_first_frame(write_coded, numbers_in):
    path = write_coded("late.mkv", 10, times_s=[5 + i / 10 for i in range(10)])
    assert numbers_in(sample(path, 9, 10.0)) == list(range(9))


@pytest.mark.parametrize("start_s", [0.5, 3.0, 6.2])
def test_a_start_in_the_middle_reaches_the_exact_frame(write_coded, numbers_in, start_s):
    path = write_coded("long.mp4", 200, fps=25)
    first = math.floor(start_s * 25 + 0.1)
    assert numbers_in(sample(path, 5, 25.0, start_s)) == list(range(first, first + 5))


def test_rates_of_television_do_not_repeat_frames(write_coded, numbers_in):
    path = write_coded("ntsc.mkv", 49, times_s=[round(i * 1001 / 24000, 3) for i in range(49)])
    assert numbers_in(sample(path, 49, 23.98)) == list(range(49))


def test_image_sequence_is_sampled_by_time(tmp_path, picture, numbers_in):
    files = [tmp_path / f"{i:04d}.png" for i in range(24)]
    for i, path in enumerate(files):
        write_png(path, picture(i))
    frames = read_footage(files, fps=24.0, start_s=0.25, num_frames=9, sample_fps=16.0)
    assert numbers_in(frames) == [math.floor((0.25 + i / 16) * 24 + 0.1) for i in range(9)]


def test_size_cuts_and_resizes_as_it_reads(write_coded):
    frames = sample(write_coded("clip.mp4", 9), 9, 30.0, size=(32, 32))
    assert frames.shape == (9, 32, 32, 3)
    assert frames.dtype == np.uint8


def test_a_path_may_be_a_string(write_coded):
    path = write_coded("clip.mp4", 20)
    np.testing.assert_array_equal(sample(str(path), 17, 30.0), sample(path, 17, 30.0))
    assert probe_footage([str(path)], fps=None) == probe_footage([path], fps=None)


def test_equal_reads_are_equal(write_coded):
    path = write_coded("clip.mp4", 20)
    np.testing.assert_array_equal(sample(path, 17, 30.0), sample(path, 17, 30.0))


@pytest.mark.parametrize("name", ["short.mp4", "short.mkv"])
def test_footage_shorter_than_the_shot_names_counts_that_fit(write_coded, name):
    path = write_coded(name, 48, fps=24)
    with pytest.raises(MediaTooSmall, match=r"at most 45 frames \(such as 37, 41, 45\)"):
        sample(path, 49, 24.0)
    assert len(sample(path, 45, 24.0)) == 45
    assert frame_counts_that_fit(probe_footage([path], fps=None), 24.0)[-1] == 45


def test_two_frames_are_too_few(write_coded):
    with pytest.raises(MediaTooSmall, match="footage that lasts as long as the shot") as refused:
        sample(write_coded("two.mp4", 2), 5, 30.0)
    assert "1 frames" not in str(refused.value), "no model makes one frame alone"
    assert str(refused.value).endswith("What to do: choose longer footage.")


def test_start_behind_the_end(write_coded):
    with pytest.raises(MediaTooSmall, match=r"a start before the end\..*choose an earlier start or longer"):
        sample(write_coded("clip.mp4", 30), 5, 30.0, start_s=9.0)


def test_short_image_sequence(tmp_path, picture):
    files = [tmp_path / f"{i}.png" for i in range(6)]
    for i, path in enumerate(files):
        write_png(path, picture(i))
    with pytest.raises(MediaTooSmall, match="at most 5 frames"):
        read_footage(files, fps=8.0, start_s=0, num_frames=9, sample_fps=8.0)


def test_truncated_footage_is_not_silently_used(write_coded, tmp_path, numbers_in):
    whole = write_coded("whole.mp4", 100, faststart=True)
    half = tmp_path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert numbers_in(sample(half, 5, 30.0)) == [0, 1, 2, 3, 4], "what lies before the damage may be used"
    with pytest.raises(UnreadableMedia, match=r"truncated|damaged"):
        sample(half, 97, 30.0)


def test_damaged_frames_are_refused_with_the_place(write_coded, tmp_path):
    whole = write_coded("whole.mp4", 60, codec="mpeg4", faststart=True).read_bytes()
    start = whole.index(b"mdat") + 4
    middle = (start + len(whole)) // 2
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(whole[:middle] + bytes(400) + whole[middle + 400 :])
    with pytest.raises(UnreadableMedia, match="damaged"):
        sample(damaged, 57, 30.0)


def test_sequence_of_different_sizes(tmp_path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, width in zip(files, (32, 48), strict=True):
        Image.new("RGB", (width, 32)).save(path)
    with pytest.raises(UnreadableMedia, match="differ in size"):
        read_footage(files, fps=2.0, start_s=0, num_frames=1, sample_fps=2.0)


def test_missing_picture_of_a_sequence(tmp_path, picture):
    write_png(tmp_path / "a.png", picture(0))
    with pytest.raises(UnreadableMedia, match="no file"):
        read_footage(
            [tmp_path / "a.png", tmp_path / "b.png"], fps=2.0, start_s=0, num_frames=1, sample_fps=2.0
        )


def test_several_files_need_a_rate_and_none_are_none(tmp_path):
    with pytest.raises(InvalidRequest, match="frame rate"):
        read_footage([tmp_path / "a", tmp_path / "b"], fps=None, start_s=0, num_frames=1, sample_fps=1.0)
    with pytest.raises(EmptyMedia, match="no driving footage"):
        read_footage([], fps=None, start_s=0, num_frames=1, sample_fps=1.0)


@pytest.mark.parametrize(
    "wrong", [{"num_frames": 0}, {"start_s": -1.0}, {"sample_fps": 0.0}, {"start_s": math.nan}]
)
def test_numbers_out_of_range(write_coded, wrong):
    arguments = {"fps": None, "start_s": 0.0, "num_frames": 5, "sample_fps": 10.0} | wrong
    with pytest.raises(InvalidRequest):
        read_footage([write_coded("clip.mp4", 30)], **arguments)


@pytest.mark.parametrize(
    "limits",
    [MediaLimits(max_pixels=1000), MediaLimits(max_duration_s=0.5), MediaLimits(max_clip_bytes=10_000)],
)
def test_limits(write_coded, limits):
    with pytest.raises(MediaTooLarge):
        sample(write_coded("clip.mp4", 30), 9, 30.0, limits=limits)
