"""Legs that reach: the two-bone problem from hip to ankle, in closed form."""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.rotations import shortest_turns, turn_deg

_REACH_EASE_M = 0.02


def reach_ankle(
    thigh: np.ndarray, shin: np.ndarray, hip: np.ndarray, knee: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bend the knee and turn the thigh as little as possible until the ankle is where it is wanted.

    The knee bends about its own x axis; the plane of the leg turns only as far as the ankle requires.

    Args:
        thigh: (3,) from hip to knee at rest.
        shin: (3,) from knee to ankle at rest.
        hip: (F, 3, 3) orientation of the thigh to start from, world.
        knee: (F, 3, 3) local rotation of the knee to start from.
        wanted: (F, 3) from the hip to the ankle, world.

    Returns:
        The thigh's orientations and the knee's local rotations, (F, 3, 3) each. Beyond the leg's reach, the
        leg is stretched and points to the ankle.
    """
    bent = knee @ shin
    across = np.hypot(bent[:, 1], bent[:, 2]) * np.hypot(thigh[1], thigh[2])
    squared = (wanted**2).sum(-1) - thigh @ thigh - (bent**2).sum(-1) - 2 * thigh[0] * bent[:, 0]
    fold = np.arccos(np.clip(squared / (2 * across), -1, 1))
    # a bent knee takes the shin from the thigh's direction to the back, which is a positive turn about x
    now = np.arctan2(
        thigh[1] * bent[:, 2] - thigh[2] * bent[:, 1], thigh[1] * bent[:, 1] + thigh[2] * bent[:, 2]
    )
    knee = turn_deg(np.degrees(fold - now)) @ knee
    ankle = np.einsum("fij,fj->fi", hip, thigh + knee @ shin)
    return shortest_turns(ankle, wanted) @ hip, knee


def longest_reach(thigh: np.ndarray, shin: np.ndarray) -> float:
    """Distance from hip to ankle of the stretched leg, metres."""
    along = np.hypot(thigh[1], thigh[2]) + np.hypot(shin[1], shin[2])
    return float(np.hypot(along, thigh[0] + shin[0]))


def too_high_m(hip: np.ndarray, ankle: np.ndarray, reach: float) -> np.ndarray:
    """How far the hip must come down for the leg to reach its ankle, eased so that knees do not snap.

    Args:
        hip: (F, 3) places of the hip, metres.
        ankle: (F, 3) places of the ankle.
        reach: From hip to ankle at most.

    Returns:
        (F,) metres, not negative.
    """
    across = ((ankle - hip)[:, :2] ** 2).sum(-1)
    allowed = ankle[:, 2] + np.sqrt(np.maximum(reach**2 - across, 0.01))
    over = hip[:, 2] - allowed
    # 0 well below, the excess above, a parabola between
    eased = np.clip(over + _REACH_EASE_M, 0, 2 * _REACH_EASE_M) ** 2 / (4 * _REACH_EASE_M)
    return np.where(over > _REACH_EASE_M, over, eased)
