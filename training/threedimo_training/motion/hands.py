"""Hands: shapes as flexion and spread of every finger, played on a clock of their own.

Angles are degrees from the flat hand: `mcp`, `pip`, `dip` bend a finger's three joints towards the palm,
`spread` leads it away from the middle finger. The thumb's are `across` (under the palm), `inward` (beside the
index finger), `flex` and `tip`.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.angles import soft_clip
from threedimo_training.motion.curves import key_times, spline, wandering
from threedimo_training.motion.rotations import turn_deg
from threedimo_training.motion.skeleton import FINGERS, MIRROR, NUM_HAND_JOINTS, axis_angle_matrices
from threedimo_training.motion.standard_body import THUMB

FINGER_LIMITS_DEG = {"mcp": (-25, 90), "pip": (0, 112), "dip": (0, 80), "spread": (-12, 22)}
THUMB_LIMITS_DEG = {"across": (-20, 65), "inward": (-25, 40), "flex": (-10, 60), "tip": (-15, 80)}
_LONG_FINGERS = FINGERS[:4]
# The rows below name the fingers as people count them.
_COUNTED = ("index", "middle", "ring", "pinky")

_IN = (80, 98, 62, 0)
_OUT = (0, 4, 2, 0)
_THUMB_OVER = (60, -8, 30, 50)


def _wide(spread: float) -> tuple[float, ...]:
    return (-3, 3, 2, spread)


# Index, middle, ring and little finger as (mcp, pip, dip, spread); the thumb as (across, inward, flex, tip).
HAND_SHAPES: dict[str, tuple[tuple[float, ...], ...]] = {
    "flat": (_OUT, _OUT, _OUT, _OUT, (0, 10, 0, 0)),
    "relaxed": ((14, 24, 14, 2), (20, 30, 18, 0), (25, 34, 20, 2), (28, 34, 22, 4), (20, 8, 10, 12)),
    "spread": (_wide(14), _wide(0), _wide(10), _wide(20), (0, -18, -5, -8)),
    "fist": (_IN, _IN, _IN, _IN, _THUMB_OVER),
    "point": (_OUT, _IN, _IN, _IN, _THUMB_OVER),
    "pinch": ((48, 52, 28, 0), (24, 34, 18, 0), (18, 28, 14, 4), (14, 24, 12, 8), (52, 8, 18, 22)),
    "ok": ((52, 56, 30, 0), (14, 16, 8, 4), (2, 8, 4, 8), (-6, 4, 2, 16), (52, 8, 20, 28)),
    "v": (_wide(14), _wide(-8), _IN, _IN, _THUMB_OVER),
    "thumb_up": (_IN, _IN, _IN, _IN, (-12, -18, -6, -8)),
    "claw": ((4, 72, 48, 8), (4, 74, 48, 0), (4, 74, 48, 6), (6, 70, 46, 12), (34, -6, 24, 42)),
    "three": (_wide(10), _wide(0), _wide(10), _IN, _THUMB_OVER),
    "four": (_wide(8), _wide(0), _wide(6), _wide(14), (60, 0, 28, 38)),
    "rock": (_wide(6), _IN, _IN, _wide(10), _THUMB_OVER),
    "call": (_IN, _IN, _IN, _wide(18), (-10, -20, -6, -10)),
    "gun": (_OUT, (70, 92, 55, 0), _IN, _IN, (-8, -10, 0, 0)),
    "grip": ((58, 58, 34, 2), (62, 60, 34, 0), (64, 60, 34, 2), (64, 58, 34, 4), (48, 5, 20, 24)),
    "cup": ((42, 26, 14, 2), (44, 26, 14, 0), (44, 26, 14, 2), (44, 26, 14, 6), (40, 4, 10, 12)),
    "bend": ((78, 6, 4, 0), (80, 6, 4, 0), (80, 6, 4, 0), (80, 6, 4, 0), (30, 12, 10, 10)),
}
_NAMES = tuple(HAND_SHAPES)
_COLUMNS = 4 * len(FINGERS)
# What the thumb bends towards: the roots of the middle and ring finger, under the palm.
_THUMB_AXIS = np.cross(THUMB, [0.75, 0.5, -0.45])
_THUMB_AXIS = _THUMB_AXIS / np.linalg.norm(_THUMB_AXIS)


def _row(name: str) -> np.ndarray:
    """(20,) angles in MANO's finger order."""
    shape = dict(zip((*_COUNTED, "thumb"), HAND_SHAPES[name], strict=True))
    return np.concatenate([np.asarray(shape[finger], float) for finger in FINGERS])


_TABLE = np.stack([_row(name) for name in _NAMES])


def _limits() -> np.ndarray:
    fingers = [FINGER_LIMITS_DEG[name] for name in ("mcp", "pip", "dip", "spread")] * len(_LONG_FINGERS)
    return np.array(fingers + [THUMB_LIMITS_DEG[name] for name in ("across", "inward", "flex", "tip")], float)


ANGLE_LIMITS_DEG = _limits()


def hand_angles(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F, 2, 20) degrees of a left and a right hand: shapes taken and held, with some unrest.

    Columns: `mcp`, `pip`, `dip`, `spread` of index, middle, little and ring finger, then the thumb's four.
    """
    menu = rng.choice(len(_NAMES), size=5, replace=False)
    menu = np.append(menu, _NAMES.index("relaxed"))
    together = rng.random() < 0.25
    shared = rng.integers(2**31)
    hands = []
    for _ in range(2):
        own = np.random.default_rng(shared if together else rng.integers(2**31))
        hands.append(_one_hand(times, own, menu))
    return np.stack(hands, axis=1)


def _one_hand(times: np.ndarray, rng: np.random.Generator, menu: np.ndarray) -> np.ndarray:
    keys = key_times(rng, 1.8)
    chosen = _TABLE[menu[rng.integers(0, len(menu), len(keys))]]
    chosen = chosen * rng.uniform(0.85, 1.08, (len(keys), 1)) + rng.normal(0, 2.0, chosen.shape)
    # fingers arrive before the next shape is due and stay for a moment
    pause = rng.uniform(0.25, 0.6) * np.diff(keys, append=keys[-1] + 1.0)
    held_keys = np.stack([keys, keys + pause], 1).reshape(-1)
    angles = spline(times, held_keys, np.repeat(chosen, 2, axis=0))
    return angles + wandering(times, rng, [2.0] * _COLUMNS)


def finger_rotations(angles: np.ndarray) -> np.ndarray:
    """Local rotations (F, 30, 3, 3) of both hands' fingers in MANO's order, left hand first.

    Args:
        angles: (F, 2, 20) degrees as from `hand_angles`; eased against their limits here.
    """
    low, high = ANGLE_LIMITS_DEG.T
    degrees = soft_clip(angles, low, high, 2.0).reshape(len(angles), 2, len(FINGERS), 4)
    mcp, pip, dip, spread = np.moveaxis(degrees[:, :, : len(_LONG_FINGERS)], -1, 0)
    # the left hand's fingers point to +x, its palm down: index and thumb lie in front, at -y
    away = np.array([{"index": -1.0, "middle": -1.0}.get(finger, 1.0) for finger in _LONG_FINGERS])
    knuckles = turn_deg(z=spread * away) @ turn_deg(y=mcp)
    fingers = np.stack([knuckles, turn_deg(y=pip), turn_deg(y=dip)], axis=3)
    across, inward, flex, tip = np.moveaxis(degrees[:, :, -1], -1, 0)
    root = turn_deg(x=across) @ turn_deg(z=inward)
    bends = [axis_angle_matrices(np.deg2rad(bend)[..., None] * _THUMB_AXIS) for bend in (flex, tip)]
    thumb = np.stack([root, *bends], axis=2)[:, :, None]
    both = np.concatenate([fingers, thumb], axis=2).reshape(len(angles), 2, NUM_HAND_JOINTS, 3, 3)
    both[:, 1] = MIRROR @ both[:, 1] @ MIRROR
    return both.reshape(len(angles), 2 * NUM_HAND_JOINTS, 3, 3)
