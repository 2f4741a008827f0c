"""Movie clips as where the motion comes from."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.blender


def choose(scene, clip):
    scene.threedimo.driving_source, scene.threedimo.driving_clip = "CLIP", clip


def test_movie_clip_is_a_file_with_its_own_rate(blender, scene, addon, write_picture, tmp_path):
    for number in (1, 2, 3):
        write_picture(tmp_path / f"walk_{number}.png", (number, 0, 0))
    scene.render.fps = 30
    scene.threedimo.driving_start_s = 0.5
    choose(scene, blender.data.movieclips.load(str(tmp_path / "walk_1.png")))

    driving = addon("driving").read_driving(scene)

    assert [file.name for file in driving.files] == ["walk_1.png", "walk_2.png", "walk_3.png"]
    assert (driving.fps, driving.start_s, driving.performer) == (30.0, 0.5, None)


def test_movie_clip_that_is_missing_is_refused(blender, scene, addon, write_picture, tmp_path):
    from threedimo.errors import UnreadableMedia

    choose(scene, None)
    with pytest.raises(UnreadableMedia, match="no movie clip is chosen"):
        addon("driving").read_driving(scene)

    write_picture(tmp_path / "walk_1.png", (1, 0, 0))
    choose(scene, blender.data.movieclips.load(str(tmp_path / "walk_1.png")))
    (tmp_path / "walk_1.png").unlink()
    with pytest.raises(UnreadableMedia, match=r"the file of the movie clip walk_1\.png is not there"):
        addon("driving").read_driving(scene)
