"""What the footage shows: from the front, large, level, at the scene's own times."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from .conftest import carry, choose, outlines

pytestmark = pytest.mark.blender


def test_motion_is_seen_from_the_front(scene, anna, shoot, read):
    """The arm is the performer's left one: at the right in the picture; it rises, the rest stands still."""
    choose(scene, "OBJECT", anna)

    pictures = read(shoot())

    left, right, _, bottom = outlines(pictures).T
    assert right[0] - right[-1] > 40, "her left arm is at the right, and rises"
    assert len(set(left)) == 1, "the rest and the camera stay"
    assert len(set(bottom)) == 1
    assert all(later < earlier for earlier, later in itertools.pairwise(right[2:])), right
    assert len({picture.tobytes() for picture in pictures}) == 9


@pytest.mark.parametrize("turn", [0, 90, 200])
def test_camera_stands_before_the_performer_however_it_is_turned(scene, anna, shoot, read, turn):
    choose(scene, "OBJECT", anna)
    straight = outlines(read(shoot(range(1, 3))))

    anna.rotation_euler.z = math.radians(turn)
    carry(scene, anna)

    np.testing.assert_allclose(outlines(read(shoot(range(1, 3)))), straight, atol=3)


def test_performer_from_a_program_where_y_is_up_is_seen_from_the_front(blender, scene, add_box, shoot, read):
    """Lying in its own axes, turned upright, with its face at +Z and its left hand at +X."""
    body = add_box("Body", (-0.2, 0.0, -0.1), (0.2, 1.7, 0.1))
    hand = add_box("Hand", (0.2, 1.2, -0.1), (0.7, 1.3, 0.1), (0.8, 0.0, 0.0))
    nose = add_box("Nose", (-0.05, 1.5, 0.1), (0.05, 1.6, 0.2), (0.0, 0.0, 0.0))
    hand.parent = nose.parent = body
    body.rotation_euler.x = math.pi / 2
    choose(scene, "OBJECT", body)

    (picture,) = read(shoot(range(1, 2)))

    assert (picture.max(axis=-1) < 60).sum() > 20, "the nose is seen"
    red = (picture[..., 0] > picture[..., 1] + 60) & (picture[..., 2] > picture[..., 1] - 10)
    assert np.flatnonzero(red.any(axis=0)).mean() > 192, "the left hand is at the right"


def test_who_walks_far_is_followed_and_who_moves_a_little_is_not(scene, anna, shoot, read):
    choose(scene, "OBJECT", anna)
    carry(scene, anna)
    for frame, x in ((1, 0.0), (30, 12.0)):
        anna.location.x = x
        anna.keyframe_insert("location", index=0, frame=frame)

    edges = outlines(read(shoot(range(1, 31, 1))))

    assert edges.min() >= 5
    assert edges.max() <= 378
    heights = edges[:, 3] - edges[:, 2]
    assert heights.min() > 0.5 * 384, "still large"
    assert np.ptp(edges[:, 3]) <= 1, "level, always as far away"


def test_scene_in_centimetres_is_filmed_alike(scene, anna, shoot, read):
    choose(scene, "OBJECT", anna)
    carry(scene, anna)
    before = outlines(read(shoot(range(1, 3))))
    scene.unit_settings.scale_length = 0.01
    anna.scale = (100.0, 100.0, 100.0)

    np.testing.assert_allclose(outlines(read(shoot(range(1, 3)))), before, atol=2)


def test_frames_of_a_time_mapping_and_a_rate_are_the_scenes(scene, anna, shoot, read):
    choose(scene, "OBJECT", anna)
    plain = read(shoot(range(1, 10)))
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 200

    stretched = read(shoot(range(2, 19, 2)))

    np.testing.assert_allclose(stretched, plain, atol=2)
