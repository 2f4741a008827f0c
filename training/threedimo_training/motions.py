"""Procedural human motion: gaits, keyed phrases and small noise, as joint rotations of the 24-joint skeleton.

Poses are written in anatomical angles (degrees): swings of the upper arm and leg away from hanging, bends of
elbow and knee, lean and turn of the trunk. Arms, legs, trunk and head follow their own key times, so that a
few dozen keyed poses combine into endless phrases. Angles are kept inside joint limits, then turned into
rotation matrices. The left side is computed; the right side is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.errors import InvalidRequest
from threedimo_training.angles import ARM, HEAD, LEG, LIMITS_DEG, TRUNK, curve_names, joint_rotations

_REST_ARM = {"arm_out": 9, "arm_forward": 2, "elbow": 14, "arm_twist": 10}
_REST_LEG = {"leg_out": 4, "leg_twist": -6, "knee": 3, "ankle": 1}

# One arm's poses; the other arm has its own or the same.
_ARM_POSES: dict[str, dict[str, float]] = {
    "rest": {},
    "t": {"arm_out": 90, "elbow": 5},
    "y": {"arm_out": 145, "elbow": 10, "shrug": 15},
    "overhead": {"arm_out": 40, "arm_forward": 160, "elbow": 15, "shrug": 18},
    "forward": {"arm_forward": 90, "elbow": 5, "arm_twist": 40},
    "reach_up": {"arm_forward": 150, "elbow": 8, "shrug": 15},
    "reach_down": {"arm_forward": 40, "elbow": 8},
    "reach_across": {"arm_forward": 75, "arm_out": -35, "elbow": 25, "arm_twist": 30},
    "behind": {"arm_forward": -40, "arm_out": 15, "elbow": 25},
    "hip": {"arm_out": 45, "arm_forward": -18, "elbow": 98, "arm_twist": 62, "wrist": 20},
    "wave": {"arm_out": 85, "elbow": 95, "arm_twist": -75, "forearm_twist": 20},
    "wave_high": {"arm_out": 120, "elbow": 45, "arm_twist": -60},
    "goalpost": {"arm_out": 88, "elbow": 90, "arm_twist": -80},
    "flex": {"arm_out": 90, "elbow": 130, "arm_twist": -70, "forearm_twist": -50},
    "guard": {"arm_forward": 45, "arm_out": 12, "elbow": 125, "arm_twist": 12},
    "punch": {"arm_forward": 88, "arm_out": -8, "elbow": 4, "arm_twist": 50, "shrug": 5},
    "head": {"arm_out": 95, "arm_forward": 25, "elbow": 138, "arm_twist": -72},
    "chin": {"arm_forward": 50, "arm_out": -5, "elbow": 138, "arm_twist": 30},
    "salute": {"arm_out": 78, "arm_forward": 35, "elbow": 125, "arm_twist": -50, "forearm_twist": 40},
    "folded": {"arm_forward": 38, "arm_out": -8, "elbow": 105, "arm_twist": 72},
    "point_side": {"arm_out": 85, "arm_forward": 25, "elbow": 5},
    "point_front": {"arm_forward": 85, "arm_out": 10, "elbow": 8},
    "carry": {"arm_forward": 15, "elbow": 90, "forearm_twist": -60},
    "shrugging": {"arm_out": 25, "elbow": 95, "arm_twist": -35, "forearm_twist": -60, "shrug": 25},
    "robot": {"arm_out": 88, "elbow": 88, "arm_twist": 75},
    "phone": {"arm_out": 40, "arm_forward": 35, "elbow": 140, "arm_twist": -25},
}
# Both legs of a pose: left, right.
_LEG_POSES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "stand": ({}, {}),
    "wide": ({"leg_out": 24}, {"leg_out": 24}),
    "relaxed": ({"leg_out": 8}, {"leg_out": 10, "leg_forward": 16, "knee": 28, "ankle": -6}),
    "half_squat": (
        {"leg_out": 12, "leg_forward": 52, "knee": 78, "ankle": -24, "leg_twist": -12},
        {"leg_out": 12, "leg_forward": 52, "knee": 78, "ankle": -24, "leg_twist": -12},
    ),
    "squat": (
        {"leg_out": 20, "leg_forward": 98, "knee": 122, "ankle": -30, "leg_twist": -15},
        {"leg_out": 20, "leg_forward": 98, "knee": 122, "ankle": -30, "leg_twist": -15},
    ),
    "lunge": (
        {"leg_forward": 72, "knee": 80, "ankle": -8},
        {"leg_forward": -18, "knee": 52, "ankle": 5, "toes": 30},
    ),
    "side_lunge": ({"leg_out": 42, "leg_forward": 45, "knee": 78, "ankle": -20}, {"leg_out": 40, "knee": 3}),
    "kick_front": ({"leg_forward": 85, "knee": 12, "ankle": 25}, {"knee": 12, "leg_forward": 6, "ankle": -6}),
    "kick_low": ({"leg_forward": 45, "knee": 8, "ankle": 20}, {"knee": 8}),
    "kick_side": ({"leg_out": 65, "knee": 8}, {"knee": 8, "leg_out": 2}),
    "kick_back": ({"leg_forward": -35, "knee": 25, "ankle": 30}, {"leg_forward": 8, "knee": 12, "ankle": -4}),
    "heel_up": ({"knee": 105, "ankle": 25}, {"knee": 6}),
    "knee_up": ({"leg_forward": 92, "knee": 100, "ankle": 15}, {"knee": 5}),
    "tree": ({"leg_out": 45, "leg_forward": 55, "leg_twist": -35, "knee": 125, "ankle": 30}, {"leg_out": 1}),
    "tiptoe": ({"ankle": 38, "toes": 30}, {"ankle": 38, "toes": 30}),
    "crossed": ({"leg_out": -14, "leg_forward": 14}, {"leg_out": -8, "leg_forward": -8}),
    "kneel": ({"leg_forward": 88, "knee": 90}, {"leg_forward": 0, "knee": 92, "ankle": 20, "toes": 20}),
}
_TRUNK_POSES: dict[str, dict[str, float]] = {
    "upright": {},
    "bow": {"lean": 45, "pelvis_lean": 12},
    "slight_bow": {"lean": 20},
    "arch": {"lean": -22},
    "side_left": {"side": 30, "pelvis_side": -4},
    "side_right": {"side": -30, "pelvis_side": 4},
    "twist_left": {"twist": 40},
    "twist_right": {"twist": -40},
    "hip_left": {"pelvis_side": 13, "side": -14},
    "hip_right": {"pelvis_side": -13, "side": 14},
    "reach_low": {"lean": 68, "pelvis_lean": 25},
}
_HEAD_POSES: dict[str, dict[str, float]] = {
    "ahead": {}, "left": {"look": 48}, "right": {"look": -48}, "down": {"nod": 30}, "up": {"nod": -28},
    "tilt_left": {"tilt": 24}, "tilt_right": {"tilt": -24},
}  # fmt: skip
# Curls of thumb, index, middle, ring block.
_HAND_SHAPES = np.array([
    (0.0, 0.0, 0.0, 0.0), (0.3, 0.3, 0.35, 0.4), (0.9, 1.0, 1.0, 1.0), (0.9, 0.0, 1.0, 1.0),
    (0.9, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0), (0.7, 0.6, 0.1, 0.1), (0.5, 0.6, 0.6, 0.6),
    (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0),
])  # fmt: skip
# Legs that need the trunk forward to keep the balance.
_COUNTERWEIGHT = {"squat": {"lean": 28, "pelvis_lean": 22}, "half_squat": {"lean": 18, "pelvis_lean": 12}}
LONGEST_S = 32
_GAITS = ("walk", "march", "jog", "sidestep")


@dataclass(frozen=True, eq=False)
class Motion:
    """What a person does, free of who does it.

    Attributes:
        seed: The seed that made it.
        fps: Frames per second.
        joint_rotations: (F, 24, 3, 3) relative to the parent; the pelvis's is global, heading included.
        hand_curls: (F, 2, 4) thumb, index, middle, ring block; 0 stretched to 1 in a fist; left hand first.
        lift_m: (F,) height of the lowest point above the floor (jumps).
        travel: Share of the walked distance that is kept.
    """

    seed: int
    fps: float
    joint_rotations: np.ndarray
    hand_curls: np.ndarray
    lift_m: np.ndarray
    travel: float


def make_motion(seed: int, num_frames: int, fps: float) -> Motion:
    """The motion of a seed, sampled at `fps`.

    The curves depend on the seed alone; more frames or another rate sample the same movement further or
    finer.

    Args:
        seed: Any integer from 0.
        num_frames: How many frames.
        fps: Frames per second.

    Raises:
        InvalidRequest: The motion would last longer than the curves of a seed do.
    """
    if num_frames / fps > LONGEST_S:
        given = f"{num_frames} frames at {fps:g} fps"
        raise InvalidRequest("too long a motion", given=given, allowed=f"up to {LONGEST_S} s")
    rng = np.random.default_rng([13, seed])
    times = np.arange(num_frames) / fps
    style = rng.choice(["gait", "phrase", "cycle"], p=[0.3, 0.5, 0.2])
    curves = {name: np.zeros(num_frames) for name in curve_names()}
    lift, travel = np.zeros(num_frames), 1.0
    _add_trunk_and_head(curves, times, rng)
    if style == "gait":
        travel = _add_gait(curves, times, rng)
        _add_arms(curves, times, rng, chance=0.35)
    elif style == "phrase":
        _add_arms(curves, times, rng, chance=1.0)
        _add_legs(curves, times, rng)
    else:
        _add_arms(curves, times, rng, chance=0.5)
        lift = _add_cycle(curves, times, rng)
    _add_noise(curves, times, rng)
    for name, curve in curves.items():
        np.clip(curve, *LIMITS_DEG[name.partition(".")[0]], out=curve)
    heading = _heading(times, rng, turning=style != "gait" or travel < 0.5)
    return Motion(seed, fps, joint_rotations(curves, heading), _hand_curls(times, rng), lift, travel)


def _spline(times: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cubic Hermite curves through values (K, D) at key times (K,), sampled at times (F,): (F, D).

    Tangents are Catmull-Rom's, halved: the movement slows a little at every key, as people do.
    """
    tangents = np.zeros_like(values)
    tangents[1:-1] = 0.5 * (values[2:] - values[:-2]) / (keys[2:] - keys[:-2])[:, None]
    left = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    width = keys[left + 1] - keys[left]
    s = ((times - keys[left]) / width)[:, None]
    start, end = values[left], values[left + 1]
    enter, leave = tangents[left] * width[:, None], tangents[left + 1] * width[:, None]
    ease = s * s * (3 - 2 * s)
    return start + (end - start) * ease + s * (1 - s) * ((1 - s) * enter - s * leave)


def _key_times(rng: np.random.Generator, slowest_s: float = 1.1) -> np.ndarray:
    """Irregular key times that begin before the shot and cover the longest motion."""
    pace = rng.uniform(0.38, slowest_s)
    gaps = pace * rng.uniform(0.7, 1.4, int((LONGEST_S + 4) / (0.7 * pace)) + 2)
    return np.cumsum(gaps) - rng.uniform(1.0, 2.0) * pace * 1.4


def _keyed(times, rng, poses, names, rest, slowest_s=1.1) -> np.ndarray:
    """Splines (F, D) through randomly chosen and varied poses."""
    keys = _key_times(rng, slowest_s)
    menu = [str(name) for name in rng.choice(list(poses), size=min(len(poses), 5), replace=False)]
    chosen = [poses[menu[i]] for i in rng.integers(0, len(menu), len(keys))]
    table = np.array([[(rest | pose).get(name, 0.0) for name in names] for pose in chosen])
    table = table * rng.uniform(0.75, 1.12, (len(keys), 1)) + rng.normal(0, 5.0, table.shape)
    return _spline(times, keys, table)


def _add_arms(curves: dict, times: np.ndarray, rng: np.random.Generator, chance: float) -> None:
    """Keyed arms; with some probability both do the same."""
    together = rng.random() < 0.3
    shared = rng.integers(2**31)
    for side in ("left", "right"):
        active = rng.random() < chance
        own = np.random.default_rng(shared) if together else np.random.default_rng(rng.integers(2**31))
        keyed = _keyed(times, own, _ARM_POSES, ARM, _REST_ARM)
        if own.random() < 0.3:
            phase = 2 * np.pi * own.uniform(1.2, 2.6) * times + own.uniform(0, 6)
            keyed[:, ARM.index("elbow")] += 26 * np.sin(phase)  # waving
        for index, name in enumerate(ARM):
            if active:
                curves[f"{name}.{side}"] = keyed[:, index]
            elif not curves[f"elbow.{side}"].any():
                curves[f"{name}.{side}"] = np.full(len(times), float(_REST_ARM.get(name, 0.0)))


def _add_legs(curves: dict, times: np.ndarray, rng: np.random.Generator) -> None:
    """Keyed legs, standing more often than not, with the trunk leaning as counterweight."""
    keys = _key_times(rng)
    names = list(_LEG_POSES)
    menu = [*rng.choice(names, size=3, replace=False), "stand", "relaxed"]
    chosen = [str(menu[i]) for i in rng.integers(0, len(menu), len(keys))]
    flips = rng.random(len(keys)) < 0.5
    rows = []
    for name, flip in zip(chosen, flips, strict=True):
        left, right = _LEG_POSES[name][:: -1 if flip else 1]
        trunk = _COUNTERWEIGHT.get(name, {})
        row = [(_REST_LEG | leg).get(angle, 0.0) for leg in (left, right) for angle in LEG]
        rows.append(row + [trunk.get(angle, 0.0) for angle in ("lean", "pelvis_lean")])
    table = np.array(rows) * rng.uniform(0.8, 1.08, (len(keys), 1))
    keyed = _spline(times, keys, table + rng.normal(0, 1.5, table.shape))
    for index, name in enumerate([f"{angle}.{side}" for side in ("left", "right") for angle in LEG]):
        curves[name] = keyed[:, index]
    curves["lean"] = curves["lean"] + keyed[:, -2]
    curves["pelvis_lean"] = curves["pelvis_lean"] + keyed[:, -1]


def _add_trunk_and_head(curves: dict, times: np.ndarray, rng: np.random.Generator) -> None:
    trunk = _keyed(times, rng, _TRUNK_POSES, TRUNK, {}, 1.6) * rng.choice([0.15, 0.6, 1.0])
    head = _keyed(times, rng, _HEAD_POSES, HEAD, {}, 1.6) * rng.choice([0.3, 1.0])
    curves |= {name: trunk[:, index] for index, name in enumerate(TRUNK)}
    curves |= {name: head[:, index] for index, name in enumerate(HEAD)}


def _add_gait(curves: dict, times: np.ndarray, rng: np.random.Generator) -> float:
    """Leg cycles with arm swing. Returns the share of travel to keep, so that a shot can hold the person."""
    gait = str(rng.choice(_GAITS, p=[0.5, 0.2, 0.15, 0.15]))
    cadence = {"walk": rng.uniform(0.6, 1.15), "march": rng.uniform(0.7, 1.2)}.get(
        gait, rng.uniform(0.9, 1.4)
    )
    stride = {"walk": rng.uniform(14, 28), "march": 8.0, "jog": rng.uniform(14, 24)}.get(gait, 3.0)
    swing = {"walk": rng.uniform(36, 60), "march": rng.uniform(70, 100), "jog": 85.0}.get(gait, 25.0)
    arms = rng.uniform(0.6, 1.3) * stride if gait != "march" else rng.uniform(15, 45)
    elbow = {"jog": rng.uniform(75, 100)}.get(gait, rng.uniform(10, 45))
    direction = -1.0 if gait == "walk" and rng.random() < 0.12 else 1.0
    phase = 2 * np.pi * (direction * cadence * times + rng.random())
    for side, shift in (("left", 0.0), ("right", np.pi)):
        angle = phase + shift
        # the knee bends while the leg swings forward, most a little before it passes the other
        lifted = np.clip(np.sin(angle + 0.6), 0, None) ** 1.5
        curves[f"leg_forward.{side}"] = (
            -stride * np.cos(angle) + 4 + (0.55 * swing - 8) * lifted * (gait != "walk")
        )
        curves[f"knee.{side}"] = 6 + swing * lifted
        curves[f"ankle.{side}"] = 14 * np.clip(np.sin(angle - 0.6), 0, None) - 3
        curves[f"leg_out.{side}"] = np.full(len(times), 3.0)
        curves[f"arm_forward.{side}"] = arms * np.cos(angle) + 2
        curves[f"arm_out.{side}"] = np.full(len(times), 10.0)
        curves[f"arm_twist.{side}"] = np.full(len(times), 15.0)
        curves[f"elbow.{side}"] = elbow + 0.5 * arms * (1 + np.cos(angle))
    if gait == "sidestep":
        curves["leg_out.left"] = 12 + 12 * np.sin(phase)
        curves["leg_out.right"] = 12 + 12 * np.sin(phase + rng.uniform(0.3, 0.8))
    curves["twist"] = curves["twist"] * 0.3 + 0.35 * stride * np.cos(phase)
    curves["pelvis_side"] = 3 * np.sin(phase)
    curves["lean"] = curves["lean"] * 0.3 + (8 if gait == "jog" else 2)
    return {"walk": float(rng.uniform(0.75, 1.0)), "jog": float(rng.uniform(0, 0.35))}.get(gait, 0.6)


def _add_cycle(curves: dict, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A repeated exercise or dance step over the arms already there. Returns the lift of jumps in metres."""
    kind = str(rng.choice(["bounce", "sway", "jumping_jack", "jump", "squats", "twist"]))
    rate = rng.uniform(0.55, 1.25)
    phase = 2 * np.pi * (rate * times + rng.random())
    wave, raised = np.sin(phase), 0.5 - 0.5 * np.cos(phase)
    depth = {"bounce": rng.uniform(20, 45), "squats": rng.uniform(70, 120), "jump": 60.0}.get(kind, 10.0)
    bend = depth * raised if kind != "jump" else depth * np.clip(-wave, 0, None)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        loosened = np.clip(sign * wave, 0, None) if kind == "sway" else 0.0
        curves[f"knee.{side}"] = 4 + bend + 22 * loosened
        curves[f"leg_forward.{side}"] = 2 + 0.68 * bend + 10 * loosened
        curves[f"ankle.{side}"] = -0.3 * bend
        curves[f"leg_out.{side}"] = np.full(len(times), rng.uniform(4, 14))
        if kind == "jumping_jack":
            curves[f"arm_out.{side}"] = 12 + 145 * raised
            curves[f"arm_forward.{side}"] = np.full(len(times), 5.0)
            curves[f"elbow.{side}"] = np.full(len(times), 12.0)
            curves[f"leg_out.{side}"] = 3 + 24 * raised
    if kind == "squats":
        curves["lean"] = 0.3 * curves["lean"] + 0.25 * bend
        curves["pelvis_lean"] = 0.16 * bend
    if kind in ("sway", "twist"):
        curves["pelvis_side"] = 12 * wave
        curves["side"] = 0.4 * curves["side"] - 14 * wave
        curves["twist"] = 32 * wave if kind == "twist" else curves["twist"]
    if kind == "jump":
        return rng.uniform(0.12, 0.3) * np.clip(wave, 0, None)
    if kind == "jumping_jack":
        return 0.07 * np.abs(wave)
    return np.zeros(len(times))


def _add_noise(curves: dict, times: np.ndarray, rng: np.random.Generator) -> None:
    """Slow wandering of every angle: nobody stands still or repeats a movement exactly."""
    for name, curve in curves.items():
        size = 2.5 if name.partition(".")[0] in ARM + HEAD else 1.2
        for _ in range(2):
            rate, phase = rng.uniform(0.15, 0.9), rng.uniform(0, 2 * np.pi)
            curve += size * rng.normal() * np.sin(2 * np.pi * rate * times + phase)


def _heading(times: np.ndarray, rng: np.random.Generator, turning: bool) -> np.ndarray:
    """(F,) radians about the vertical: any start, sometimes turning."""
    start = rng.uniform(-np.pi, np.pi)
    rate = rng.normal(0, 0.7) if turning and rng.random() < 0.4 else rng.normal(0, 0.1)
    wander = rng.uniform(0, 0.12) * np.sin(2 * np.pi * (rng.uniform(0.2, 0.5) * times + rng.random()))
    return start + rate * times + wander


def _hand_curls(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    hands = []
    for _ in range(2):
        keys = _key_times(rng, 1.8)
        shapes = _HAND_SHAPES[rng.integers(0, len(_HAND_SHAPES), len(keys))]
        hands.append(_spline(times, keys, shapes + rng.normal(0, 0.06, shapes.shape)))
    return np.stack(hands, axis=1).clip(0, 1)
