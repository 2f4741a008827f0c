import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.camera import MOVES, VOCABULARY, CameraPath, describe, split_words
from threedimo.camera.rotations import rotations_from_vectors, turns_about_z

TRAVEL = r"( a short way| a long way)?( slowly| quickly)?"
TURN = r" (\d+) degrees( slowly| quickly)?"
ZOOM = r"( slowly| rapidly)?( and)?( slightly| strongly)?"
# From about this long on, a tremor can be told from a move.
TREMOR_S = 1.0

PATTERNS = {
    "static": "remains static",
    "handheld_static": "remains static",
    "forward": "moves forward" + TRAVEL,
    "back": "moves back" + TRAVEL,
    "left": "moves left" + TRAVEL,
    "right": "moves right" + TRAVEL,
    "up": "rises" + TRAVEL,
    "down": "descends" + TRAVEL,
    "zoom_in": "zooms in" + ZOOM,
    "zoom_out": "zooms out" + ZOOM,
    "rapid_zoom_in": "zooms in rapidly( and slightly| and strongly)?(, then remains static)?",
    "rapid_zoom_out": "zooms out rapidly( and slightly| and strongly)?(, then remains static)?",
    "handheld_zoom_in": "zooms in" + ZOOM,
    "aerial_pull_out": rf"(moves back{TRAVEL}|rises{TRAVEL}|and| )+ \(aerial pull-out\)",
    "vertigo_in": rf"moves forward{TRAVEL} while zooming out{ZOOM} \(vertigo\)",
    "vertigo_out": rf"moves back{TRAVEL} while zooming in{ZOOM} \(vertigo\)",
    "dynamic_zoom_swing": (
        rf"arcs left{TURN} while zooming in{ZOOM}, then arcs right{TURN} while zooming out{ZOOM}"
        r" \(dynamic zoom swing\)"
    ),
    "arc_left": "arcs left" + TURN,
    "arc_right": "arcs right" + TURN,
}


def movement(path):
    return re.search(r"The (handheld )?camera (.*)\.$", describe(path))


def check_amount(name, amount, found):
    """The words or the number stand for the amount, give or take the noise at a boundary."""
    if name in ("forward", "back", "left", "right", "up", "down"):
        word = found[1] or ""
        assert ("short" in word, "long" in word) in {
            (size < 0.2, size > 0.6) for size in (amount - 0.02, amount + 0.02)
        }
    if name.startswith("arc"):
        assert abs(int(found[1]) - amount) <= 8
    if name == "dynamic_zoom_swing":
        # With few frames, none may stand at the turn.
        assert abs(int(found[1]) - amount) <= 7.5 + amount / 4
    if name in ("zoom_in", "zoom_out", "handheld_zoom_in"):
        word = found[3] or ""
        assert ("slightly" in word, "strongly" in word) in {
            (size < 0.4, size > 1.1) for size in (np.log2(amount) - 0.02, np.log2(amount) + 0.02)
        }


@pytest.mark.parametrize("name", sorted(MOVES))
@given(data=st.data(), noisy=st.booleans(), easing=st.sampled_from(["smooth", "linear"]))
@settings(deadline=None, max_examples=25)
def test_the_text_names_the_move_its_direction_and_its_amount(views, add_noise, name, data, noisy, easing):
    move = MOVES[name]
    view = data.draw(views(-20, 45) if name == "aerial_pull_out" else views())
    amount = None if move.amount is None else data.draw(st.floats(move.amount.lowest, move.amount.highest))
    frames, fps, seed = (
        data.draw(st.integers(8, 240)),
        data.draw(st.floats(12, 60)),
        data.draw(st.integers(0, 99)),
    )
    path = move(view, frames, fps, amount, easing=easing, seed=seed)
    text = movement(add_noise(path, view.distance_m, seed) if noisy else path)
    found = re.fullmatch(PATTERNS[name], text[2])
    assert found, text[0]
    assert move.phrase in text[0]
    check_amount(name, amount, found)
    if not name.startswith("handheld"):
        assert not text[1], text[0]
    elif path.duration_s >= TREMOR_S:
        assert text[1], text[0]


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=150)
def test_any_path_gets_a_text_of_known_words(wild_path, seed):
    text = describe(wild_path(seed))
    assert set(split_words(text)) <= set(VOCABULARY)
    assert re.fullmatch(
        r"(([A-Z][a-z ]+ )?view( from a (high|low) angle)?\. )?The (handheld )?camera .*\.", text, re.I
    )
    # The wire's limit for texts.
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("azimuth_deg", "expected"),
    [
        (0, "Front view."),
        (20, "Front view."),
        (45, "Front left view."),
        (90, "Left side view."),
        (135, "Back left view."),
        (180, "Back view."),
        (-180, "Back view."),
        (-135, "Back right view."),
        (-90, "Right side view."),
        (-45, "Front right view."),
    ],
)
@pytest.mark.parametrize("facing_deg", [-90, 10, 170])
def test_viewpoints_are_relative_to_the_person(view, azimuth_deg, expected, facing_deg):
    path = MOVES["static"](view(azimuth_deg, 0, 2, facing_deg), 5, 8)
    assert describe(path) == f"{expected} The camera remains static."


@pytest.mark.parametrize(
    ("elevation_deg", "with_forward", "without"),
    [
        (10, "Front view.", ""),
        (30, "Front view from a high angle.", "View from a high angle."),
        (-20, "Front view from a low angle.", "View from a low angle."),
        (75, "Overhead view.", "Overhead view."),
    ],
)
def test_viewpoints_tell_height(view, elevation_deg, with_forward, without):
    path = MOVES["static"](view(0, elevation_deg), 5, 8)
    assert describe(path) == f"{with_forward} The camera remains static."
    assert describe(replace(path, subject_forward=None)) == f"{without} The camera remains static.".strip()
    assert (
        describe(replace(path, subject_position=None, subject_forward=None)) == "The camera remains static."
    )


def turned(path, vectors):
    """The path with a turn about the camera's own axes added to every frame."""
    poses = path.world_from_camera.copy()
    poses[:, :3, :3] = path.rotations @ rotations_from_vectors(vectors)
    return replace(path, world_from_camera=poses)


@pytest.mark.parametrize("with_subject", [True, False])
@pytest.mark.parametrize(
    ("axis", "sign", "expected"),
    [
        (1, 1, "pans right"),
        (1, -1, "pans left"),
        (0, 1, "tilts up"),
        (0, -1, "tilts down"),
        (2, 1, "rolls clockwise"),
        (2, -1, "rolls counterclockwise"),
    ],
)
def test_turns_on_the_spot(view, with_subject, axis, sign, expected):
    vectors = np.zeros((33, 3))
    vectors[:, axis] = sign * np.radians(30) * np.linspace(0, 1, 33)
    path = turned(MOVES["static"](view(), 33, 16), vectors)
    if not with_subject:
        path = replace(path, subject_position=None, subject_forward=None)
    assert movement(path)[2] == f"{expected} 30 degrees"


def joined(first, second):
    """One path after the other, the second carried to where the first one ends."""
    carry = first.world_from_camera[-1] @ np.linalg.inv(second.world_from_camera[0])
    intrinsics = second.intrinsics * 1.0
    intrinsics[:, [0, 1], [0, 1]] *= first.intrinsics[-1, 0, 0] / second.intrinsics[0, 0, 0]
    return replace(
        first,
        world_from_camera=np.concatenate([first.world_from_camera, carry @ second.world_from_camera[1:]]),
        intrinsics=np.concatenate([first.intrinsics, intrinsics[1:]]),
    )


@pytest.mark.parametrize("easing", ["smooth", "linear"])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("forward", "static", "moves forward, then remains static"),
        ("static", "zoom_in", "remains static, then zooms in"),
        ("arc_left", "arc_right", r"arcs left 45 degrees, then arcs right 45 degrees"),
        ("arc_left", "zoom_in", r"arcs left 45 degrees, then zooms in"),
        ("left", "up", "moves left, then rises"),
        ("right", "back", "moves right, then moves back"),
        ("forward", "back", "moves forward, then moves back"),
    ],
)
def test_one_move_after_another(view, easing, first, second, expected):
    start = view(30, 5)
    options = ({} if name == "static" else {"easing": easing} for name in (first, second))
    parts = [
        MOVES[name](start, 41, 20, **option) for name, option in zip((first, second), options, strict=True)
    ]
    assert movement(joined(*parts))[2] == expected


def test_a_pause_is_told(view):
    go, stay = MOVES["left"](view(), 33, 16, 0.5), MOVES["static"](view(), 49, 16)
    assert movement(joined(joined(go, stay), go))[2] == "moves left, then remains static, then moves left"


def test_arc_and_rise_together(view):
    path = MOVES["arc_left"](view(), 81, 16, 45)
    poses = path.world_from_camera.copy()
    poses[:, 2, 3] += np.linspace(0, 1.2, 81)
    path = replace(path, world_from_camera=poses)
    assert describe(path) == "Front view. The camera arcs left 45 degrees slowly and rises slowly."


def test_following_the_subject_with_the_lens_axis_is_no_tilt(view):
    start = view()
    positions = start.position + np.linspace(0, 1, 33)[:, None] * np.array([0, 0, 1.5])
    looks = [view(0, float(np.degrees(np.arctan2(z - 0.9, 3)))).rotation for z in positions[:, 2]]
    path = MOVES["static"](start, 33, 16)
    poses = path.world_from_camera.copy()
    poses[:, :3, :3], poses[:, :3, 3] = np.array(looks), positions
    assert movement(replace(path, world_from_camera=poses))[2] == "rises"


@pytest.mark.parametrize(("seconds", "speed"), [(0.5, " quickly"), (2, ""), (8, " slowly")])
def test_speed_follows_the_rate(view, seconds, speed):
    path = MOVES["arc_right"](view(distance_m=0.3), round(seconds * 24) + 1, 24, 45)
    assert movement(path)[2] == f"arcs right 45 degrees{speed}"
    path = MOVES["back"](view(distance_m=300), round(seconds * 24) + 1, 24, 0.5)
    assert movement(path)[2] == f"moves back{speed}"


@pytest.mark.parametrize(("turns_deg", "expected"), [(360, "360 degrees"), (720, "more than 360 degrees")])
def test_whole_turns_are_counted(view, turns_deg, expected):
    start = view(0, 10)
    turns = turns_about_z(np.radians(-np.linspace(0, turns_deg, 241)))
    path = MOVES["static"](start, 241, 24)
    poses = path.world_from_camera.copy()
    poses[:, :3, :3] = turns @ path.rotations
    poses[:, :3, 3] = (
        path.subject_position + (turns @ (start.position - path.subject_position)[:, None])[..., 0]
    )
    assert movement(replace(path, world_from_camera=poses))[2].startswith(f"arcs left {expected}")


def test_arcs_are_seen_without_a_subject(view):
    path = replace(MOVES["arc_left"](view(0, 20), 41, 16, 60), subject_position=None, subject_forward=None)
    assert describe(path) == "The camera arcs left 60 degrees."


def test_sizes_and_rates_of_frames_do_not_change_the_text(view):
    path = MOVES["arc_left"](view(0, 20), 241, 48, 60)
    assert isinstance(path, CameraPath)
    assert describe(path.for_size(480, 480).resampled(81, 16)) == describe(path)


def test_the_vocabulary_is_small_lower_case_and_closed():
    assert len(VOCABULARY) == len(set(VOCABULARY)) < 100
    for word in VOCABULARY:
        assert split_words(word) == [word]
    assert split_words("Front view. The camera moves, (aerial pull-out) 15!") == [
        *("front", "view", "the", "camera", "moves", "aerial", "pull-out", "15")
    ]
