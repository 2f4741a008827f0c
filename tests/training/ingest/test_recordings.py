"""Cameras, names, and views that must fit together."""

from __future__ import annotations

import json

import pytest

from threedimo.errors import InvalidCameraPath, InvalidRequest
from threedimo_training.ingest.recordings import open_recordings

from .conftest import FPS, HEIGHT, WIDTH, still_camera


@pytest.fixture(scope="module")
def pair(film, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return [film(name, 12, folder=folder) for name in ("front view.mp4", "side.mp4")]


def cameras(tmp_path, mapping, size=(WIDTH, HEIGHT)):
    still_camera(*size).to_json(tmp_path / "still.json")
    (tmp_path / "cameras.json").write_text(json.dumps(mapping))
    return tmp_path / "cameras.json"


def test_single_views_are_recordings_of_their_own(pair, tmp_path):
    file = cameras(tmp_path, {"side.mp4": "still.json"})
    first, second = open_recordings(pair, file, FPS, synchronised=False)
    assert (first.name, second.name) == ("front_view", "side")
    assert first.views[0].camera_between(3, 5) is None
    path = second.views[0].camera_between(3, 5)
    assert path is not None
    assert (path.num_frames, path.width, path.fps) == (5, WIDTH, FPS)


def test_synchronised_views_are_one_recording(pair):
    (recording,) = open_recordings(pair, None, FPS, synchronised=True)
    assert [view.name for view in recording.views] == ["front_view", "side"]


def test_views_of_other_length_or_rate_are_refused(pair, film):
    for other, why in ((film("long.mp4", 20), "lengths"), (film("fast.mp4", 24, fps=24), "frame rates")):
        with pytest.raises(InvalidRequest, match=f"different {why}.*side.mp4: .*{other.name}: "):
            open_recordings([pair[1], other], None, FPS, synchronised=True)
    with pytest.raises(InvalidRequest, match="one video alone"):
        open_recordings(pair[:1], None, FPS, synchronised=True)


def test_unreadable_cameras_are_named(pair, tmp_path):
    for text, why in (("{", "not JSON"), ("[]", "does not map"), ('{"side.mp4": 3}', "does not map")):
        (tmp_path / "cameras.json").write_text(text)
        with pytest.raises(InvalidCameraPath, match=f"cameras.json.*{why}"):
            open_recordings(pair, tmp_path / "cameras.json", FPS, synchronised=False)
    with pytest.raises(InvalidCameraPath, match=r"none\.json"):
        open_recordings(pair, tmp_path / "none.json", FPS, synchronised=False)
    with pytest.raises(InvalidCameraPath, match=r"lost\.json"):
        open_recordings(pair, cameras(tmp_path, {"side.mp4": "lost.json"}), FPS, synchronised=False)
    with pytest.raises(InvalidRequest, match=r"not given.*back\.mp4"):
        open_recordings(pair, cameras(tmp_path, {"back.mp4": "still.json"}), FPS, synchronised=False)
    file = cameras(tmp_path, {"side.mp4": "still.json"}, (640, 480))
    with pytest.raises(InvalidCameraPath, match=r"another size.*640x480 pixels.*512x320"):
        open_recordings(pair, file, FPS, synchronised=False)


def test_names_must_differ(pair, film):
    again = film("side.mp4", 6)
    with pytest.raises(InvalidRequest, match="same name"):
        open_recordings([pair[1], again], None, FPS, synchronised=False)
    with pytest.raises(InvalidRequest, match="no videos"):
        open_recordings([], None, FPS, synchronised=False)
