"""`threedimo stabilize`: the command, a real server and a real worker with a tiny model of random weights."""

import msgspec
import numpy as np
import pytest

from threedimo.applications import STEADY_CAMERA
from threedimo.errors import MediaTooSmall, UnsupportedFrameCount
from threedimo.media import VideoInfo, read_footage, read_image, write_png, write_video
from threedimo.wire.messages import ResultInfo
from threedimo_server.stabilize import whole_clip

LIMIT_S = 120


def write_shaky(path, num_frames):
    """A person before a wall, taken by a hand, at 12 fps."""
    rng = np.random.default_rng(0)
    frames = np.full((num_frames, 48, 64, 3), (40, 60, 90), np.uint8)
    for frame in frames:
        left, top = rng.integers(18, 27), rng.integers(6, 15)
        frame[top : top + 28, left : left + 16] = (250, 200, 160)
    write_video(path, frames, 12.0)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Of 2 s, of a quarter second, and of 5 s."""
    folder = tmp_path_factory.mktemp("clips")
    counts = {"shaky": 24, "short": 3, "long": 60}
    return {name: write_shaky(folder / f"{name}.mp4", count) for name, count in counts.items()}


def frames_of(folder):
    return [path.read_bytes() for path in sorted((folder / "frames").iterdir())]


def test_the_whole_clip_drives_its_own_first_frame(run, home, clips, tmp_path):
    code, out, err = run(home, "stabilize", clips["shaky"], "--seed", 2, "--output", tmp_path / "steady")
    assert (code, "Traceback" in err) == (0, False), err
    assert "13 frames at 8 fps; its last 0.38 s are left out, as the model makes 4k+1 frames" in err
    info = msgspec.json.decode((tmp_path / "steady" / "result.json").read_bytes(), type=ResultInfo)
    assert (info.num_frames, info.text, info.seed) == (13, STEADY_CAMERA, 2)
    assert str(tmp_path / "steady" / "video.mp4") in out
    sheet = read_image(tmp_path / "steady" / "contact_sheet.png")
    wall = (np.abs(sheet.astype(int) - (40, 60, 90)) < 8).all(-1)
    assert (wall.mean(1) > 0.3).any(), "the clip is shown beside the result"

    first = read_footage([clips["shaky"]], fps=None, start_s=0, num_frames=1, sample_fps=8)[0]
    write_png(tmp_path / "first.png", first)
    code, _, err = run(
        home,
        *("generate", "--reference", tmp_path / "first.png", "--drive", clips["shaky"], "--frames", 13),
        *("--text", STEADY_CAMERA, "--seed", 2, "--output", tmp_path / "by_hand"),
    )
    assert code == 0, err
    assert frames_of(tmp_path / "steady") == frames_of(tmp_path / "by_hand")


def test_a_part_of_pictures(run, home, tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(12):
        write_png(tmp_path / "clip" / f"{index}.png", np.full((40, 40, 3), 20 * index, np.uint8))
    command = ("stabilize", tmp_path / "clip", "--drive-fps", 12, "--drive-start", 0.25, "--fps", 12)
    code, _, err = run(home, *command, "--output", tmp_path / "out")
    assert code == 0, err
    assert "becomes 9 frames at 12 fps\n" in err, "from 0.25 s on nothing is left over"
    code, _, err = run(home, *command, "--frames", 5, "--output", tmp_path / "out", "--overwrite")
    assert code == 0, err
    assert len(frames_of(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    ("clip", "options", "exit_code", "error_code", "words"),
    [
        ("short", (), 3, "media.too_small", "at least 5 frames, which last 0.62 s at 8 fps"),
        ("shaky", ("--drive-start", 5), 3, "media.too_small", "start earlier"),
        ("long", (), 5, "request.frame_count", "--frames 33"),
        ("shaky", ("--frames", 10), 5, "request.frame_count", "9"),
        ("shaky", ("--frames", 17), 3, "media.too_small", "at most 13 frames"),
        ("shaky", ("--drive-fps", 12), 5, "request.invalid", "leave --drive-fps out"),
        ("nowhere", (), 3, "media.unreadable", "nowhere.mp4"),
        ("shaky", ("--server", "nowhere.json"), 7, "server.unreachable", "threedimo serve"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_paragraph(
    run, home, clips, tmp_path, clip, options, exit_code, error_code, words
):
    file = clips.get(clip, tmp_path / f"{clip}.mp4")
    code, out, err = run(home, "stabilize", file, "--output", tmp_path / "out", *options)
    assert (code, out) == (exit_code, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"threedimo: error [{error_code}]: ")
    assert words in last
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_an_earlier_result_is_kept(run, home, clips, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    code, _, err = run(home, "stabilize", clips["shaky"], "--output", tmp_path / "out")
    assert code == 10
    assert "--overwrite" in err


@pytest.mark.parametrize(
    ("duration_s", "fps", "start_s", "num_frames", "left_out_s"),
    [
        (17 / 8, 8.0, 0.0, 17, 0.0),
        (2.0, 8.0, 0.0, 13, 0.375),
        (2.0, 16.0, 0.0, 29, 0.1875),
        (3.0, 8.0, 1.0, 13, 0.375),
    ],
)
def test_as_much_of_a_clip_as_fits(tiny_info, duration_s, fps, start_s, num_frames, left_out_s):
    footage = VideoInfo(64, 48, 24.0, None, duration_s)
    found = whole_clip(footage, tiny_info, fps, start_s)
    assert found == (num_frames, pytest.approx(left_out_s))


def test_a_model_with_a_longer_stride(tiny_info):
    coarse = msgspec.structs.replace(tiny_info, frame_step=8)
    footage = VideoInfo(64, 48, 24.0, None, 2.0)
    assert whole_clip(footage, coarse, 8.0, 0.0)[0] == 9
    with pytest.raises(MediaTooSmall, match="at least 9 frames"):
        whole_clip(VideoInfo(64, 48, 24.0, None, 0.8), coarse, 8.0, 0.0)
    with pytest.raises(UnsupportedFrameCount, match="lower --fps"):
        whole_clip(footage, coarse, 60.0, 0.0)
