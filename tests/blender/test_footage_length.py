"""Footage that ends before the shot is refused before anything is sent, in the scene's own frames."""

from __future__ import annotations

import math
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

VIDEO = Path(__file__).parents[2] / "threedimo" / "embedded" / "demo" / "driving.mp4"  # 49 frames at 24 fps


@pytest.fixture
def generate(scene, add_camera, addon, server_says, write_picture, tmp_path):
    """Press Generate for a shot of so many frames at 24 fps."""
    camera = add_camera()
    camera.location, camera.rotation_euler = (0.0, -4.0, 0.0), (math.pi / 2, 0.0, 0.0)
    write_picture(tmp_path / "woman.png", (1, 0, 0))
    scene.threedimo.reference_image = str(tmp_path / "woman.png")
    scene.render.fps, scene.frame_start = 24, 11
    scene.threedimo.model_id = "large"  # 8 fps

    def press(num_scene_frames: int) -> None:
        scene.frame_end = scene.frame_start + num_scene_frames - 1
        addon("dispatch").begin(scene, str(uuid.uuid4()))

    return press


@pytest.fixture
def refusal(generate, scene):
    """What is said, and that nothing was queued."""

    def said(num_scene_frames: int) -> str:
        from threedimo.errors import MediaTooSmall

        with pytest.raises(MediaTooSmall) as refused:
            generate(num_scene_frames)
        assert not scene.threedimo.shots
        return str(refused.value)

    return said


def test_video_lasts_as_long_as_its_frames(blender, scene, generate, refusal):
    scene.threedimo.driving_footage = str(VIDEO)

    said = refusal(120)
    assert "the driving footage ends before the shot does (given: driving.mp4: 2.04 s" in said
    assert "Allowed: at least 5.00 s" in said
    assert "end the shot at frame 59, or choose longer footage" in said
    assert not blender.data.movieclips

    generate(49)
    assert len(scene.threedimo.shots) == 1


def test_a_late_start_is_named_as_what_helps(scene, refusal):
    scene.threedimo.driving_footage, scene.threedimo.driving_start_s = str(VIDEO), 1.0

    said = refusal(48)
    assert "2.04 s, from 1.00 s on" in said
    assert "end the shot at frame 35, or choose an earlier Details > Start or longer footage" in said

    scene.threedimo.driving_start_s = 2.0
    assert "What to do: choose an earlier Details > Start or longer footage" in refusal(48)


def test_pictures_last_by_their_number_and_rate(scene, generate, refusal, write_picture, tmp_path):
    for number in range(24):
        write_picture(tmp_path / "walk" / f"walk_{number:04d}.png", (number, 0, 0))
    scene.threedimo.driving_footage = str(tmp_path / "walk" / "walk_0000.png")

    assert "walk_0000.png: 1.00 s" in refusal(48)

    scene.threedimo.driving_fps = 12.0
    generate(48)
    assert len(scene.threedimo.shots) == 1


def test_movie_clip_is_measured_and_stays(blender, scene, refusal):
    scene.threedimo.driving_source = "CLIP"
    scene.threedimo.driving_clip = blender.data.movieclips.load(str(VIDEO))

    assert "end the shot at frame 59" in refusal(120)
    assert scene.threedimo.driving_clip.frame_duration == 49
    assert len(blender.data.movieclips) == 1


def test_file_that_blender_cannot_read_is_left_to_the_server(scene, generate, tmp_path):
    (tmp_path / "walk.mp4").write_bytes(b"content")
    scene.threedimo.driving_footage = str(tmp_path / "walk.mp4")

    generate(48)
    assert len(scene.threedimo.shots) == 1
