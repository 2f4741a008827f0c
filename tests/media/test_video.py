import math
from fractions import Fraction

import av
import numpy as np
import pytest

from threedimo.errors import EmptyMedia, MediaTooSmall, UnreadableMedia
from threedimo.media import probe_video, read_footage

RED, WHITE, BLACK = (200, 0, 0), (255, 255, 255), (0, 0, 0)


def first_frame(path):
    return read_footage([path], fps=None, start_s=0, num_frames=1, sample_fps=30.0)[0]


def near(pixel, colour):
    return np.abs(pixel.astype(int) - colour).max() < 25


def test_probe(write_coded):
    info = probe_video(write_coded("clip.mp4", 48, fps=24))
    assert (info.width, info.height, info.num_frames) == (64, 48, 48)
    assert info.fps == 24
    assert math.isclose(info.duration_s, 2.0, abs_tol=0.01)


def test_probe_of_matroska_counts_no_frames_but_knows_the_time(write_coded):
    info = probe_video(write_coded("clip.mkv", 48, fps=24))
    assert info.num_frames is None
    assert math.isclose(info.duration_s, 2.0, abs_tol=0.01)


@pytest.mark.parametrize(
    ("rotation_deg", "edge"),
    [(90, np.s_[:, :8]), (-90, np.s_[:, -8:]), (180, np.s_[-8:, :]), (0, np.s_[:8, :])],
)
def test_rotation_flag_turns_the_picture(write_coded, rotation_deg, edge):
    """The stored top edge is red; turned counter-clockwise by a quarter it is the left edge."""
    path = write_coded("turned.mp4", 3, rotation_deg=rotation_deg)
    frame = first_frame(path)
    sideways = rotation_deg % 180 != 0
    assert frame.shape == ((64, 48, 3) if sideways else (48, 64, 3))
    assert (probe_video(path).width, probe_video(path).height) == frame.shape[1::-1]
    assert near(frame[edge].mean(axis=(0, 1)), RED)


def test_mirror_flag(write_coded, numbers_in):
    """Frame 1 has its white column at the left; mirrored it is the highest bit, at the right."""
    path = write_coded("mirrored.mp4", 2, hflip=True)
    frames = read_footage([path], fps=None, start_s=0, num_frames=2, sample_fps=30.0)
    assert numbers_in(frames) == [0, 128]


def test_slanted_flag_is_refused(write_coded):
    with pytest.raises(UnreadableMedia, match="slant"):
        first_frame(write_coded("slanted.mp4", 2, rotation_deg=30))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("ten.mp4", "libx264", "yuv420p10le"),
        ("full.mkv", "ffv1", "yuv444p"),
        ("grey.mkv", "ffv1", "gray"),
        ("grey10.mkv", "ffv1", "gray10le"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("prores.mov", "prores_ks", "yuv422p10le"),
        ("old.avi", "mpeg4", "yuv420p"),
        ("tiny.gif", "gif", "rgb8"),
    ],
)
def test_codecs_and_bit_depths(write_coded, numbers_in, name, codec, pix_fmt):
    path = write_coded(name, 10, fps=10, codec=codec, pix_fmt=pix_fmt)
    frames = read_footage([path], fps=None, start_s=0, num_frames=9, sample_fps=10.0)
    assert numbers_in(frames) == list(range(9))


def test_alpha_lies_over_mid_grey(tmp_path):
    path = tmp_path / "alpha.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "argb"
        pixels = np.zeros((32, 32, 4), np.uint8)
        pixels[:16] = (255, 0, 0, 255)
        for i in range(2):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="argb")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frame = first_frame(path)
    assert near(frame[4, 4], (255, 0, 0))
    assert near(frame[28, 4], (128, 128, 128))


def test_wide_pixels_become_square(write_coded):
    path = write_coded("wide.mp4", 2, pixel_aspect=Fraction(3, 2))
    assert first_frame(path).shape == (48, 96, 3)
    assert probe_video(path).width == 96


def test_missing_empty_and_text(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 500)
    with pytest.raises(UnreadableMedia, match="no file"):
        probe_video(tmp_path / "none.mp4")
    with pytest.raises(UnreadableMedia, match="a folder"):
        probe_video(tmp_path)
    with pytest.raises(EmptyMedia, match="no bytes"):
        probe_video(tmp_path / "empty.mp4")
    with pytest.raises(UnreadableMedia, match="not a video"):
        probe_video(tmp_path / "text.mp4")


def test_sound_without_picture(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableMedia, match="no video stream"):
        probe_video(path)


def test_video_without_its_index(write_coded, tmp_path):
    whole = write_coded("whole.mp4", 60).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableMedia, match="damaged"):
        probe_video(cut)


def test_playlists_open_nothing(write_coded, tmp_path):
    write_coded("target.ts", 10, codec="mpeg4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ntarget.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnreadableMedia, match="not a video"):
        probe_video(playlist)


def test_tiny_video(tmp_path):
    path = tmp_path / "tiny.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 8, 8, "bgr0"
        frame = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
    with pytest.raises(MediaTooSmall, match="at least 16 pixels"):
        probe_video(path)
