"""Which samples a mesh covers, exactly, and how surfaces are interpolated."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.motion.skeleton import NUM_JOINTS, Posed
from threedimo_training.people.person import CHECKS, DOTS, LOGO, RINGS, SOLID, STRIPES
from threedimo_training.renderers.scene import make_scene

_EYE = np.array([0.0, -2.0, 1.0])
_AHEAD = np.array([0.0, 0.0, 1.0])


def _still(person) -> Posed:
    return Posed(np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1)), person.rest_joints[None])


def _film(studio, renderer, person, *, width=16, height=16, eye=_EYE, target=_AHEAD, focal=1.0):
    cameras = studio.look_at(np.asarray(eye, float), np.asarray(target, float))[None]
    lens = studio.lens(1, width, height, focal)
    return renderer.render(person, _still(person), make_scene(3), cameras, lens, width, height)


def _on_picture(points, *, depth, size=16):
    """Corners in the world that are seen at these pixels, from `_EYE` with a focal length of one picture."""
    return [
        ((u - size / 2) * depth / size, -2.0 + depth, 1 - (v - size / 2) * depth / size) for u, v in points
    ]


def _samples(width, height):
    x, y = np.meshgrid((np.arange(2 * width) + 0.5) / 2, (np.arange(2 * height) + 0.5) / 2)
    return x, y


def _pixels(inside):
    """Pixels of which at least two of four samples are inside."""
    rows, columns = inside.shape
    return inside.reshape(rows // 2, 2, columns // 2, 2).sum(axis=(1, 3)) >= 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_triangle_covers_exactly_the_samples_inside_it(studio, renderer, order):
    corners = _on_picture([(2.1, 3.1), (10.1, 3.1), (2.1, 13.1)], depth=1.7)
    seen = _film(studio, renderer, studio.flat(corners, [order]))
    x, y = _samples(16, 16)
    inside = (x > 2.1) & (y > 3.1) & ((x - 2.1) / 8 + (y - 3.1) / 10 < 1)
    assert np.array_equal(seen.silhouettes[0], _pixels(inside))


def test_faces_that_share_edges_leave_no_gap(studio, renderer):
    grid = np.linspace(1.03, 14.97, 12)
    points = [(u, v) for v in grid for u in grid]
    faces = []
    for row in range(11):
        for i in range(row * 12, row * 12 + 11):
            faces += [(i, i + 1, i + 12), (i + 1, i + 13, i + 12)]
    seen = _film(studio, renderer, studio.flat(_on_picture(points, depth=1.3), faces))
    x, y = _samples(16, 16)
    inside = (x > 1.03) & (x < 14.97) & (y > 1.03) & (y < 14.97)
    assert np.array_equal(seen.silhouettes[0], _pixels(inside))


def test_a_face_that_passes_the_camera_is_cut_at_the_near_plane(studio, renderer):
    # a table top that begins a metre behind the camera and ends a metre in front of it
    corners = [(-0.4, -3.0, 0.93), (0.5, -3.0, 0.93), (0.5, -1.0, 0.93), (-0.4, -1.0, 0.93)]
    seen = _film(studio, renderer, studio.flat(corners, [(0, 1, 2), (0, 2, 3)]), width=24)
    x, y = _samples(24, 16)
    right, down = (x - 12) / 16, (y - 8) / 16
    with np.errstate(divide="ignore"):
        depth = 0.07 / down
    inside = (down > 0) & (depth > 0.05) & (depth < 1.0) & (right * depth > -0.4) & (right * depth < 0.5)
    assert 0.2 < inside.mean() < 0.6
    assert np.array_equal(seen.silhouettes[0], _pixels(inside))


def test_a_person_behind_the_camera_is_not_seen(studio, renderer):
    person = studio.flat([(-1, -3, 0.2), (1, -3, 0.2), (0, -3, 2)], [(0, 1, 2)])
    assert not _film(studio, renderer, person).silhouettes.any()


def test_what_is_nearer_covers_what_is_farther_whatever_comes_first(studio, renderer):
    near = _on_picture([(1, 1), (15, 1), (8, 15)], depth=1.0)
    far = _on_picture([(1, 1), (15, 1), (8, 15)], depth=2.8)  # rest y above 0.5: the back's colour
    for faces in ([(0, 1, 2), (3, 4, 5)], [(3, 4, 5), (0, 1, 2)]):
        red, _, blue = _film(studio, renderer, studio.flat(near + far, faces)).frames[0, 6, 8]
        assert red > 60
        assert blue < 10


def _board(studio, pattern, *, x=0.35, back=False):
    """Upright, 0.7 m wide, from 0.6 to 1.4 m, seen from `_EYE`."""
    y = 0.6 if back else 0.0
    corners = [(-x, y, 0.6), (x, y, 0.6), (x, y, 1.4), (-x, y, 1.4)]
    return studio.flat(corners, [(0, 1, 2), (0, 2, 3)], pattern)


def _greens(studio, renderer, person, **camera):
    """(64, 64) bool, where the mark shows, in the board's 0.7 m around (0, 1): 0.0219 m a pixel and metre."""
    frame = _film(studio, renderer, person, width=64, height=64, focal=2.0, **camera).frames[0].astype(int)
    return frame[..., 1] > frame[..., 0] + 20, frame


def test_rings_go_around_the_trunk_and_stripes_along_it(studio, renderer):
    rings, _ = _greens(studio, renderer, _board(studio, RINGS))
    stripes, _ = _greens(studio, renderer, _board(studio, STRIPES))
    inner = slice(16, 48)
    assert (rings[inner, inner] == rings[inner, 30:31]).all()
    assert 0.3 < rings[inner, 30].mean() < 0.7
    assert (stripes[inner, inner] == stripes[30:31, inner]).all()
    assert 0.2 < stripes[30, inner].mean() < 0.6


def test_rings_go_around_the_arms_too(studio, renderer):
    # beyond |x| = 0.4, where the arms begin in the rest pose
    corners = [(0.45, 0, 0.8), (0.95, 0, 0.8), (0.95, 0, 1.2), (0.45, 0, 1.2)]
    person = studio.flat(corners, [(0, 1, 2), (0, 2, 3)], RINGS)
    rings, _ = _greens(studio, renderer, person, eye=(0.7, -2, 1), target=(0.7, 0, 1))
    assert (rings[24:40, 20:44] == rings[30:31, 20:44]).all()
    assert 0.3 < rings[30, 20:44].mean() < 0.7


@pytest.mark.parametrize(
    ("pattern", "low", "high"), [(CHECKS, 0.4, 0.6), (DOTS, 0.2, 0.36), (LOGO, 0.08, 0.11)]
)
def test_other_patterns_show_their_share_in_front_and_nothing_at_the_back(
    studio, renderer, pattern, low, high
):
    marked, _ = _greens(studio, renderer, _board(studio, pattern))
    assert low < marked[14:50, 14:50].mean() < high
    marked, frame = _greens(studio, renderer, _board(studio, pattern, back=True))
    assert not marked[20:44, 20:44].any()
    assert (frame[20:44, 20:44, 2] > frame[20:44, 20:44, 0] + 20).all()


def test_the_logo_sits_on_the_chest(studio, renderer):
    marked, _ = _greens(studio, renderer, _board(studio, LOGO))
    rows, columns = np.nonzero(marked[10:54, 10:54])
    # between spine3 (0.8 m) and shoulders (1.2 m), at the height of the camera
    assert abs(rows.mean() - 21.5) < 1
    assert abs(columns.mean() - 21.5) < 1


def test_patterns_are_interpolated_in_perspective(studio, renderer):
    # a board that leans away: its rings lie where rays meet its plane, not where its corners' middle is
    corners = [(-0.35, -0.8, 0.6), (0.35, -0.8, 0.6), (0.35, 0.4, 1.4), (-0.35, 0.4, 1.4)]
    rings, _ = _greens(studio, renderer, studio.flat(corners, [(0, 1, 2), (0, 2, 3)], RINGS))
    rows = np.arange(64)
    slope = -(rows + 0.5 - 32) / 128
    # z = 1 + slope (y + 2) and z = 0.6 + (y + 0.8) 2/3 meet
    y = (1 + 2 * slope - 0.6 - 1.6 / 3) / (2 / 3 - slope)
    z = 0.6 + (y + 0.8) * 2 / 3
    phase = (z / 0.2) % 1
    sure = (z > 0.62) & (z < 1.38) & (np.abs(phase - 0.5) > 0.1) & (np.minimum(phase, 1 - phase) > 0.1)
    assert sure.sum() > 20
    assert np.array_equal(rings[sure, 32], phase[sure] < 0.5)


def test_hands_are_counted_where_they_are_seen(studio, renderer):
    corners = _on_picture([(2, 2), (6, 2), (6, 10), (2, 10)], depth=1.5)
    person = studio.flat(corners, [(0, 1, 2), (0, 2, 3)], SOLID)
    person.hands[:] = 1
    cover = _film(studio, renderer, person).hand_cover
    assert cover[0, 0] == 0
    assert cover[0, 1] == pytest.approx(4 * 8 / 256, abs=1e-6)
