import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.camera import MOVES, View
from threedimo.camera import moves as functions
from threedimo.errors import InvalidCameraPath


def draw_path(data, view, name, **options):
    move = MOVES[name]
    amount = None if move.amount is None else data.draw(st.floats(move.amount.lowest, move.amount.highest))
    frames, fps = data.draw(st.integers(8, 240)), data.draw(st.floats(12, 60))
    return move(view, frames, fps, amount, **options), amount


def depths_of_subject(path):
    return np.sum((path.subject_position - path.positions) * path.rotations[:, :, 2], axis=-1)


def test_the_vocabulary_is_the_papers():
    assert list(MOVES) == [
        *("static", "handheld_static", "forward", "back", "left", "right", "up", "down"),
        *("zoom_in", "zoom_out", "rapid_zoom_in", "rapid_zoom_out", "handheld_zoom_in", "aerial_pull_out"),
        *("vertigo_in", "vertigo_out", "dynamic_zoom_swing", "arc_left", "arc_right"),
    ]
    for name, move in MOVES.items():
        assert move.name == name
        assert move.function is getattr(functions, name)


@given(data=st.data(), name=st.sampled_from(sorted(MOVES)))
@settings(deadline=None, max_examples=60)
def test_every_move_starts_at_its_view(views, data, name):
    view = data.draw(views(-20, 45))
    path, _ = draw_path(data, view, name)
    np.testing.assert_allclose(path.positions[0], view.position, atol=1e-9 * (1 + abs(view.position).max()))
    np.testing.assert_allclose(path.rotations[0], view.rotation, atol=1e-12)
    assert path.intrinsics[0, 0, 0] == pytest.approx(view.focal_px)


@given(data=st.data(), side=st.sampled_from(["left", "right"]))
@settings(deadline=None, max_examples=40)
def test_arcs_keep_distance_and_look_at_and_go_to_their_side(views, data, side):
    view = data.draw(views())
    path, degrees = draw_path(data, view, f"arc_{side}", easing="linear")
    lines = (path.subject_position - path.positions) / view.distance_m
    np.testing.assert_allclose(np.linalg.norm(lines, axis=-1), 1, atol=1e-9)
    np.testing.assert_allclose(np.sum(lines * path.rotations[:, :, 2], axis=-1), 1, atol=1e-9)
    first_step = (path.positions[1] - path.positions[0]) @ path.rotations[0]
    assert np.sign(first_step[0]) == (-1 if side == "left" else 1)
    steps = np.diff(np.unwrap(np.arctan2(lines[:, 1], lines[:, 0])))
    assert abs(np.degrees(steps.sum())) == pytest.approx(degrees)


@given(data=st.data(), name=st.sampled_from(["vertigo_in", "vertigo_out"]))
@settings(deadline=None, max_examples=40)
def test_vertigo_keeps_the_size_of_the_subject(views, data, name):
    path, distances = draw_path(data, data.draw(views()), name)
    depths = depths_of_subject(path)
    sizes = path.intrinsics[:, 1, 1] / depths
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-9)
    assert depths[-1] / depths[0] == pytest.approx(1 - distances if name == "vertigo_in" else 1 + distances)


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("left", 0, -1), ("right", 0, 1), ("forward", 2, 1), ("back", 2, -1)],
)
def test_straight_moves_go_along_the_cameras_axes(view, name, axis, sign):
    path = MOVES[name](view(40, 20, distance_m=5), 9, 8, 0.5)
    expected = np.zeros(3)
    expected[axis] = sign * 2.5
    np.testing.assert_allclose(path.first_from_camera[-1, :3, 3], expected, atol=1e-12)
    np.testing.assert_allclose(path.rotations[-1], path.rotations[0])


@pytest.mark.parametrize(("name", "sign"), [("up", 1), ("down", -1)])
def test_up_and_down_are_the_worlds(view, name, sign):
    path = MOVES[name](view(40, 30, distance_m=5), 9, 8, 0.5)
    np.testing.assert_allclose(path.positions[-1] - path.positions[0], [0, 0, sign * 2.5], atol=1e-12)


@pytest.mark.parametrize(("name", "factor"), [("zoom_in", 2.0), ("zoom_out", 0.5), ("handheld_zoom_in", 2.0)])
def test_zooms_take_the_whole_clip(view, name, factor):
    focal = MOVES[name](view(), 41, 20, 2.0).intrinsics[:, 0, 0]
    assert focal[-1] / focal[0] == pytest.approx(factor)
    assert focal[20] / focal[0] == pytest.approx(factor**0.5)


@pytest.mark.parametrize(("name", "factor"), [("rapid_zoom_in", 2.0), ("rapid_zoom_out", 0.5)])
def test_rapid_zooms_are_over_in_half_a_second(view, name, factor):
    focal = MOVES[name](view(), 41, 20, 2.0).intrinsics[:, 0, 0]
    assert focal[9] / focal[0] != pytest.approx(factor)
    np.testing.assert_allclose(focal[10:] / focal[0], factor)


def test_handheld_moves_repeat_with_their_seed_only(view):
    for name in ("handheld_static", "handheld_zoom_in"):
        first, same, other = (MOVES[name](view(), 49, 24, seed=seed).world_from_camera for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, same)
        assert np.abs(first - other).max() > 1e-3


def test_handheld_strength_scales_the_tremor(view):
    weak, strong = (MOVES["handheld_static"](view(), 49, 24, amount, seed=1) for amount in (0.5, 1.5))
    shifts = [np.abs(path.positions - path.positions[0]).max() for path in (weak, strong)]
    assert shifts[1] / shifts[0] == pytest.approx(3)


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_aerial_pull_out_leaves_climbs_and_looks_on(views, data):
    view = data.draw(views(-20, 45))
    path, distances = draw_path(data, view, "aerial_pull_out")
    lines = path.positions - path.subject_position
    reach = np.linalg.norm(lines, axis=-1)
    assert reach[-1] / reach[0] == pytest.approx(1 + distances)
    elevation = np.degrees(np.arcsin(lines[:, 2] / reach))
    assert elevation[-1] - elevation[0] >= 20 - 1e-6
    assert elevation[-1] >= 20 - 1e-6
    np.testing.assert_allclose(depths_of_subject(path), reach)


def test_swing_returns_to_its_start(view):
    path = MOVES["dynamic_zoom_swing"](view(), 41, 20, 40)
    np.testing.assert_allclose(path.world_from_camera[-1], path.world_from_camera[0], atol=1e-12)
    assert path.intrinsics[20, 0, 0] / path.intrinsics[0, 0, 0] == pytest.approx(1.5)
    assert path.first_from_camera[20, 0, 3] < 0


@pytest.mark.parametrize("name", sorted(MOVES))
def test_impossible_requests_are_refused(view, name):
    move = MOVES[name]
    with pytest.raises(InvalidCameraPath):
        move(view(), 0, 8)
    with pytest.raises(InvalidCameraPath):
        move(view(), 9, -1)
    wrong = (
        [1.0] if move.amount is None else [move.amount.lowest / 1.01, move.amount.highest * 1.01, np.nan, "2"]
    )
    for amount in wrong:
        with pytest.raises(InvalidCameraPath, match=r"amount|out of range"):
            move(view(), 9, 8, amount)
    if move.eases:
        with pytest.raises(InvalidCameraPath, match="smooth or linear"):
            move(view(), 9, 8, easing="bounce")
        with pytest.raises(InvalidCameraPath, match="needs time"):
            move(view(), 1, 8)


@pytest.mark.parametrize("elevation_deg", [-30, 70])
def test_aerial_pull_out_needs_room(view, elevation_deg):
    with pytest.raises(InvalidCameraPath, match="room to climb"):
        MOVES["aerial_pull_out"](view(0, elevation_deg), 9, 8)


def test_vertigo_refuses_a_subject_out_of_sight():
    view = View((0, -3, 1), (0, -6, 1), 500, 832, 480, subject_position=(0, 0, 1))
    with pytest.raises(InvalidCameraPath, match="subject"):
        MOVES["vertigo_in"](view, 9, 8)


def test_view_around_stands_where_it_says(view):
    # The person faces +y, so that its left hand is at -x.
    left = view(90, 0, 2, facing_deg=90, subject=(1, 1, 1))
    np.testing.assert_allclose(left.position, [-1, 1, 1], atol=1e-12)
    above = view(0, 30, 2, facing_deg=90, subject=(0, 0, 0))
    np.testing.assert_allclose(above.position, [0, 3**0.5, 1], atol=1e-12)
    np.testing.assert_allclose(above.rotation[:, 1] @ [0, 0, 1], -np.cos(np.radians(30)))
    assert view().focal_px == pytest.approx(240 / np.tan(np.radians(22.5)))


@pytest.mark.parametrize(
    ("position", "target", "focal", "message"),
    [
        ((0, 0, 0), (0, 0, 0), 500, "target is where"),
        ((0, 0, 5), (0, 0, 0), 500, "straight up or down"),
        ((0, 0, 0), (0, 1, 0), 0, "focal"),
        ((0, 0, 0), (0, 1, 0), float("inf"), "focal"),
        ((0, np.nan, 0), (0, 1, 0), 500, "finite"),
        ((0, 0), (0, 1, 0), 500, "shape"),
    ],
)
def test_impossible_views_are_refused(position, target, focal, message):
    with pytest.raises(InvalidCameraPath, match=message):
        View(position, target, focal, 832, 480)


@pytest.mark.parametrize(
    "options",
    [
        {"elevation_deg": 90},
        {"distance_m": 0},
        {"vertical_fov_deg": 180},
        {"width": 0},
        {"subject_forward": None},
    ],
)
def test_impossible_directions_are_refused(options):
    with pytest.raises(InvalidCameraPath):
        View.around((0, 0, 1), **options)
