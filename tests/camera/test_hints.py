from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.camera import HINT_NAMES, MOVES, NUM_HINTS, camera_hints
from threedimo.camera.rotations import turns_about_z


def column(hints, name):
    return hints[:, HINT_NAMES.index(name)]


def moved(path, angle_rad, shift, scale):
    """The same shot in a world that is turned about the vertical, shifted and scaled."""
    turn = turns_about_z(np.array([angle_rad]))[0]
    poses = path.world_from_camera.copy()
    poses[:, :3, :3] = turn @ path.rotations
    poses[:, :3, 3] = scale * path.positions @ turn.T + shift
    position, forward = path.subject_position, path.subject_forward
    return replace(
        path,
        world_from_camera=poses,
        subject_position=None if position is None else scale * turn @ position + shift,
        subject_forward=None if forward is None else turn @ forward,
    )


@given(
    data=st.data(),
    name=st.sampled_from(sorted(MOVES)),
    angle=st.floats(-4, 4),
    shift=st.tuples(*[st.floats(-100, 100)] * 3),
    scale=st.floats(-1, 2).map(lambda power: 10**power),
)
@settings(deadline=None, max_examples=60)
def test_place_direction_and_scale_of_the_world_do_not_show(views, data, name, angle, shift, scale):
    view = data.draw(views(-20, 45))
    path = MOVES[name](view, data.draw(st.integers(8, 60)), 24)
    other = moved(path, angle, np.array(shift), scale)
    np.testing.assert_allclose(camera_hints(other), camera_hints(path), atol=2e-5)


@pytest.mark.parametrize("name", ["arc_left", "aerial_pull_out"])
def test_scale_does_not_show_where_the_axes_meet(view, name):
    path = replace(MOVES[name](view(30, 10), 17, 8), subject_position=None, subject_forward=None)
    hints = camera_hints(path)
    np.testing.assert_allclose(camera_hints(moved(path, 1.0, np.ones(3), 7.0)), hints, atol=1e-5)
    assert not column(hints, "has_subject").any()
    # The estimated pivot stands in for the subject that the path no longer names.
    named = camera_hints(MOVES[name](view(30, 10), 17, 8))
    np.testing.assert_allclose(hints[:, :10], named[:, :10], atol=1e-5)


def test_a_static_camera_has_the_identity_throughout(view):
    hints = camera_hints(MOVES["static"](view(90, 30), 5, 8))
    assert hints.shape == (5, NUM_HINTS)
    assert hints.dtype == np.float32
    assert len(set(HINT_NAMES)) == NUM_HINTS
    expected = dict.fromkeys(HINT_NAMES, 0.0) | {
        "right_axis_x": 1.0,
        "down_axis_y": 1.0,
        "azimuth_sin": 1.0,
        "elevation": np.radians(30),
        "vertical_fov": np.radians(45),
        "has_subject": 1.0,
        "has_forward": 1.0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(column(hints, name), value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("move", "hint", "value"),
    [
        ("left", "right", -0.5),
        ("right", "right", 0.5),
        ("forward", "forward", 0.5),
        ("back", "forward", -0.5),
        ("up", "down", -0.5),
        ("down", "down", 0.5),
    ],
)
def test_moves_show_in_their_hint_alone(view, move, hint, value):
    hints = camera_hints(MOVES[move](view(20, 0, distance_m=40), 9, 8, 0.5))
    assert column(hints, hint)[-1] == pytest.approx(value, abs=1e-6)
    others = [index for index, name in enumerate(HINT_NAMES) if name != hint]
    np.testing.assert_allclose(
        hints[:, others], np.broadcast_to(hints[0, others], (9, NUM_HINTS - 1)), atol=1e-6
    )


def test_zoom_shows_as_the_log_of_the_ratio(view):
    hints = camera_hints(MOVES["zoom_in"](view(), 9, 8, 2.0))
    assert column(hints, "log_focal_ratio")[-1] == pytest.approx(np.log(2))
    # The field of view is that of the first frame.
    np.testing.assert_allclose(column(hints, "vertical_fov"), np.radians(45), atol=1e-6)


def test_flags_say_what_is_unknown(view):
    path = MOVES["arc_left"](view(30, 20), 9, 8)
    faceless = camera_hints(replace(path, subject_forward=None))
    assert not faceless[
        :, [HINT_NAMES.index(name) for name in ("azimuth_sin", "azimuth_cos", "has_forward")]
    ].any()
    assert column(faceless, "has_subject").all()
    assert column(faceless, "elevation")[0] == pytest.approx(np.radians(20))


def test_size_of_the_picture_changes_the_field_of_view_only(view):
    path = MOVES["vertigo_in"](view(30, 20), 9, 8)
    hints, taller = camera_hints(path), camera_hints(path.for_size(480, 480))
    np.testing.assert_allclose(taller, hints, atol=1e-6)
    wider = camera_hints(path.for_size(1664, 480))
    fov = HINT_NAMES.index("vertical_fov")
    assert (wider[:, fov] < hints[:, fov]).all()
    np.testing.assert_allclose(np.delete(wider, fov, 1), np.delete(hints, fov, 1), atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_hints_of_any_path_are_finite(wild_path, seed):
    path = wild_path(seed)
    hints = camera_hints(path)
    assert hints.shape == (path.num_frames, NUM_HINTS)
    assert np.isfinite(hints).all()
