"""Cameras, rooms and hands of a performance, without a Blender."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.camera import MOVES, CameraPath, View, describe
from threedimo.errors import InvalidCameraPath, InvalidRequest, InvalidScene
from threedimo_training.blender_scenes.planning import Take
from threedimo_training.blender_scenes.shots import FilmOptions, draw_shots
from threedimo_training.blender_scenes.staging import Performance, given_camera, hand_boxes, projected
from threedimo_training.motion.skeleton import JOINT

FRAMES = 17
OPTIONS = FilmOptions(64, FRAMES, 8.0)


def performance(
    joints: np.ndarray, name: str = "Anna", place=(0.0, 0.0, 0.0), in_place: bool = False
) -> Performance:
    """Somebody who does not move; the outline are the joints, grown by 5 cm."""
    moving = np.repeat(joints[None], FRAMES, axis=0) + place
    outline = moving[:, ::2][:, :26] + np.random.default_rng(0).uniform(-0.05, 0.05, (26, 3))
    take = Take(name, "walk", tuple(range(FRAMES)))
    return Performance.measured(take, moving, outline, in_place=in_place)


def front(size: int = 64, distance: float = 3.0, place=(0.0, 0.0, 0.0), name: str = "static") -> CameraPath:
    middle = np.add(place, (0.0, 0.0, 1.0))
    view = View.around(middle, 0.0, 0.0, distance, width=size, height=size)
    return MOVES[name](view, FRAMES, 8.0)


def test_the_world_lies_under_the_person_wherever_the_scene_has_it(standing):
    here, there = performance(standing), performance(standing, place=(7.0, -3.0, 2.0))
    np.testing.assert_allclose(here.joints, there.joints, atol=1e-12)
    np.testing.assert_allclose(there.origin - here.origin, (7.0, -3.0, 2.0))
    assert here.outline[..., 2].min() == 0
    np.testing.assert_allclose(here.joints[0, JOINT["pelvis"], :2], 0.0, atol=1e-12)
    kept = performance(standing, place=(7.0, -3.0, 2.0), in_place=True)
    np.testing.assert_array_equal(kept.origin, 0.0)
    np.testing.assert_allclose(kept.joints[0], np.add(standing, (7.0, -3.0, 2.0)))


def test_size_and_facing(standing):
    person = performance(standing)
    assert person.scale == pytest.approx(1.0, abs=0.05)
    assert person.forward is not None
    np.testing.assert_allclose(person.forward, (0.0, -1.0, 0.0), atol=1e-12)
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = performance(standing @ quarter.T)
    assert turned.forward is not None
    np.testing.assert_allclose(turned.forward, (1.0, 0.0, 0.0), atol=1e-12)
    assert performance(2 * standing).scale == pytest.approx(2 * person.scale)


def test_somebody_who_lies_has_no_front(standing):
    on_the_back = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    lying = performance(standing @ on_the_back.T)
    assert lying.forward is None
    assert lying.upper_outline is lying.outline
    _, driving, target = draw_shots(np.random.default_rng(1), lying, lying, OPTIONS, furnished=False)
    assert target.path.subject_forward is None
    assert not describe(target.path).startswith(("Front", "Back", "Left", "Right"))
    assert driving.path.subject_position is not None


def test_upper_body_ends_at_the_hips(standing):
    person = performance(standing)
    hips = person.joints[0, JOINT["left_hip"], 2]
    assert person.outline[..., 2].min() < hips
    assert person.upper_outline[..., 2].min() >= hips
    assert person.upper_outline[..., 2].max() == person.outline[..., 2].max()


@pytest.mark.parametrize("role", ["same_view", "cross_view", "moving_camera"])
def test_roles_and_rooms(standing, role):
    anna, bert = performance(standing), performance(1.1 * standing, "Bert", place=(4.0, 0.0, 0.0))
    options = FilmOptions(64, FRAMES, 8.0, roles=(role,))
    for seed in range(5):
        drawn, driving, target = draw_shots(np.random.default_rng(seed), anna, bert, options, furnished=False)
        assert drawn == role
        assert (driving.path is target.path) == (role == "same_view")
        stays = describe(target.path).endswith("camera remains static.")
        assert stays == (role != "moving_camera")
        for shot in (driving, target):
            assert shot.room is not None
            floor = shot.room["half"]
            assert np.abs(shot.path.positions[:, :2]).max() < floor
            assert len(shot.room["colours"]) == 8
            pixels, depth = projected(shot.performance.outline, shot.path)
            inside = ((pixels > -6) & (pixels < 70)).all(axis=-1) & (depth > 0)
            # upper bodies leave legs out, and moves may end closer
            assert inside.mean() > 0.3
        assert driving.room != target.room
    _, driving, target = draw_shots(np.random.default_rng(0), anna, anna, options, furnished=True)
    assert driving.room is None
    assert target.room is None


def test_a_state_is_one_drawing(standing):
    person = performance(standing)
    one, again = (
        draw_shots(np.random.default_rng(3), person, person, OPTIONS, furnished=False) for _ in "ab"
    )
    assert one[0] == again[0]
    np.testing.assert_array_equal(one[2].path.world_from_camera, again[2].path.world_from_camera)
    assert one[2].room == again[2].room


def test_hand_boxes_hold_the_hands(standing):
    person = performance(standing)
    path = front(size=128, place=-person.origin)
    boxes = hand_boxes(person, path)
    assert boxes is not None
    assert np.isfinite(boxes).all()
    pixels, _ = projected(person.joints, path)
    for hand, side in enumerate(("left", "right")):
        for name in ("wrist", "index3", "thumb3", "pinky1"):
            point = pixels[:, JOINT[f"{side}_{name}"]]
            assert (boxes[:, hand, :2] < point).all()
            assert (point < boxes[:, hand, 2:]).all()
    sides = boxes[..., 2:] - boxes[..., :2]
    np.testing.assert_allclose(sides[..., 0], sides[..., 1], rtol=1e-5)
    # a person's left hand is on the right of a front view
    assert (boxes[:, 0, 0] > boxes[:, 1, 2]).all()


def test_small_unseen_and_unknown_hands(standing):
    person = performance(standing)
    far = hand_boxes(person, front(distance=30.0, place=-person.origin))
    assert far is not None
    assert np.isnan(far).all()
    beside = hand_boxes(person, front(place=-person.origin + (0.9, 0, 0)))
    assert beside is not None
    assert np.isfinite(beside[:, 0]).all()
    assert np.isnan(beside[:, 1]).all()
    fingerless = standing.copy()
    fingerless[24:] = np.nan
    assert hand_boxes(performance(fingerless), front()) is None


def test_a_given_camera_is_about_this_person(standing):
    person = performance(standing, place=(5.0, 2.0, 0.0), in_place=True)
    camera = front(size=256, place=(5.0, 2.0, 0.0), name="arc_left")
    path = given_camera(camera, person, FRAMES, 8.0, 64)
    assert (path.width, path.height) == (64, 64)
    np.testing.assert_allclose(path.world_from_camera, camera.world_from_camera, atol=1e-12)
    assert describe(path).startswith("Front view. The camera arcs left")
    with pytest.raises(InvalidScene, match=r"does not see Anna.*0%.*scene's own coordinates"):
        given_camera(front(place=(50.0, 0.0, 0.0)), person, FRAMES, 8.0, 64)
    with pytest.raises(InvalidCameraPath, match="ends before the clip"):
        given_camera(camera, person, 40, 8.0, 64)


def test_a_given_camera_decides_the_roles():
    assert FilmOptions(64, FRAMES, 8.0, camera=front()).possible_roles == ("same_view", "cross_view")
    assert FilmOptions(64, FRAMES, 8.0, camera=front(name="arc_left")).possible_roles == ("moving_camera",)
    with pytest.raises(
        InvalidRequest, match=r"cannot film these roles.*moving_camera.*same_view and cross_view"
    ):
        FilmOptions(64, FRAMES, 8.0, roles=("moving_camera",), camera=front())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"engine": "povray"}, "workbench, eevee, cycles"),
        ({"size": 8}, "16 to 2048"),
        ({"num_frames": 0}, "1 or more"),
        ({"fps": 0.0}, "above 0 fps"),
        ({"roles": ()}, "same_view"),
        ({"roles": ("sideways",)}, "same_view"),
    ],
)
def test_wrong_options(wrong, said):
    with pytest.raises(InvalidRequest, match=said):
        FilmOptions(**({"size": 64, "num_frames": FRAMES, "fps": 8.0} | wrong))
