"""What a movement idea asks of the body at sampled times, before legs reach and limits hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo_training.motion.feet import Feet


@dataclass(frozen=True, eq=False)
class ArmKey:
    """Both arms at a moment that the legs' movement dictates (a jump swings them, a seat receives them)."""

    time_s: float
    left: str
    right: str


@dataclass(frozen=True, eq=False)
class Performance:
    """Wishes at F sampled times.

    Attributes:
        feet: Where the feet are.
        pelvis: (F, 3) wanted position, hip heights; it comes down where legs would not reach.
        heading: (F,) degrees about the vertical; 0 faces -y.
        pelvis_tilt: (F, 3) lean, side, twist in degrees, within the heading.
        spine: (F, 3) lean, side, twist in degrees that the movement needs; more may be added.
        swing: (F, 2) degrees by which the gait swings the left and the right arm forwards.
        arm_base: What arms do when nothing else is wanted, as in `poses.REST_ARM`.
        arm_keys: Moments at which the movement dictates the arms.
        calm: How much of free trunk and head movement it leaves room for, 0 to 1.
        free_arms: How likely each arm does something of its own.
    """

    feet: Feet
    pelvis: np.ndarray
    heading: np.ndarray
    pelvis_tilt: np.ndarray
    spine: np.ndarray
    swing: np.ndarray
    arm_base: dict[str, float]
    arm_keys: tuple[ArmKey, ...]
    calm: float
    free_arms: float
