"""The paper's applications as recipes, and what a real pipeline of random weights makes of them."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from threedimo.applications import STEADY_CAMERA, VIEWPOINTS_DEG, novel_view, stabilization, start_view
from threedimo.camera import MOVES, CameraPath, camera_hints, describe
from threedimo.errors import InvalidRequest
from threedimo.pipeline import MotionTransferPipeline
from threedimo_server.cli import build_parser


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder):
    return MotionTransferPipeline.from_pretrained(str(tiny_pipeline_folder))


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 32, 3), dtype=np.uint8)


def arc(degrees, seen_from="front"):
    return MOVES["arc_left"](start_view(seen_from), 9, 8.0, degrees)


def test_a_novel_view_is_driven_by_its_own_picture(picture):
    reference, driving, text, path = novel_view(picture, arc(45))
    assert reference is picture
    assert driving.shape == (9, *picture.shape)
    assert (driving == picture).all()
    assert not driving.flags.owndata, "a large picture is not copied for every frame"
    assert text == "Front view. The camera arcs left 45 degrees."
    assert path is not None
    assert path.num_frames == 9


def test_the_camera_of_a_novel_view_reaches_the_frames(pipeline, picture):
    made = [pipeline(*novel_view(picture, arc(degrees)), fps=8).frames for degrees in (45, 45, 90)]
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0] != made[2]).any()
    assert made[0].shape == (9, 32, 32, 3)


@pytest.mark.parametrize("seen_from", VIEWPOINTS_DEG)
def test_text_and_hints_say_which_side_the_picture_shows(seen_from):
    path = MOVES["static"](start_view(seen_from), 9, 8.0)
    words = seen_from.replace("-", " ").capitalize()
    words += " side" if seen_from in ("left", "right") else ""
    assert describe(path) == f"{words} view. The camera remains static."
    sine, cosine = camera_hints(path)[0, 10:12]
    azimuth = np.degrees(np.arctan2(sine, cosine))
    assert abs((azimuth - VIEWPOINTS_DEG[seen_from] + 180) % 360 - 180) < 1e-3


def test_stabilisation_starts_from_the_first_frame_and_names_a_steady_camera(pipeline):
    shaky = np.random.default_rng(1).integers(0, 256, (13, 40, 48, 3), dtype=np.uint8)
    reference, driving, text, path = stabilization(shaky)
    np.testing.assert_array_equal(reference, shaky[0])
    assert driving is shaky
    assert (text, path) == (STEADY_CAMERA, None)
    frames = pipeline(*stabilization(shaky), fps=8).frames
    assert frames.shape == (13, 32, 32, 3), "longer than one window of 9 frames"


def test_a_steady_camera_is_called_as_the_vocabulary_calls_it():
    path = MOVES["static"](start_view(), 9, 8.0)
    assert describe(path).endswith(STEADY_CAMERA)


def test_what_no_recipe_can_use_is_refused(picture):
    with pytest.raises(InvalidRequest, match="front-left"):
        start_view("above")
    with pytest.raises(InvalidRequest, match="uint8"):
        novel_view(picture / 255, arc(45))
    with pytest.raises(InvalidRequest, match="empty"):
        stabilization(np.zeros((0, 8, 8, 3), np.uint8))


DOCS = Path(__file__).parent.parent / "docs" / "applications.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)


def test_every_command_of_the_guide_is_understood():
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    assert len(lines) == 8
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "threedimo"
        build_parser().parse_args(arguments)


def test_the_packaged_picture_shows_the_side_that_the_guides_say():
    camera = DOCS.parent.parent / "threedimo" / "embedded" / "demo" / "camera_path.json"
    side = re.match(r"([a-z ]+?)(?: side)? view", describe(CameraPath.from_json(camera)).lower())
    assert side is not None
    name = side[1].replace(" ", "-")
    assert f"reference.png --seen-from {name} " in (DOCS.parent.parent / "README.md").read_text()
    assert f'start_view("{name}")' in DOCS.read_text()
    assert f'--text "{side[0].capitalize()}. ' in DOCS.read_text()
    assert f"seen from its {side[1]}" in DOCS.read_text()


def test_every_recipe_of_the_guide_runs(tiny_pipeline_folder, monkeypatch):
    monkeypatch.chdir(DOCS.parent.parent)
    recipes = blocks("python")
    assert len(recipes) == 2
    for recipe in recipes:
        names = {}
        # The model of random weights instead of the embedded one: the same classes, in a blink.
        exec(recipe.replace('"embedded"', repr(str(tiny_pipeline_folder))), names)
        assert names["frames"].shape == (17, 32, 32, 3)
