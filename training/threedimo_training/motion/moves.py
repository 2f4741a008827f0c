"""Moves of everyday life, sport and dance: stances with their timing, and themes that group the moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Beat:
    """One stance of a move: reached after `gap_s`, held for `hold_s`.

    `arms` names what the left and the right arm do then. A `hop` (hip heights) takes the body there through
    the air. `onward` is how far the whole place moves forward, hip heights.
    """

    gap_s: float
    stance: str
    hold_s: float = 0.0
    arms: tuple[str, str] | None = None
    hop: float = 0.0
    onward: float = 0.0


_JACK_OUT = Beat(0.46, "wide", 0, ("jack_up", "jack_up"), 0.06)
_JACK_IN = Beat(0.46, "narrow", 0, ("rest", "rest"), 0.06)
_UP = Beat(0.75, "stand", 0.05)
_DOWN = Beat(0.8, "squat", 0.05)
_HOP = Beat(0.4, "stand", 0, None, 0.07)
_LANDED = Beat(0.6, "stand", 0, ("rest", "rest"))
_TO_FLOOR = Beat(1.1, "floor_lean", 0, ("forward", "forward"))
_OFF_FLOOR = Beat(0.9, "floor_lean", 0, ("forward", "forward"))
_ON_THIGHS, _BACK = ("on_thigh", "on_thigh"), ("swing_back", "swing_back")
MOVES: dict[str, tuple[Beat, ...]] = {
    "stand": (Beat(0.9, "stand", 0.5),),
    "shift": (Beat(0.9, "relaxed", 0.8),),
    "sway": (Beat(0.6, "hip_out", 0.15),),
    "hands_on_hips": (Beat(0.9, "relaxed", 1.4, ("hip", "hip")),),
    "hand_on_hip": (Beat(0.8, "hip_out", 1.2, ("hip", "rest")),),
    "arms_folded": (Beat(0.9, "relaxed", 1.2, ("folded", "folded")),),
    "turn": (Beat(0.75, "stand"), Beat(0.75, "stand", 0.1)),
    "step_on": (Beat(0.7, "step_front", 0, None, 0, 0.0), Beat(0.7, "stand", 0.2, None, 0, 0.26)),
    "step_back": (Beat(0.7, "step_back"), Beat(0.7, "stand", 0.2, None, 0, -0.26)),
    "half_squat": (Beat(0.6, "half_squat", 0.1), Beat(0.6, "stand", 0.1)),
    "squat": (Beat(0.9, "squat", 0.2, ("forward", "forward")), Beat(0.9, "stand", 0.15, ("rest", "rest"))),
    "deep_squat": (Beat(1.0, "deep_squat", 0.8), Beat(1.0, "stand", 0.2)),
    "lunge": (Beat(0.9, "lunge", 0.3), Beat(0.9, "stand", 0.1)),
    "low_lunge": (Beat(1.0, "low_lunge", 0.5, ("hip", "hip")), Beat(1.0, "stand", 0.1)),
    "side_lunge": (Beat(0.9, "side_lunge", 0.3), Beat(0.9, "stand", 0.1)),
    "kick_front": (
        Beat(0.5, "chamber", 0, ("guard", "guard")), Beat(0.28, "kick_front", 0.06), Beat(0.32, "chamber"),
        Beat(0.5, "stand", 0, ("guard", "guard")),
    ),
    "kick_low": (Beat(0.5, "heel_up"), Beat(0.3, "kick_low", 0.05), Beat(0.55, "stand", 0.1)),
    "kick_side": (
        Beat(0.5, "chamber", 0, ("guard", "guard")), Beat(0.32, "kick_side", 0.1), Beat(0.36, "chamber"),
        Beat(0.5, "stand", 0, ("guard", "guard")),
    ),
    "kick_back": (Beat(0.55, "kick_back", 0.15, ("balance", "balance")), Beat(0.6, "stand", 0.1)),
    "knee_up": (Beat(0.55, "knee_up", 0.15), Beat(0.5, "stand")),
    "heel_up": (Beat(0.55, "heel_up", 0.2), Beat(0.5, "stand")),
    "tree": (Beat(1.1, "tree", 1.6, ("overhead", "overhead")), Beat(0.9, "stand", 0.2)),
    "tiptoe": (Beat(0.7, "tiptoe", 0.6, ("reach_up", "reach_up")), Beat(0.6, "stand")),
    "tiptoe_reach": (Beat(0.7, "tiptoe", 0.7, ("reach_up", "rest")), Beat(0.6, "stand")),
    "bow": (Beat(1.0, "bow", 0.5, ("rest", "rest")), Beat(1.0, "stand", 0.2)),
    "reach_low": (Beat(1.0, "reach_low", 0.4, ("reach_down", "reach_down")), Beat(1.0, "stand", 0.1)),
    "pick_up": (
        Beat(1.0, "pick_up", 0.25, ("on_thigh", "reach_down")),
        Beat(0.9, "stand", 0, ("rest", "carry")),
    ),
    "jump": (
        Beat(0.55, "half_squat", 0.05, _BACK), Beat(0.25, "tiptoe", 0, ("overhead", "overhead")),
        Beat(0.42, "half_squat", 0.05, ("swing_front", "swing_front"), 0.22), _LANDED,
    ),
    "jump_on": (
        Beat(0.55, "half_squat", 0.05, _BACK), Beat(0.25, "tiptoe", 0, ("swing_front", "swing_front")),
        Beat(0.42, "half_squat", 0.05, ("forward", "forward"), 0.16, 0.5), _LANDED,
    ),
    "hops": (_HOP, _HOP, _HOP),
    "jacks": (_JACK_OUT, _JACK_IN, _JACK_OUT, _JACK_IN, _JACK_OUT, _JACK_IN),
    "squats": (_DOWN, _UP, _DOWN, _UP),
    "sit": (
        Beat(0.9, "sit_lean"), Beat(0.7, "sit", 0.9, _ON_THIGHS), Beat(0.9, "sit_back", 1.2),
        Beat(0.9, "sit", 0.4), Beat(0.7, "sit_lean", 0, _ON_THIGHS), _UP,
    ),
    "sit_down": (Beat(0.9, "sit_lean"), Beat(0.7, "sit", 2.6), Beat(0.7, "sit_lean"), _UP),
    "kneel": (Beat(1.0, "kneel_one", 1.0), Beat(1.0, "stand", 0.2)),
    "kneel_both": (
        Beat(1.0, "kneel_one", 0.1), Beat(0.9, "kneel_both", 0.8), Beat(0.8, "kneel_low", 0.8, _ON_THIGHS),
        Beat(0.8, "kneel_both", 0.1), Beat(0.9, "kneel_one", 0.1), Beat(0.9, "stand"),
    ),
    "floor": (
        _TO_FLOOR, Beat(0.9, "floor", 0.8), Beat(0.9, "floor_long", 1.0),
        Beat(0.9, "floor", 0.4), _OFF_FLOOR, Beat(1.0, "stand", 0.2),
    ),
    "floor_wide": (
        _TO_FLOOR, Beat(0.9, "floor", 0.3), Beat(0.9, "floor_wide", 1.6),
        Beat(0.9, "floor", 0.2), _OFF_FLOOR, Beat(1.0, "stand", 0.2),
    ),
    "crossed": (Beat(0.8, "crossed", 0.4), Beat(0.7, "stand", 0.1)),
    "side_tap": (Beat(0.42, "side_tap"), Beat(0.42, "stand")),
    "wide": (Beat(0.8, "wide", 0.5),),
    "t_pose": (Beat(0.8, "wide", 0.5, ("t", "t")),),
}  # fmt: skip
# Moves of a theme; one that is named more often comes more often.
THEMES: dict[str, tuple[str, ...]] = {
    "idle": (
        "shift",
        "shift",
        "stand",
        "hands_on_hips",
        "hand_on_hip",
        "arms_folded",
        "turn",
        "step_on",
        "sway",
    ),
    "everyday": (
        "reach_low",
        "pick_up",
        "tiptoe_reach",
        "turn",
        "step_on",
        "step_back",
        "bow",
        "shift",
        "kneel",
    ),
    "sport": (
        "squat",
        "squats",
        "lunge",
        "low_lunge",
        "side_lunge",
        "jump",
        "jacks",
        "knee_up",
        "half_squat",
    ),
    "fight": ("kick_front", "kick_side", "kick_low", "kick_back", "step_on", "wide", "knee_up", "turn"),
    "dance": (
        "sway",
        "sway",
        "side_tap",
        "side_tap",
        "crossed",
        "half_squat",
        "hops",
        "turn",
        "hand_on_hip",
        "heel_up",
    ),
    "balance": ("tree", "tiptoe", "kick_back", "t_pose", "knee_up", "side_lunge", "bow", "deep_squat"),
    "seat": ("sit", "sit_down", "shift", "turn", "stand"),
    "floor": ("floor", "floor_wide", "kneel_both", "stand", "shift", "deep_squat"),
    "jumps": ("jump", "jump_on", "hops", "half_squat", "turn", "jacks"),
}
# How often each theme comes, in their order.
THEME_SHARES = (0.16, 0.15, 0.15, 0.11, 0.17, 0.08, 0.07, 0.06, 0.05)
