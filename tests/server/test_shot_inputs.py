from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from threedimo.camera import MOVES, View, describe
from threedimo.errors import InvalidCameraPath, InvalidRequest, UnreadableMedia
from threedimo.media import write_png, write_video
from threedimo.shot import Shot
from threedimo_server.shot_inputs import ShotOptions, build_request, footage_files

SHOT = Shot(
    num_frames=9,
    fps=8.0,
    width=32,
    height=32,
    num_inference_steps=2,
    text_guidance_scale=1.0,
    motion_guidance_scale=1.0,
    seed=3,
)


@pytest.fixture
def options(tmp_path):
    write_png(tmp_path / "person.png", np.zeros((32, 32, 3), np.uint8))
    write_video(tmp_path / "dance.mp4", np.zeros((9, 32, 32, 3), np.uint8), 8.0)
    return ShotOptions(
        tmp_path / "person.png", (tmp_path / "dance.mp4",), tmp_path / "out", drive_start_s=0.5
    )


def test_pictures_of_a_folder_are_counted_as_people_count(tmp_path):
    for number in (10, 9, 1, 100):
        (tmp_path / f"frame_{number}.png").touch()
    (tmp_path / ".DS_Store").touch()
    files = footage_files((tmp_path,), 24.0)
    assert [file.name for file in files] == ["frame_1.png", "frame_9.png", "frame_10.png", "frame_100.png"]


def test_names_that_begin_with_numbers_and_letters_can_stand_together(tmp_path):
    for name in ("10.png", "a1.png", "2b.png"):
        (tmp_path / name).touch()
    assert len(footage_files((tmp_path,), 24.0)) == 3


def test_listed_pictures_keep_their_order():
    files = (Path("b.png"), Path("a.png"))
    assert footage_files(files, 24.0) == list(files)


def test_rates_belong_to_pictures():
    with pytest.raises(InvalidRequest, match="--drive-fps 24"):
        footage_files((Path("a.png"), Path("b.png")), None)
    with pytest.raises(InvalidRequest, match="leave --drive-fps out"):
        footage_files((Path("a.mp4"),), 24.0)


def test_folders_of_other_things(tmp_path):
    with pytest.raises(UnreadableMedia, match="empty"):
        footage_files((tmp_path,), 24.0)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UnreadableMedia, match=r"notes\.txt"):
        footage_files((tmp_path,), 24.0)


def test_the_request_names_every_file_by_its_content(options):
    request, sources = build_request(options, SHOT, list(options.drive), None)
    assert sources == {
        request.reference_image.hash: options.reference,
        request.driving_footage.files[0].hash: options.drive[0],
    }
    assert (request.num_frames, request.seed, request.text, request.camera) == (9, 3, "", None)
    assert request.driving_footage.start_s == 0.5


def test_the_camera_path_is_described_unless_words_are_given(options):
    path = MOVES["arc_left"](View.around((0, 0, 0.9)), 9, 8.0)
    request, _ = build_request(options, SHOT, list(options.drive), path)
    assert request.text == describe(path)
    assert request.camera is not None
    assert request.camera.num_frames == 9
    said, _ = build_request(replace(options, text="From above."), SHOT, list(options.drive), path)
    assert said.text == "From above."


def test_a_camera_path_that_ends_too_early(options):
    path = MOVES["arc_left"](View.around((0, 0, 0.9)), 5, 8.0)
    with pytest.raises(InvalidCameraPath, match="ends before"):
        build_request(options, SHOT, list(options.drive), path)
