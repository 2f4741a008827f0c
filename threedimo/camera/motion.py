"""What a camera does, in numbers: phases of arcs, travels, turns and zooms, and whether a hand holds it.

A path is read as signals that grow evenly under each plain move (travel along the camera's own axes, yaw,
pitch, roll, lens), cut where a signal turns, starts or stops, and each phase is explained by its end poses.
`describe` puts the result into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from threedimo.camera.path import CameraPath
from threedimo.camera.phases import active_spans, cuts
from threedimo.camera.pivot import Pivot, find_pivot
from threedimo.camera.rotations import Floats, turns_about_z, yaw_pitch_roll
from threedimo.camera.tremor import is_handheld

# The least change that counts: as a share of the distance to the pivot, in degrees, in doublings of the focal
# length.
LEAST_TRAVEL = 0.05
LEAST_TURN_DEG = 7.5
LEAST_ZOOM = 0.1
MAX_PHASES = 4
# A phase shorter than this share of the clip that does nothing its neighbour does not is part of that
# neighbour.
SHORT_SHARE = 0.2
# Paths are cut into phases on at most this many samples.
MAX_SAMPLES = 480

# The explanation of a translation by few directions may leave this share of it unexplained (about 11
# degrees).
UNEXPLAINED = 0.2
# Adjusting the lens to the distance by this share of the zoom, or better, is a dolly zoom.
VERTIGO_SLACK = 0.25
# An aerial pull-out: the distance grows this much, the camera rises this many distances, climbs at least this
# far around the pivot and ends that far above it, and it goes away over ground or faster than it climbs.
PULL_OUT_GROWTH, PULL_OUT_RISE, PULL_OUT_CLIMB_DEG, PULL_OUT_LEVEL_GROWTH = 1.3, 0.15, 10.0, 1.2


@dataclass(frozen=True)
class Phase:
    """A stretch of a path that does one thing, or several at once.

    Args:
        start_s: Seconds from the start of the path.
        end_s: Seconds from the start of the path.
        changes: What changed by more than the least that counts, most telling first. Keys: "arc", "pan",
            "tilt", "roll" in degrees (positive: camera's left, left, up, clockwise), "forward", "right", "up"
            in distances to the pivot, "zoom" in doublings of the focal length.
        label: Name of a compound that these changes make together, or "".
    """

    start_s: float
    end_s: float
    changes: Mapping[str, float]
    label: str

    @property
    def directions(self) -> frozenset[tuple[str, bool]]:
        """What changed and which way, without how far."""
        return frozenset((name, value > 0) for name, value in self.changes.items())


@dataclass(frozen=True)
class Motion:
    """Everything that `describe` says about movement."""

    phases: tuple[Phase, ...]
    handheld: bool


class _Signals:
    """Per-frame readings of a path; all lengths in distances to the pivot, all angles in radians."""

    def __init__(self, path: CameraPath, pivot: Pivot):
        keep = np.unique(
            np.linspace(0, path.num_frames - 1, min(path.num_frames, MAX_SAMPLES)).round().astype(int)
        )
        self.pivot = pivot
        self.times_s = keep / path.fps
        self.fps = path.fps * len(keep) / path.num_frames
        # Unwrapped before thinning out, so that fast turns are counted whole.
        angles = [angle[keep] for angle in yaw_pitch_roll(path.rotations)]
        self.yaw, self.pitch, self.roll = angles
        offsets = (path.positions - pivot.position) / pivot.distance_m
        self.azimuth = np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))[keep]
        self.offsets = offsets[keep]
        self.rotations = path.rotations[keep]
        self.zoom = np.log2(path.intrinsics[keep, 1, 1] / path.intrinsics[0, 1, 1])
        towards = (-self.offsets[:, None, :] @ self.rotations)[:, 0]
        self.depth = towards[:, 2]
        self.aside = np.unwrap(np.arctan2(towards[:, 0], towards[:, 2]))
        self.above = np.arctan2(-towards[:, 1], np.hypot(towards[:, 0], towards[:, 2]))

    def spans(self) -> list[tuple[int, int]]:
        steps = np.diff(self.offsets, axis=0)
        travelled = np.zeros_like(self.offsets)
        travelled[1:] = np.cumsum((steps[:, None, :] @ self.rotations[:-1])[:, 0], axis=0)
        turn = float(np.radians(LEAST_TURN_DEG))
        found = [span for axis in travelled.T for span in active_spans(axis, LEAST_TRAVEL)]
        for angle in (self.yaw, self.pitch, self.roll):
            found += active_spans(angle, turn)
        return found + active_spans(self.zoom, LEAST_ZOOM)


def read_motion(path: CameraPath) -> Motion:
    """Take a path apart. Works on every valid path."""
    signals = _Signals(path, find_pivot(path))
    edges = cuts(signals.spans(), len(signals.times_s), signals.fps)
    phases = [_phase(signals, start, end) for start, end in pairwise(edges)]
    if len(edges) > 1:
        edges, phases = _merged(signals, edges, phases)
    else:
        phases = [Phase(0.0, 0.0, {}, "")]
    return Motion(tuple(phases), is_handheld(path))


def _merged(signals: _Signals, edges: list[int], phases: list[Phase]) -> tuple[list[int], list[Phase]]:
    """Join neighbours until each phase differs from the next and there are at most `MAX_PHASES`."""
    while (join := _next_join(phases)) is not None:
        edges = edges[: join + 1] + edges[join + 2 :]
        joined = _phase(signals, edges[join], edges[join + 1])
        phases = [*phases[:join], joined, *phases[join + 2 :]]
    return edges, phases


def _next_join(phases: list[Phase]) -> int | None:
    """Index of a phase that should become one with the next, or None."""
    pairs = list(pairwise(phases))
    for index, (first, second) in enumerate(pairs):
        if first.directions == second.directions:
            return index
    short_s = SHORT_SHARE * (phases[-1].end_s - phases[0].start_s)
    for index, (first, second) in enumerate(pairs):
        for part, whole in ((first, second), (second, first)):
            if part.end_s - part.start_s < short_s and part.directions < whole.directions:
                return index
    if len(phases) <= MAX_PHASES:
        return None
    return min(range(len(pairs)), key=lambda index: pairs[index][1].end_s - pairs[index][0].start_s)


def _phase(signals: _Signals, start: int, end: int) -> Phase:
    """Explain the change from one frame to a later one."""
    turned = signals.yaw[end] - signals.yaw[start]
    circled = signals.azimuth[end] - signals.azimuth[start]
    # An arc is what the walk around the pivot and the turn of the camera have in common.
    arc = float(np.sign(turned) * min(abs(turned), abs(circled))) if turned * circled > 0 else 0.0
    unturned = turns_about_z(np.array([-arc]))[0] @ signals.offsets[end]
    changes = {"arc": float(-np.degrees(arc))}
    changes |= _travel(signals, start, unturned - signals.offsets[start])
    changes |= _turns(signals, start, end, float(turned) - arc)
    changes["zoom"] = float(signals.zoom[end] - signals.zoom[start])
    least = {"zoom": LEAST_ZOOM, "forward": LEAST_TRAVEL, "right": LEAST_TRAVEL, "up": LEAST_TRAVEL}
    kept = {name: value for name, value in changes.items() if abs(value) >= least.get(name, LEAST_TURN_DEG)}
    label = _label(signals, start, end, kept)
    return Phase(float(signals.times_s[start]), float(signals.times_s[end]), kept, label)


def _travel(signals: _Signals, start: int, shift: Floats) -> dict[str, float]:
    """Explain a translation by as few directions as do, largest first."""
    length = float(np.linalg.norm(shift))
    if length < LEAST_TRAVEL:
        return {}
    yaw = signals.yaw[start]
    axis = ("forward", signals.rotations[start, :, 2])
    level = ("forward", np.array([np.cos(yaw), np.sin(yaw), 0.0]))
    right = ("right", np.array([np.sin(yaw), -np.cos(yaw), 0.0]))
    top = ("up", np.array([0.0, 0.0, 1.0]))
    for candidates in (
        [[axis], [level], [right], [top]],
        [[right, level], [right, top], [level, top], [right, axis]],
    ):
        fits = [_fit([direction for _, direction in directions], shift) for directions in candidates]
        best = int(np.argmin([miss for _, miss in fits]))
        if fits[best][1] <= UNEXPLAINED * length:
            return _named([name for name, _ in candidates[best]], fits[best][0])
    weights, _ = _fit([level[1], right[1], top[1]], shift)
    return _named(["forward", "right", "up"], weights)


def _fit(directions: list[Floats], shift: Floats) -> tuple[Floats, float]:
    basis = np.stack(directions, axis=-1)
    weights = np.asarray(np.linalg.lstsq(basis, shift, rcond=None)[0], dtype=np.float64)
    return weights, float(np.linalg.norm(basis @ weights - shift))


def _named(names: list[str], weights: Floats) -> dict[str, float]:
    pairs = sorted(zip(names, weights.tolist(), strict=True), key=lambda pair: -abs(pair[1]))
    return dict(pairs)


def _turns(signals: _Signals, start: int, end: int, pan: float) -> dict[str, float]:
    """Pan, tilt and roll in degrees. A pan or tilt that only keeps the pivot in its place is not told."""
    tilt = float(signals.pitch[end] - signals.pitch[start])
    if signals.pivot.source != "default":
        if abs(signals.aside[end] - signals.aside[start]) < abs(pan) / 2:
            pan = 0.0
        if abs(signals.above[end] - signals.above[start]) < abs(tilt) / 2:
            tilt = 0.0
    roll = float(signals.roll[end] - signals.roll[start])
    return {"pan": float(np.degrees(pan)), "tilt": float(np.degrees(tilt)), "roll": float(np.degrees(roll))}


def _label(signals: _Signals, start: int, end: int, changes: Mapping[str, float]) -> str:
    if "arc" in changes:
        return ""
    zoom, ahead = changes.get("zoom", 0.0), changes.get("forward", 0.0)
    if zoom * ahead < 0 and _keeps_size(signals, start, end, zoom):
        return "vertigo"
    if changes and not zoom and signals.pivot.source != "default" and _pulls_out(signals, start, end):
        return "aerial pull-out"
    return ""


def _keeps_size(signals: _Signals, start: int, end: int, zoom: float) -> bool:
    """Whether the lens makes up for the distance; without a pivot, it does so for some plane."""
    if signals.pivot.source == "default":
        return True
    before, after = float(signals.depth[start]), float(signals.depth[end])
    return min(before, after) > 0 and abs(zoom - np.log2(after / before)) <= VERTIGO_SLACK * abs(zoom)


def _pulls_out(signals: _Signals, start: int, end: int) -> bool:
    """Whether the camera leaves and climbs around the pivot while it keeps looking at it."""
    offsets = signals.offsets[[start, end]]
    reach = np.maximum(np.linalg.norm(offsets, axis=-1), 1e-9)
    level = np.maximum(np.hypot(offsets[:, 0], offsets[:, 1]), 1e-9)
    before, after = np.arctan2(offsets[:, 2], level)
    growth, climb, least = reach[1] / reach[0], after - before, np.radians(PULL_OUT_CLIMB_DEG)
    looks_on = abs(signals.above[end] - signals.above[start]) < climb / 2
    rises = offsets[1, 2] - offsets[0, 2] >= PULL_OUT_RISE and min(climb, after) >= least
    leaves = level[1] >= PULL_OUT_LEVEL_GROWTH * level[0] or np.log(growth) >= climb
    return bool(looks_on and rises and growth >= PULL_OUT_GROWTH and leaves)
