from pathlib import Path

import av
import numpy as np
import pytest

from threedimo.errors import NoSpace, StorageError, UnsupportedSize, UnwritableFolder
from threedimo.media import probe_video, read_footage, read_image, write_frames, write_png, write_video
from threedimo.media.writing import storage_errors

COLOURS = np.array([(200, 30, 90), (20, 180, 60), (240, 240, 240), (90, 90, 200), (10, 10, 10)], np.uint8)


def flat_frames():
    return COLOURS[:, None, None, :].repeat(36, 1).repeat(64, 2)


@pytest.mark.parametrize("fps", [16.0, 23.976, 29.97])
def test_video_round_trip(tmp_path, fps):
    path = tmp_path / "video.mp4"
    write_video(path, flat_frames(), fps)
    info = probe_video(path)
    assert (info.width, info.height, info.num_frames) == (64, 36, 5)
    assert info.fps == pytest.approx(fps, abs=1e-3)
    frames = read_footage([path], fps=None, start_s=0, num_frames=5, sample_fps=fps)
    assert np.abs(frames.astype(int) - flat_frames()).max() <= 6


def test_video_plays_everywhere(tmp_path):
    path = tmp_path / "video.mp4"
    write_video(path, flat_frames(), 16.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.colorspace) == ("h264", "yuv420p", 1)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"


def test_equal_frames_give_equal_bytes(tmp_path):
    write_video(tmp_path / "a.mp4", flat_frames(), 16.0)
    write_video(tmp_path / "b.mp4", flat_frames(), 16.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sizes_are_refused(tmp_path):
    with pytest.raises(UnsupportedSize, match="63x36"):
        write_video(tmp_path / "video.mp4", flat_frames()[:, :, :63], 16.0)
    assert list(tmp_path.iterdir()) == []


def test_frames_are_numbered_from_zero(tmp_path):
    paths = write_frames(tmp_path / "frames", flat_frames())
    assert [path.name for path in paths] == [f"{i:05d}.png" for i in range(5)]
    np.testing.assert_array_equal(read_image(paths[3]), flat_frames()[3])
    assert len(list((tmp_path / "frames").iterdir())) == 5, "no parts are left behind"


def test_missing_folder(tmp_path):
    with pytest.raises(UnwritableFolder, match="none"):
        write_png(tmp_path / "none" / "a.png", flat_frames()[0])
    with pytest.raises(UnwritableFolder):
        write_video(tmp_path / "none" / "a.mp4", flat_frames(), 16.0)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, flat_frames()[0])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_png(path, np.zeros((4, 4, 7), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def fill_with_bytes(path):
    with path.open("wb", 0) as file:
        file.write(b"x")


def fill_with_video(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(flat_frames()[0], format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("fill", [fill_with_bytes, fill_with_video])
def test_full_disk(fill):
    """`/dev/full` is the kernel's own full disk."""
    full = Path("/dev/full")
    with pytest.raises(NoSpace, match="full"), storage_errors(full):
        fill(full)


def test_other_storage_errors_keep_their_words(tmp_path):
    with pytest.raises(StorageError, match="directory"), storage_errors(tmp_path):
        tmp_path.write_bytes(b"")
