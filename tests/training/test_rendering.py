"""The ray caster against geometry worked out another way."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.camera import MOVES, View
from threedimo_training.bodies import Body, make_body, pose_body
from threedimo_training.motions import make_motion
from threedimo_training.parts import Paint, Parts
from threedimo_training.rendering import Rendered, render
from threedimo_training.scenes import make_scene
from threedimo_training.skeleton import JOINT, NUM_BONES, Posed

SIZE = 48
RED, BLUE = Paint((0.9, 0.1, 0.1)), Paint((0.1, 0.1, 0.9))


def _camera(azimuth_deg: float = 20.0, elevation_deg: float = 10.0, distance_m: float = 2.0):
    return View.around(
        (0.0, 0.0, 1.0), azimuth_deg, elevation_deg, distance_m, width=SIZE, height=SIZE, vertical_fov_deg=40
    )


def _things(*parts) -> Body:
    """A body whose parts all hang on the pelvis."""
    collected = Parts(np.zeros((NUM_BONES, 3)))
    for start, end, radii, paint, flatten in parts:
        collected.add(0, start, end, radii, paint, flatten, contact=True)
    return Body(seed=0, **collected.arrays(1.0))


def _still(height_m: float = 1.0) -> Posed:
    positions = np.tile([0.0, 0.0, height_m], (1, NUM_BONES, 1))
    return Posed(np.tile(np.eye(3), (1, NUM_BONES, 1, 1)), positions)


def _picture(body: Body, posed: Posed, view: View, scene_seed: int = 0) -> Rendered:
    path = MOVES["static"](view, len(posed.positions), 8.0)
    return render(body, posed, make_scene(scene_seed), path.world_from_camera, path.intrinsics, SIZE)


def _person(seed: int = 0, frames: int = 1) -> tuple[Body, Posed]:
    body, motion = make_body(seed), make_motion(seed, frames, 8.0)
    return body, pose_body(body, motion.joint_rotations, motion.hand_curls, motion.lift_m, travel=0.0)


@pytest.mark.parametrize(
    ("start", "end", "radii", "flatten"),
    [
        ((0, 0, -0.2), (0, 0, 0.3), (0.15, 0.08), (1.0, 1.0)),
        ((0.1, -0.3, 0), (-0.2, 0.3, 0.1), (0.05, 0.2), (1.0, 1.0)),
        ((0, 0, -0.2), (0.1, 0, 0.2), (0.1, 0.12), (1.8, 0.5)),
        ((0, 0, 0), (0, 0, 0), (0.2, 0.2), (1.0, 1.5)),
        ((0, -0.3, 0), (0, 0.3, 0), (0.16, 0.1), (0.6, 1.0)),
    ],
)
def test_silhouette_of_a_rounded_cone_is_that_of_its_swept_sphere(start, end, radii, flatten):
    body, view = _things((start, end, radii, RED, flatten)), _camera()
    silhouette = _picture(body, _still(), view).silhouettes[0]
    samples = (np.arange(2 * SIZE) + 0.5) / 2 - SIZE / 2
    u, v = np.meshgrid(samples / view.focal_px, samples / view.focal_px)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ view.rotation.T
    inverse = np.linalg.inv(body.frames[0])
    eye = inverse @ (view.position - [0, 0, 1] - body.origins[0])
    rays = rays @ inverse.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    gap = np.full(u.shape, np.inf)
    for share in np.linspace(0, 1, 400):
        to_centre = np.array([0, 0, share * body.shapes[0, 0]]) - eye
        along = rays @ to_centre
        distance = np.sqrt(np.maximum(to_centre @ to_centre - along**2, 0))
        gap = np.minimum(gap, distance - (radii[0] + share * (radii[1] - radii[0])))
    expected = (gap < 0).reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3)) * 255
    assert (expected > 0).sum() > 30
    assert np.abs(silhouette.astype(float) - expected).max() <= 64.1  # at most one of four samples
    assert np.abs(silhouette.astype(float) - expected).mean() < 0.3


def test_the_nearer_of_two_hides_the_other_whatever_their_order():
    near = ((0, -0.5, 0), (0, -0.5, 0), (0.15, 0.15), RED, (1.0, 1.0))
    far = ((0, 0.5, 0), (0, 0.5, 0), (0.15, 0.15), BLUE, (1.0, 1.0))
    view = _camera(0.0, 0.0)
    for parts in ((near, far), (far, near)):
        middle = _picture(_things(*parts), _still(), view).frames[0, SIZE // 2, SIZE // 2].astype(int)
        assert middle[0] > middle[2] + 60
    behind = _picture(_things(near, far), _still(), _camera(180.0, 0.0)).frames[0, SIZE // 2, SIZE // 2]
    assert int(behind[2]) > int(behind[0]) + 60


def test_joints_project_into_the_silhouette():
    inside = []
    for seed in range(6):
        body, posed = _person(seed, 5)
        view = View.around((0, 0, 0.9), 60.0 * seed, 12.0, 4.0, width=SIZE, height=SIZE)
        picture = _picture(body, posed, view)
        points = (posed.joints_world - view.position) @ view.rotation
        pixels = np.floor(points[..., :2] / points[..., 2:] * view.focal_px + SIZE / 2).astype(int)
        for frame, (x, y) in ((f, p) for f in range(5) for p in pixels[f]):
            if 0 <= x < SIZE and 0 <= y < SIZE:
                inside.append(picture.silhouettes[frame, y, x] > 0)
    assert len(inside) > 500
    assert np.mean(inside) > 0.98


def test_a_person_looks_different_from_the_front_and_from_behind():
    body, posed = _person(2)
    facing = np.degrees(np.arctan2(posed.rotations[0, 0, 0, 1], -posed.rotations[0, 0, 1, 1]))
    front = _picture(body, posed, _camera(facing)).frames[0].astype(int)
    back = _picture(body, posed, _camera(facing + 180)).frames[0].astype(int)
    assert np.abs(front - back).mean() > 10


def test_rendering_is_repeatable_and_frames_do_not_depend_on_each_other():
    body, posed = _person(1, 3)
    whole = _picture(body, posed, _camera())
    again = _picture(body, posed, _camera())
    last = _picture(body, Posed(posed.rotations[2:], posed.positions[2:]), _camera())
    np.testing.assert_array_equal(whole.frames, again.frames)
    np.testing.assert_array_equal(whole.frames[2], last.frames[0])


def test_camera_motion_shows_in_the_room():
    body = _things(((0, 0, 0), (0, 0, 0), (0.01, 0.01), RED, (1.0, 1.0)))
    for seed in range(8):
        one = _picture(body, _still(), _camera(0.0), seed).frames[0].astype(int)
        other = _picture(body, _still(), _camera(15.0), seed).frames[0].astype(int)
        assert np.abs(one - other).mean() > 1.5


def test_a_person_darkens_the_floor_below():
    body, posed = _person(0)
    view = View.around((0, 0, 0.3), 0.0, 60.0, 3.0, width=SIZE, height=SIZE)
    away = Posed(posed.rotations, posed.positions + np.array([40.0, 0.0, 0.0]))
    with_person, without = _picture(body, posed, view), _picture(body, away, view)
    floor = with_person.silhouettes[0] == 0
    change = with_person.frames[0][floor].astype(int) - without.frames[0][floor].astype(int)
    assert change.min() < -20
    assert change.max() <= 1


def test_hand_cover_counts_the_visible_hands():
    body, posed = _person(0)
    hand = posed.positions[0, JOINT["left_hand"]]
    close = View(hand + np.array([0.5, -0.5, 0.2]), hand, 60.0, SIZE, SIZE)
    cover = _picture(body, posed, close).hand_cover[0]
    assert cover[0] > 0.02
    assert cover[0] > cover[1]


def test_what_is_behind_the_camera_is_not_drawn():
    behind = _things(((0, -5.0, 0), (0, -5.0, 0.3), (0.2, 0.2), RED, (1.0, 1.0)))
    assert _picture(behind, _still(), _camera(0.0)).silhouettes.max() == 0
