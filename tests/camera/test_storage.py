import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.camera import MOVES, CameraPath
from threedimo.camera.storage import KEYS
from threedimo.errors import InvalidCameraPath, UnwritableFolder


def assert_same(first, second):
    for name in ("world_from_camera", "intrinsics", "subject_position", "subject_forward"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other)
    assert (first.width, first.height, first.fps) == (second.width, second.height, second.fps)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_files_and_bytes_keep_every_bit(wild_path, tmp_path_factory, seed):
    path = wild_path(seed)
    file = tmp_path_factory.getbasetemp() / "round-trip.json"
    path.to_json(file)
    assert_same(CameraPath.from_json(file), path)
    body = path.to_bytes()
    has_subject = path.subject_position is not None
    assert len(body) == 8 * (25 * path.num_frames + 6 * has_subject)
    read = CameraPath.from_bytes(
        body,
        num_frames=path.num_frames,
        fps=path.fps,
        width=path.width,
        height=path.height,
        has_subject=has_subject,
    )
    assert_same(read, path)


def test_bytes_lie_as_the_protocol_says(view):
    path = MOVES["arc_left"](view(30, 10), 3, 8)
    numbers = np.frombuffer(path.to_bytes(), dtype="<f8")
    np.testing.assert_array_equal(numbers[25:41].reshape(4, 4), path.world_from_camera[1])
    np.testing.assert_array_equal(numbers[41:50].reshape(3, 3), path.intrinsics[1])
    np.testing.assert_array_equal(numbers[75:78], path.subject_position)
    np.testing.assert_array_equal(numbers[78:], path.subject_forward)


@pytest.mark.parametrize(("cut", "has_subject"), [(-8, True), (None, False), (0, True)])
def test_bytes_of_another_length_are_refused(view, cut, has_subject):
    body = MOVES["static"](view(), 4, 8).to_bytes()[:cut]
    with pytest.raises(InvalidCameraPath, match="announced length"):
        CameraPath.from_bytes(body, num_frames=4, fps=8, width=832, height=480, has_subject=has_subject)


def test_bytes_that_are_no_camera_are_refused():
    with pytest.raises(InvalidCameraPath):
        CameraPath.from_bytes(b"\xff" * 200, num_frames=1, fps=8, width=832, height=480, has_subject=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a camera path"),
        ("{}", "format"),
        ({"format": "other"}, "format 'other'"),
        ({"version": 2}, "another version"),
        ({"lens": 35}, r"unknown \['lens'\]"),
        ({"fps": None}, "fps is out of range"),
        ({"world_from_camera": [[1, 2], [3]]}, "not an array"),
        ({"intrinsics": float("nan")}, "wrong shape"),
    ],
)
def test_wrong_files_are_refused_by_name(view, tmp_path, content, message):
    file = tmp_path / "shot.json"
    if isinstance(content, dict):
        MOVES["static"](view(), 2, 8).to_json(file)
        content = json.dumps(json.loads(file.read_text()) | content)
    file.write_text(content)
    with pytest.raises(InvalidCameraPath, match=message) as caught:
        CameraPath.from_json(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_needed(view, tmp_path, key):
    file = tmp_path / "shot.json"
    MOVES["static"](view(), 2, 8).to_json(file)
    content = json.loads(file.read_text())
    assert set(content) == set(KEYS)
    del content[key]
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidCameraPath, match=r"shot\.json"):
        CameraPath.from_json(file)


def test_missing_files_and_folders_are_named(view, tmp_path):
    with pytest.raises(InvalidCameraPath, match=r"nowhere\.json cannot be read"):
        CameraPath.from_json(tmp_path / "nowhere.json")
    with pytest.raises(UnwritableFolder, match="cannot be written"):
        MOVES["static"](view(), 2, 8).to_json(tmp_path / "none" / "shot.json")
    assert list(tmp_path.iterdir()) == []


def test_content_in_place_of_a_file_name_is_told_in_a_line(view, tmp_path):
    MOVES["static"](view(), 49, 8).to_json(tmp_path / "shot.json")
    with pytest.raises(InvalidCameraPath, match="takes the name of a file, not what is in it") as refused:
        CameraPath.from_json((tmp_path / "shot.json").read_text())
    assert len(str(refused.value)) < 200


def test_writing_replaces_and_leaves_nothing_else(view, tmp_path):
    path = MOVES["static"](view(), 2, 8)
    path.to_json(tmp_path / "shot.json")
    later = replace(path, fps=24)
    later.to_json(tmp_path / "shot.json")
    assert [file.name for file in tmp_path.iterdir()] == ["shot.json"]
    assert CameraPath.from_json(tmp_path / "shot.json").fps == 24
