"""Where the words come from."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from threedimo.camera import describe
from threedimo.errors import DataError, InvalidRequest
from threedimo_training.ingest.camera_check import CameraVerdict
from threedimo_training.ingest.texts import camera_moves, read_caption, text_for
from threedimo_training.ingest.tracking import ClipLeftOut

from .conftest import still_camera

FRAMES = np.zeros((9, 32, 32, 3), np.uint8)
STILL, MOVING = CameraVerdict("static", 0.0), CameraVerdict("moving", 0.1)
UNKNOWN = CameraVerdict("unknown", float("nan"))
PROGRAM = Path(__file__).parent / "programs" / "captioner.py"


def text(verdict=STILL, path=None, caption=None, captioner=None) -> str:
    return text_for(FRAMES, path=path, caption=caption, captioner=captioner, verdict=verdict)


def test_a_known_camera_is_described_by_rule():
    path = still_camera(32, 32, azimuth_deg=90)
    assert text(path=path, caption="nonsense") == describe(path)
    assert text(path=path).startswith("Left side view.")


def test_a_trembling_hand_moves_no_camera():
    path = still_camera(32, 32)
    view = "Front view. The handheld camera remains static."
    assert not camera_moves(describe(path), path, STILL)
    assert not camera_moves(view, None, MOVING)
    assert camera_moves("The camera zooms in, then remains static.", path, STILL)
    assert not camera_moves("Front view.", None, STILL)
    assert camera_moves("Front view.", None, MOVING)
    assert camera_moves("Front view.", None, UNKNOWN)


def test_only_the_check_may_say_that_a_camera_stands_still():
    assert text(STILL) == "The camera remains static."
    for verdict, why in ((MOVING, "the camera moves"), (UNKNOWN, "cannot be told")):
        with pytest.raises(ClipLeftOut, match=why):
            text(verdict)


def test_a_caption_file_goes_before_the_captioner(tmp_path):
    (tmp_path / "clip.txt").write_text("Front view. The camera arcs left.\n")
    caption = read_caption(tmp_path / "clip.mp4")
    assert text(MOVING, caption=caption, captioner="false") == "Front view. The camera arcs left."
    assert read_caption(tmp_path / "other.mp4") is None
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"two.txt is not one line"):
        read_caption(tmp_path / "two.mp4")


def test_a_captioner_sees_a_contact_sheet_and_answers_one_line():
    command = shlex.join([sys.executable, str(PROGRAM), "a sheet:"])
    assert text(MOVING, captioner=command) == "a sheet: PNG of 128x64 pixels."


def test_captioners_that_fail_are_named():
    for code, why in (("import sys; sys.exit(3)", "status 3"), ("print()", "not one line")):
        with pytest.raises(DataError, match=why):
            text(MOVING, captioner=shlex.join([sys.executable, "-c", code]))
    with pytest.raises(InvalidRequest, match="cannot be started"):
        text(MOVING, captioner="/no/such/captioner")
