"""`threedimo novel-views`: the command, a real server, a real worker with a tiny model of random weights."""

import signal
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from threedimo.applications import start_view
from threedimo.camera import MOVES, CameraPath
from threedimo.errors import InvalidCameraPath, UnwritableFolder
from threedimo.media import probe_video, read_image, write_png
from threedimo.shot import Shot
from threedimo_server.contact_sheet import CELL_HEIGHT_PX
from threedimo_server.novel_views import ViewMove
from threedimo_server.view_set import ViewSetFacts, begin_set, unfinished_folder

LIMIT_S = 120
SHOT_FILES = {"frames", "video.mp4", "comparison.mp4", "result.json", "contact_sheet.png"}
SET_FILES = {"views.json", "reference.png", "contact_sheet.png", "cameras", "views"}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs") / "woman.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8))
    return path


def contents(folder):
    return {path.name for path in folder.iterdir()}


def frames_of(folder):
    return [path.read_bytes() for path in sorted((folder / "frames").iterdir())]


def test_two_arcs_by_default_each_a_shot_and_a_sheet_of_both(run, home, picture, tmp_path):
    output = tmp_path / "views"
    code, out, err = run(home, "novel-views", picture, "--output", output)
    assert (code, "Traceback" in err) == (0, False), err
    assert contents(tmp_path) == {"views"}
    assert contents(output) == SET_FILES
    assert contents(output / "views") == {"arc_left_45", "arc_right_45"}
    for name, side in (("arc_left_45", "left"), ("arc_right_45", "right")):
        shot = output / "views" / name
        assert contents(shot) == SHOT_FILES
        assert probe_video(shot / "video.mp4").num_frames == 9
        assert f"{name}: Front view. The camera arcs {side} 45 degrees." in out
        assert str(shot / "video.mp4") in out
    assert frames_of(output / "views" / "arc_left_45") != frames_of(output / "views" / "arc_right_45")
    assert "view 1 of 2: arc_left_45" in err
    assert "view 2 of 2: arc_right_45" in err
    sheet = read_image(output / "contact_sheet.png")
    assert sheet.shape[0] > 2 * CELL_HEIGHT_PX
    np.testing.assert_array_equal(read_image(output / "reference.png"), read_image(picture))


def test_a_view_can_be_repeated_by_generate(run, home, picture, tmp_path):
    options = ("--frames", 5, "--steps", 1, "--seed", 3)
    views = ("--seen-from", "left", "--views", "zoom_in:2")
    code, out, err = run(home, "novel-views", picture, *views, *options, "--output", tmp_path / "a")
    assert code == 0, err
    assert "1 view of 5 frames" in out
    camera = tmp_path / "a" / "cameras" / "zoom_in_2.json"
    assert CameraPath.from_json(camera).num_frames == 5
    code, out, err = run(
        home,
        *("generate", "--reference", picture, "--drive", picture, "--drive-fps", 8 / 5),
        *("--camera-path", camera, "--output", tmp_path / "b", *options),
    )
    assert code == 0, err
    assert "camera: Left side view. The camera zooms in" in out
    assert frames_of(tmp_path / "a" / "views" / "zoom_in_2") == frames_of(tmp_path / "b")


def broken_off(start, home, picture, output, number, view):
    """Interrupt the command in one of its views; its exit code and last words."""
    process = start(home, "novel-views", picture, "--steps", 100, "--output", output)
    seen = [""]
    while not (f"view {view} of 2" in "".join(seen) and "denoising" in seen[-1]):
        seen.append(process.stderr.readline())
        assert seen[-1], seen
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_set_that_was_broken_off_goes_on(start, run, home, picture, tmp_path, number):
    output, unfinished = tmp_path / "views", tmp_path / "views.unfinished"
    code, err = broken_off(start, home, picture, output, number, view=2)
    assert contents(tmp_path) == {"views.unfinished"}
    if number == signal.SIGINT:
        assert code == 130
        assert f"1 of 2 views done and kept in {unfinished}" in err
        assert err.splitlines()[-1].startswith("threedimo: error [job.cancelled]: ")
    first = (unfinished / "views" / "arc_left_45" / "result.json").read_bytes()

    code, _, err = run(home, "novel-views", picture, "--output", output)
    assert code == 10
    assert "views.unfinished, with num_inference_steps 100" in err
    code, _, err = run(home, "novel-views", picture, "--steps", 100, "--output", output)
    assert code == 0, err
    assert "1 view of 2 done before: arc_left_45" in err
    assert "view 2 of 2: arc_right_45" in err
    assert contents(tmp_path) == {"views"}
    assert contents(output) == SET_FILES
    assert contents(output / "views") == {"arc_left_45", "arc_right_45"}
    assert (output / "views" / "arc_left_45" / "result.json").read_bytes() == first


def test_nothing_is_kept_of_a_set_without_a_view(start, home, picture, tmp_path):
    code, err = broken_off(start, home, picture, tmp_path / "views", signal.SIGTERM, view=1)
    assert code == 130
    assert "kept" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_set_is_replaced_on_request_alone(run, home, picture, tmp_path):
    command = ("novel-views", picture, "--views", "up", "--frames", 5, "--steps", 1)
    output = tmp_path / "views"
    assert run(home, *command, "--output", output)[0] == 0
    code, _, err = run(home, *command, "--output", output)
    assert code == 10
    assert "--overwrite" in err
    code, _, err = run(home, *command, "--output", output, "--seed", 1, "--overwrite")
    assert code == 0, err
    assert contents(tmp_path) == {"views"}
    assert '"seed": 1' in (output / "views.json").read_text()

    (output / "thesis.txt").touch()
    code, _, err = run(home, *command, "--output", output, "--overwrite")
    assert code == 10
    assert "thesis.txt" in err


@pytest.mark.parametrize(
    ("options", "exit_code", "error_code", "words"),
    [
        (("--views", "spin"), 4, "camera.invalid", "arc_left"),
        (("--views", "arc_left:far"), 4, "camera.invalid", "number after the colon"),
        (("--views", "arc_left:500"), 4, "camera.invalid", "15 to 360"),
        (("--views", "static:2"), 4, "camera.invalid", "no amount"),
        (("--turn", 5), 4, "camera.invalid", "15 to 360"),
        (("--views", "up", "arc_left", "arc_left:45"), 5, "request.invalid", "arc_left_45"),
        (("--seen-from", "above"), 5, "request.invalid", "front-left"),
        (("--frames", 10), 5, "request.frame_count", "9"),
        (("--server", "nowhere.json"), 7, "server.unreachable", "threedimo serve"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_paragraph(
    run, home, picture, tmp_path, options, exit_code, error_code, words
):
    code, out, err = run(home, "novel-views", picture, "--output", tmp_path / "views", *options)
    assert (code, out) == (exit_code, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"threedimo: error [{error_code}]: ")
    assert words in last
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_no_picture(run, home, tmp_path):
    code, _, err = run(home, "novel-views", tmp_path / "nobody.png", "--output", tmp_path / "views")
    assert code == 3
    assert "[media.unreadable]" in err
    assert "nobody.png" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", MOVES)
def test_every_move_of_the_vocabulary_is_a_view(name):
    view = ViewMove.parsed(name)
    amount = MOVES[name].amount
    assert view.name == (name if amount is None else f"{name}_{amount.default:g}")
    if amount is not None:
        assert ViewMove.parsed(f"{name}:{amount.highest:g}").amount == amount.highest
        with pytest.raises(InvalidCameraPath, match="out of range"):
            ViewMove.parsed(f"{name}:{amount.highest * 2:g}")


@pytest.fixture
def facts(tiny_info):
    shot = Shot.checked(tiny_info, preset="draft")
    return ViewSetFacts(
        picture_hash="0" * 64, seen_from="front", views=["static"], model_id="tiny", shot=shot
    )


def begin(tmp_path, facts, *, overwrite=False):
    paths = {"static": ViewMove.parsed("static").path(start_view(), 9, 8.0)}
    pixels = np.zeros((16, 16, 3), np.uint8)
    return begin_set(tmp_path / "views", facts, pixels, paths, overwrite=overwrite)


def test_only_the_same_set_goes_on(facts, tmp_path):
    folder = begin(tmp_path, facts)
    (folder / "views" / "static").mkdir(parents=True)
    assert begin(tmp_path, facts) == folder
    assert (folder / "views").exists()
    other = msgspec.structs.replace(facts, shot=replace(facts.shot, seed=1))
    with pytest.raises(UnwritableFolder, match="seed 0"):
        begin(tmp_path, other)
    assert begin(tmp_path, other, overwrite=True) == folder
    assert not (folder / "views").exists(), "begun again"


@pytest.mark.parametrize("name", ["views.json", "thesis.txt"])
def test_what_is_no_unfinished_set_is_never_lost(facts, tmp_path, name):
    folder = unfinished_folder(tmp_path / "views")
    folder.mkdir()
    (folder / name).write_text("years of work")
    with pytest.raises(UnwritableFolder):
        begin(tmp_path, facts)
    assert contents(folder) == {name}
