"""The vocabulary of camera moves: from a start view and an amount to a `CameraPath`.

These are the camera types of the paper's captured data (data section), each as a function
`move(view, num_frames, fps, amount)`, and all of them in `MOVES` under the names that training and tests use.
Moves that translate are measured in *distances*: 1 is the distance from the camera to its subject at the
start, so that a move looks the same at every scale. Left and right are the camera's own.

A move starts exactly at its view and runs over the whole clip; only the rapid zooms are over in half a
second. The easing "smooth" starts and ends at rest, "linear" keeps one speed. Hand-held moves shake by a
seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from threedimo.camera.checks import check_count, check_number
from threedimo.camera.path import CameraPath
from threedimo.camera.rotations import Floats, look_at
from threedimo.camera.tracks import Easing, eased, orbit, path_from, progress, shaken, travel
from threedimo.camera.view import View
from threedimo.errors import InvalidCameraPath

RAPID_S = 0.5
SWING_ZOOM = 1.5
CLIMB_DEG = 20.0
PULL_OUT_START_DEG = (-20.0, 45.0)


@dataclass(frozen=True)
class Amount:
    """How far a move goes: its keyword, its unit, and the range that is allowed."""

    keyword: str
    unit: str
    default: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Move:
    """One word of the vocabulary, callable as `move(view, num_frames, fps, amount)`.

    Args:
        name: Its key in `MOVES`.
        phrase: How `describe` says it, without amounts and speeds.
        function: Makes the path.
        amount: What may be asked for, or None for a move without one.
        eases: Whether the function takes `easing`.
        shakes: Whether the function takes `seed`.
    """

    name: str
    phrase: str
    function: Callable[..., CameraPath]
    amount: Amount | None
    eases: bool = True
    shakes: bool = False

    def __call__(
        self,
        view: View,
        num_frames: int,
        fps: float,
        amount: float | None = None,
        *,
        easing: Easing = "smooth",
        seed: int = 0,
    ) -> CameraPath:
        """Make the path; `amount` None is the default, `easing` and `seed` reach the moves that have them."""
        options: dict[str, Any] = {}
        if self.amount is not None:
            options[self.amount.keyword] = self.amount.default if amount is None else amount
        elif amount is not None:
            raise InvalidCameraPath(
                f"the move {self.name} has no amount", given=amount, remedy="leave it out"
            )
        if self.eases:
            options["easing"] = easing
        if self.shakes:
            options["seed"] = seed
        return self.function(view, num_frames, fps, **options)


def _asked(name: str, value: float) -> float:
    """The amount that was asked for, checked against the range that the vocabulary announces."""
    amount = MOVES[name].amount
    assert amount is not None
    return check_number(f"{amount.keyword} of {name}", value, amount.lowest, amount.highest)


def static(view: View, num_frames: int, fps: float) -> CameraPath:
    """Stay."""
    return travel(view, np.zeros((check_count(num_frames), 3)), fps)


def handheld_static(
    view: View, num_frames: int, fps: float, strength: float = 1.0, *, seed: int = 0
) -> CameraPath:
    """Stay, held by a hand: a tremor of 2 to 5 hertz, 0.4 degrees and 0.3 % of the distance at strength 1."""
    return shaken(view, static(view, num_frames, fps), _asked("handheld_static", strength), seed)


def _straight(
    name: str, direction: Floats, view: View, num_frames: int, fps: float, distances: float, easing: str
) -> CameraPath:
    share = progress(num_frames, fps, easing) * _asked(name, distances)
    return travel(view, share[:, None] * direction, fps)


def forward(
    view: View, num_frames: int, fps: float, distances: float = 0.4, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move along the optical axis, ahead."""
    return _straight("forward", view.rotation[:, 2], view, num_frames, fps, distances, easing)


def back(
    view: View, num_frames: int, fps: float, distances: float = 0.5, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move along the optical axis, backwards."""
    return _straight("back", -view.rotation[:, 2], view, num_frames, fps, distances, easing)


def left(
    view: View, num_frames: int, fps: float, distances: float = 0.4, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move to the camera's left without turning."""
    return _straight("left", -view.rotation[:, 0], view, num_frames, fps, distances, easing)


def right(
    view: View, num_frames: int, fps: float, distances: float = 0.4, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move to the camera's right without turning."""
    return _straight("right", view.rotation[:, 0], view, num_frames, fps, distances, easing)


def up(
    view: View, num_frames: int, fps: float, distances: float = 0.4, *, easing: Easing = "smooth"
) -> CameraPath:
    """Rise along the world's vertical without turning."""
    return _straight("up", np.array([0.0, 0.0, 1.0]), view, num_frames, fps, distances, easing)


def down(
    view: View, num_frames: int, fps: float, distances: float = 0.3, *, easing: Easing = "smooth"
) -> CameraPath:
    """Sink along the world's vertical without turning."""
    return _straight("down", np.array([0.0, 0.0, -1.0]), view, num_frames, fps, distances, easing)


def _zoom(
    view: View,
    num_frames: int,
    fps: float,
    ratio: float,
    easing: str,
    within_s: float | None = None,
) -> CameraPath:
    # Geometric, so that the picture grows by the same share in every frame.
    factor = ratio ** progress(num_frames, fps, easing, within_s)
    return travel(view, np.zeros((num_frames, 3)), fps, factor)


def zoom_in(
    view: View, num_frames: int, fps: float, ratio: float = 1.5, *, easing: Easing = "smooth"
) -> CameraPath:
    """Lengthen the lens by this factor."""
    return _zoom(view, num_frames, fps, _asked("zoom_in", ratio), easing)


def zoom_out(
    view: View, num_frames: int, fps: float, ratio: float = 1.5, *, easing: Easing = "smooth"
) -> CameraPath:
    """Shorten the lens by this factor."""
    return _zoom(view, num_frames, fps, 1 / _asked("zoom_out", ratio), easing)


def rapid_zoom_in(
    view: View, num_frames: int, fps: float, ratio: float = 2.0, *, easing: Easing = "smooth"
) -> CameraPath:
    """Lengthen the lens by this factor within the first half second, and hold."""
    return _zoom(view, num_frames, fps, _asked("rapid_zoom_in", ratio), easing, RAPID_S)


def rapid_zoom_out(
    view: View, num_frames: int, fps: float, ratio: float = 2.0, *, easing: Easing = "smooth"
) -> CameraPath:
    """Shorten the lens by this factor within the first half second, and hold."""
    return _zoom(view, num_frames, fps, 1 / _asked("rapid_zoom_out", ratio), easing, RAPID_S)


def handheld_zoom_in(
    view: View,
    num_frames: int,
    fps: float,
    ratio: float = 1.5,
    *,
    easing: Easing = "smooth",
    seed: int = 0,
) -> CameraPath:
    """Lengthen the lens by this factor, held by a hand."""
    path = _zoom(view, num_frames, fps, _asked("handheld_zoom_in", ratio), easing)
    return shaken(view, path, 1.0, seed)


def aerial_pull_out(
    view: View, num_frames: int, fps: float, distances: float = 1.5, *, easing: Easing = "smooth"
) -> CameraPath:
    """Back away from the target by this many distances while climbing around it, looking at it.

    It climbs 20 degrees, or to 20 degrees above the target where that is more.

    Raises:
        InvalidCameraPath: Also when the view starts more than 45 degrees above its target or 20 below it.
    """
    share = progress(num_frames, fps, easing)
    line = view.position - view.target
    level = float(np.hypot(line[0], line[1]))
    start = float(np.arctan2(line[2], level))
    lowest, highest = PULL_OUT_START_DEG
    # A view that was asked for at a bound may lie a rounding beyond it.
    if not lowest - 1e-6 <= np.degrees(start) <= highest + 1e-6:
        raise InvalidCameraPath(
            "an aerial pull-out has no room to climb from here, or would sink before it climbs",
            given=f"{np.degrees(start):.0f} degrees above the target",
            allowed=f"{lowest:g} to {highest:g} degrees",
            remedy="start elsewhere, or move back or up instead",
        )
    climb = max(np.radians(CLIMB_DEG), np.radians(CLIMB_DEG) - start)
    elevation = start + share * climb
    reach = float(np.linalg.norm(line)) * (1 + share * _asked("aerial_pull_out", distances))
    outwards = np.array([line[0] / level, line[1] / level, 0.0])
    offsets = np.cos(elevation)[:, None] * outwards + np.sin(elevation)[:, None] * np.array([0.0, 0.0, 1.0])
    positions = view.target + reach[:, None] * offsets
    rotations = look_at(positions, np.broadcast_to(view.target, positions.shape))
    return path_from(view, positions, rotations, np.full(num_frames, view.focal_px), fps)


def _vertigo(view: View, steps: Floats, fps: float) -> CameraPath:
    """Travel along the axis by `steps` distances, with a lens that keeps the subject's size."""
    axis = view.rotation[:, 2]
    depth = float((view.pivot - view.position) @ axis)
    depths = depth - steps * view.distance_m
    if min(depth, float(depths.min())) < 0.1 * view.distance_m:
        raise InvalidCameraPath(
            "the vertigo move reaches or passes the subject",
            given=f"{float(steps.max()):g} distances",
            remedy="ask for less, or start from a view whose target is the subject",
        )
    return travel(view, steps[:, None] * axis, fps, depths / depth)


def vertigo_in(
    view: View, num_frames: int, fps: float, distances: float = 0.4, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move towards the subject while zooming out, so that it keeps its size (a dolly zoom)."""
    return _vertigo(view, progress(num_frames, fps, easing) * _asked("vertigo_in", distances), fps)


def vertigo_out(
    view: View, num_frames: int, fps: float, distances: float = 0.6, *, easing: Easing = "smooth"
) -> CameraPath:
    """Move away from the subject while zooming in, so that it keeps its size (a dolly zoom)."""
    return _vertigo(view, -progress(num_frames, fps, easing) * _asked("vertigo_out", distances), fps)


def dynamic_zoom_swing(
    view: View, num_frames: int, fps: float, degrees: float = 30.0, *, easing: Easing = "smooth"
) -> CameraPath:
    """Swing left around the subject while zooming in by 1.5, then back to the start while zooming out."""
    there_and_back = 1 - np.abs(2 * progress(num_frames, fps, "linear") - 1)
    share = eased(there_and_back, easing)
    turns = -share * np.radians(_asked("dynamic_zoom_swing", degrees))
    return orbit(view, turns, fps, SWING_ZOOM**share)


def arc_left(
    view: View, num_frames: int, fps: float, degrees: float = 45.0, *, easing: Easing = "smooth"
) -> CameraPath:
    """Circle the subject towards the camera's own left, the subject staying where it is in the picture."""
    share = progress(num_frames, fps, easing)
    return orbit(view, -share * np.radians(_asked("arc_left", degrees)), fps)


def arc_right(
    view: View, num_frames: int, fps: float, degrees: float = 45.0, *, easing: Easing = "smooth"
) -> CameraPath:
    """Circle the subject towards the camera's own right, the subject staying where it is in the picture."""
    share = progress(num_frames, fps, easing)
    return orbit(view, share * np.radians(_asked("arc_right", degrees)), fps)


def _distances(default: float, lowest: float, highest: float) -> Amount:
    return Amount("distances", "camera-subject distances", default, lowest, highest)


def _ratio(default: float, lowest: float) -> Amount:
    return Amount("ratio", "times the focal length", default, lowest, 4.0)


def _degrees(default: float, highest: float) -> Amount:
    return Amount("degrees", "degrees", default, 15.0, highest)


MOVES: dict[str, Move] = {
    move.name: move
    for move in (
        Move("static", "remains static", static, None, eases=False),
        Move(
            "handheld_static",
            "remains static",
            handheld_static,
            Amount("strength", "times the usual tremor", 1.0, 0.5, 1.5),
            eases=False,
            shakes=True,
        ),
        Move("forward", "moves forward", forward, _distances(0.4, 0.1, 0.8)),
        Move("back", "moves back", back, _distances(0.5, 0.1, 3.0)),
        Move("left", "moves left", left, _distances(0.4, 0.1, 2.0)),
        Move("right", "moves right", right, _distances(0.4, 0.1, 2.0)),
        Move("up", "rises", up, _distances(0.4, 0.1, 2.0)),
        Move("down", "descends", down, _distances(0.3, 0.1, 2.0)),
        Move("zoom_in", "zooms in", zoom_in, _ratio(1.5, 1.2)),
        Move("zoom_out", "zooms out", zoom_out, _ratio(1.5, 1.2)),
        Move("rapid_zoom_in", "zooms in rapidly", rapid_zoom_in, _ratio(2.0, 1.5)),
        Move("rapid_zoom_out", "zooms out rapidly", rapid_zoom_out, _ratio(2.0, 1.5)),
        Move("handheld_zoom_in", "zooms in", handheld_zoom_in, _ratio(1.5, 1.2), shakes=True),
        Move("aerial_pull_out", "(aerial pull-out)", aerial_pull_out, _distances(1.5, 0.5, 4.0)),
        Move("vertigo_in", "(vertigo)", vertigo_in, _distances(0.4, 0.15, 0.7)),
        Move("vertigo_out", "(vertigo)", vertigo_out, _distances(0.6, 0.2, 2.0)),
        Move("dynamic_zoom_swing", "(dynamic zoom swing)", dynamic_zoom_swing, _degrees(30.0, 90.0)),
        Move("arc_left", "arcs left", arc_left, _degrees(45.0, 360.0)),
        Move("arc_right", "arcs right", arc_right, _degrees(45.0, 360.0)),
    )
}
