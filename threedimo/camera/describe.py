"""From a camera path to the text that the model reads: one sentence for the viewpoint, one for the movement.

The wording is fixed, so that training, the command line and the Blender extension speak alike and a small
tokenizer covers all of it; `docs/camera-language.md` is its description for people.
"""

from __future__ import annotations

import re

import numpy as np

from threedimo.camera.motion import Motion, Phase, read_motion
from threedimo.camera.path import CameraPath
from threedimo.camera.pivot import MIN_SUBJECT_DISTANCE_M

# Counter-clockwise seen from above, in eighths of a turn, starting in front of the person.
VIEWS = (
    "Front view",
    "Front left view",
    "Left side view",
    "Back left view",
    "Back view",
    "Back right view",
    "Right side view",
    "Front right view",
)
HIGH_ANGLE_DEG, LOW_ANGLE_DEG, OVERHEAD_DEG = 20.0, -15.0, 65.0

# What is said for a change that is positive and for one that is negative.
PHRASES = {
    "arc": ("arcs left", "arcs right"),
    "forward": ("moves forward", "moves back"),
    "right": ("moves right", "moves left"),
    "up": ("rises", "descends"),
    "pan": ("pans left", "pans right"),
    "tilt": ("tilts up", "tilts down"),
    "roll": ("rolls clockwise", "rolls counterclockwise"),
    "zoom": ("zooms in", "zooms out"),
}
STATIC = "remains static"
ZOOMING = ("zooming in", "zooming out")
SWING = "dynamic zoom swing"
LABELS = ("vertigo", "aerial pull-out", SWING)

# Degrees are told in steps, up to a full turn.
DEGREE_STEP, MAX_DEGREES = 15, 360
# Below the first bound and above the second, in distances and in doublings of the focal length.
TRAVEL_WORDS, TRAVEL_BOUNDS = (" a short way", "", " a long way"), (0.2, 0.6)
ZOOM_WORDS, ZOOM_BOUNDS = (" slightly", "", " strongly"), (0.4, 1.1)
# The same for what happens in one second: distances, degrees, doublings.
SPEED_WORDS, ZOOM_SPEED_WORDS = (" slowly", "", " quickly"), (" slowly", "", " rapidly")
TRAVEL_SPEEDS, TURN_SPEEDS, ZOOM_SPEEDS = (0.1, 0.6), (10.0, 45.0), (0.2, 0.8)


def describe(path: CameraPath) -> str:
    """Say what a camera path shows and does.

    Args:
        path: Any valid path.

    Returns:
        Text such as "Front view. The camera arcs left 45 degrees and rises slowly." (paper, data section).
        The viewpoint is that of the first frame, and is left out where the path names no subject. All words
        are in
        `VOCABULARY`.
    """
    movement = movement_sentence(read_motion(path))
    view = viewpoint_sentence(path)
    return f"{view} {movement}" if view else movement


def viewpoint_sentence(path: CameraPath) -> str:
    """Say from where the first frame sees the person, or "" where there is nothing to say."""
    if path.subject_position is None:
        return ""
    line = path.positions[0] - path.subject_position
    distance = float(np.linalg.norm(line))
    if distance < MIN_SUBJECT_DISTANCE_M:
        return ""
    elevation = float(np.degrees(np.arcsin(np.clip(line[2] / distance, -1, 1))))
    if elevation >= OVERHEAD_DEG:
        return "Overhead view."
    angle = ""
    if elevation >= HIGH_ANGLE_DEG:
        angle = " from a high angle"
    elif elevation <= LOW_ANGLE_DEG:
        angle = " from a low angle"
    if path.subject_forward is None:
        return f"View{angle}." if angle else ""
    facing = np.arctan2(path.subject_forward[1], path.subject_forward[0])
    eighths = (np.arctan2(line[1], line[0]) - facing) / (np.pi / 4)
    return f"{VIEWS[round(float(eighths)) % 8]}{angle}."


def movement_sentence(motion: Motion) -> str:
    """Say what the camera does, phase after phase."""
    parts: list[str] = []
    for index, phase in enumerate(motion.phases):
        label = phase.label
        if index and _is_swing(motion.phases[index - 1], phase):
            label = SWING
        parts.append(_phase_text(phase) + (f" ({label})" if label else ""))
    return f"The {'handheld ' if motion.handheld else ''}camera {', then '.join(parts)}."


def _is_swing(first: Phase, second: Phase) -> bool:
    """Around to one side while zooming one way, and back both ways."""
    swung = [first.changes.get(name, 0.0) * second.changes.get(name, 0.0) for name in ("arc", "zoom")]
    return max(swung) < 0 and first.changes.get("zoom", 0.0) > 0


def _phase_text(phase: Phase) -> str:
    duration_s = phase.end_s - phase.start_s
    clauses = [_clause(name, value, duration_s) for name, value in phase.changes.items() if name != "zoom"]
    zoom = phase.changes.get("zoom")
    if zoom is None:
        return _joined(clauses) if clauses else STATIC
    if not clauses:
        return _clause("zoom", zoom, duration_s)
    return f"{_joined(clauses)} while {ZOOMING[zoom < 0]}{_zoom_adverbs(zoom, duration_s)}"


def _joined(clauses: list[str]) -> str:
    return " and ".join([", ".join(clauses[:-1]), clauses[-1]] if len(clauses) > 1 else clauses)


def _clause(name: str, value: float, duration_s: float) -> str:
    verb = PHRASES[name][value < 0]
    size = abs(value)
    if name == "zoom":
        return verb + _zoom_adverbs(value, duration_s)
    if name in ("forward", "right", "up"):
        speed = _graded(size / duration_s, TRAVEL_SPEEDS, SPEED_WORDS)
        return verb + _graded(size, TRAVEL_BOUNDS, TRAVEL_WORDS) + speed
    return f"{verb} {_degrees(size)}{_graded(size / duration_s, TURN_SPEEDS, SPEED_WORDS)}"


def _zoom_adverbs(zoom: float, duration_s: float) -> str:
    amount = _graded(abs(zoom), ZOOM_BOUNDS, ZOOM_WORDS)
    speed = _graded(abs(zoom) / duration_s, ZOOM_SPEEDS, ZOOM_SPEED_WORDS)
    return f"{speed} and{amount}" if amount and speed else speed + amount


def _degrees(size_deg: float) -> str:
    steps = round(size_deg / DEGREE_STEP) * DEGREE_STEP
    if steps > MAX_DEGREES:
        return f"more than {MAX_DEGREES} degrees"
    # What counts at all is at least half a step; rounding half to even must not turn it into nothing.
    return f"{max(steps, DEGREE_STEP)} degrees"


def _graded(value: float, bounds: tuple[float, float], words: tuple[str, str, str]) -> str:
    return words[int(value >= bounds[0]) + int(value > bounds[1])]


def split_words(text: str) -> list[str]:
    """Cut a text into lower-case words and numbers, leaving punctuation out: the units of `VOCABULARY`."""
    return re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower())


def _vocabulary() -> tuple[str, ...]:
    phrases = [
        *VIEWS,
        "Overhead view from a high angle, low angle",
        "The handheld camera, then, and, while",
        STATIC,
        *ZOOMING,
        *LABELS,
        *(phrase for pair in PHRASES.values() for phrase in pair),
        *TRAVEL_WORDS,
        *ZOOM_WORDS,
        *SPEED_WORDS,
        *ZOOM_SPEED_WORDS,
        "more than degrees",
        *(str(number) for number in range(DEGREE_STEP, MAX_DEGREES + 1, DEGREE_STEP)),
    ]
    return tuple(sorted({word for phrase in phrases for word in split_words(phrase)}))


VOCABULARY: tuple[str, ...] = _vocabulary()
