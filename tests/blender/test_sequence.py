"""Numbered pictures on disk."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture
def sequence(addon):
    return addon("sequence")


def write_all(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


def test_sequence_is_read_in_the_order_of_its_numbers(sequence, tmp_path):
    write_all(tmp_path, ["walk9.png", "walk10.png", "walk11.png", "walk10.jpg", "run10.png", "notes.txt"])

    assert [path.name for path in sequence.sequence_from(tmp_path / "walk9.png")] == [
        "walk9.png",
        "walk10.png",
        "walk11.png",
    ]
    assert [path.name for path in sequence.sequence_from(tmp_path / "walk10.png")] == [
        "walk10.png",
        "walk11.png",
    ]


def test_gap_in_a_sequence_names_its_neighbours(sequence, tmp_path):
    from threedimo.errors import UnreadableMedia

    write_all(tmp_path, ["a_01.png", "a_02.png", "a_04.png"])

    with pytest.raises(UnreadableMedia, match=r"a_02.png is followed by a_04.png"):
        sequence.sequence_from(tmp_path / "a_01.png")


@pytest.mark.parametrize(
    ("names", "first", "says"),
    [
        (["still.png"], "still.png", "needs a number"),
        (["a_01.png"], "a_01.png", "single picture"),
        ([], "a_01.png", "no such file"),
    ],
)
def test_what_is_no_sequence_is_refused(sequence, tmp_path, names, first, says):
    from threedimo.errors import UnreadableMedia

    write_all(tmp_path, names)

    with pytest.raises(UnreadableMedia, match=says):
        sequence.sequence_from(tmp_path / first)


def test_spread_frames_enters_a_held_frame_once_for_each_scene_frame(sequence, tmp_path):
    write_all(tmp_path / "frames", ["00000.png", "00001.png"])

    sequence.spread_frames(tmp_path / "frames", tmp_path / "plane", [0, 0, 1])

    assert {path.name: path.read_text() for path in (tmp_path / "plane").iterdir()} == {
        "00000.png": "00000.png",
        "00001.png": "00000.png",
        "00002.png": "00001.png",
    }


def test_spread_frames_leaves_nothing_behind_when_a_frame_is_missing(sequence, tmp_path):
    from threedimo.errors import UnwritableFolder

    write_all(tmp_path / "frames", ["00000.png"])

    with pytest.raises(UnwritableFolder, match="output folder"):
        sequence.spread_frames(tmp_path / "frames", tmp_path / "plane", [0, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
