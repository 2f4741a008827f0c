"""Anatomical angles: how a person describes a pose, the joint rotations that they mean, and their limits.

Arms and legs swing away from hanging, elbows and knees bend, the trunk leans, bends sideways and turns. All
angles are degrees. The left side is computed; the right side is its mirror image.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.rotations import rotation_vectors, turn_deg
from threedimo_training.motion.skeleton import JOINT, MIRROR, NUM_JOINTS, SIDES

ARM = ("shrug", "arm_out", "arm_forward", "arm_twist", "elbow", "forearm_twist", "wrist", "wrist_side")
LEG = ("leg_out", "leg_forward", "leg_twist", "knee", "ankle", "ankle_side", "ankle_twist", "toes")
TRUNK = ("lean", "side", "twist")
PELVIS = ("pelvis_lean", "pelvis_side", "pelvis_twist")
HEAD = ("nod", "tilt", "look")
# Anatomical limits in degrees, roomy enough for dance and no further. `ankle` is positive with pointed toes.
LIMITS_DEG = {
    "shrug": (-8, 25), "arm_out": (-50, 175), "arm_forward": (-55, 175), "arm_twist": (-80, 100),
    "elbow": (0, 145), "forearm_twist": (-85, 85), "wrist": (-65, 65), "wrist_side": (-20, 30),
    "leg_out": (-30, 75), "leg_forward": (-45, 130), "leg_twist": (-45, 60), "knee": (0, 150),
    "ankle": (-42, 60), "ankle_side": (-28, 28), "ankle_twist": (-28, 28), "toes": (-10, 65),
    "lean": (-28, 75), "side": (-38, 38), "twist": (-50, 50), "pelvis_lean": (-30, 60),
    "pelvis_side": (-18, 18), "pelvis_twist": (-35, 35), "nod": (-40, 45), "tilt": (-32, 32),
    "look": (-65, 65),
}  # fmt: skip
LIMIT_EASE_DEG = 4.0
_SHOULDER_REST = turn_deg(0.0, 90.0)  # from arms stretched sideways to hanging

Angles = dict[str, np.ndarray]


def upper_body_names() -> list[str]:
    """Every angle of trunk, head and arms: "lean", ..., "look", "shrug.left", ..., "wrist_side.right"."""
    return [*TRUNK, *HEAD, *(f"{name}.{side}" for side in SIDES for name in ARM)]


def within_limits(name: str, degrees: np.ndarray) -> np.ndarray:
    """The curve (F,) eased against its limits: unchanged `LIMIT_EASE_DEG` inside them, never beyond."""
    low, high = LIMITS_DEG[name.partition(".")[0]]
    return soft_clip(degrees, low, high, LIMIT_EASE_DEG)


def soft_clip(values: np.ndarray, low: float, high: float, ease: float) -> np.ndarray:
    """Values that approach the limits smoothly over the last `ease` before them; exactly unchanged inside."""

    def ceiling(beyond: np.ndarray) -> np.ndarray:
        # from slope 1 to slope 0 over twice the ease
        return np.where(
            beyond <= 0, beyond, np.where(beyond >= 2 * ease, ease, beyond - beyond**2 / (4 * ease))
        )

    values = high - ease + ceiling(values - (high - ease))
    return low + ease - ceiling((low + ease) - values)


def _mirrored(matrices: np.ndarray, which: int) -> np.ndarray:
    return MIRROR @ matrices @ MIRROR if which else matrices


def upper_body_rotations(angles: Angles) -> np.ndarray:
    """Local rotations (F, 54, 3, 3) of trunk, head and arms; pelvis, legs and fingers stay the identity.

    Args:
        angles: (F,) degrees for every name of `upper_body_names`.
    """
    result = np.tile(np.eye(3), (len(angles["lean"]), NUM_JOINTS, 1, 1))
    # leaning forward turns about +x (left): z goes to -y; bending to the left turns about +y: z goes to +x
    lean, side, twist = (angles[name] / 3 for name in TRUNK)
    result[:, [JOINT[f"spine{number}"] for number in (1, 2, 3)]] = turn_deg(lean, side, twist)[:, None]
    nod, tilt, look = (angles[name] / 2 for name in HEAD)
    result[:, [JOINT["neck"], JOINT["head"]]] = turn_deg(nod, tilt, look)[:, None]
    for which, side_name in enumerate(SIDES):
        arm = {name: angles[f"{name}.{side_name}"] for name in ARM}
        result[:, JOINT[f"{side_name}_collar"]] = _mirrored(turn_deg(0, -arm["shrug"]), which)
        result[:, JOINT[f"{side_name}_shoulder"]] = shoulder_rotations(
            arm["arm_out"], arm["arm_forward"], arm["arm_twist"], which
        )
        result[:, JOINT[f"{side_name}_elbow"]] = _mirrored(turn_deg(0, 0, -arm["elbow"]), which)
        wrist = turn_deg(arm["forearm_twist"]) @ turn_deg(0, arm["wrist"], arm["wrist_side"])
        result[:, JOINT[f"{side_name}_wrist"]] = _mirrored(wrist, which)
    return result


def shoulder_rotations(out: np.ndarray, forward: np.ndarray, twist: np.ndarray, which: int) -> np.ndarray:
    """Rotations (F, 3, 3) of the left (0) or right (1) shoulder."""
    # a swing by angle about (-z) x direction: outwards is about -y, forwards about -x
    return _mirrored(turn_deg(-forward, -out) @ _SHOULDER_REST @ turn_deg(twist), which)


def shoulder_angles(rotations: np.ndarray, which: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`arm_out`, `arm_forward`, `arm_twist` in degrees: the inverse of `shoulder_rotations`."""
    hanging = _mirrored(rotations, which) @ _SHOULDER_REST.T
    # twisting the stretched arm about x is, seen after the rest turn, twisting about its image -z
    forward, out, twist = _swing_and_twist(hanging)
    return -out, -forward, -twist


def _swing_and_twist(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Degrees (x, y, z) with rotations = turn_deg(x, y) @ turn_deg(z=z)."""
    # both are the same factor times sine and cosine of the twist, however the swing turns
    sine = rotations[..., 1, 0] - rotations[..., 0, 1]
    z = np.degrees(np.arctan2(sine, rotations[..., 0, 0] + rotations[..., 1, 1]))
    swing = np.degrees(rotation_vectors(rotations @ np.swapaxes(turn_deg(z=z), -1, -2)))
    return swing[..., 0], swing[..., 1], z


def leg_rotations(angles: Angles, which: int) -> dict[str, np.ndarray]:
    """Local rotations (F, 3, 3) of "hip", "knee", "ankle" and "foot" of the left (0) or right (1) leg.

    Args:
        angles: (F,) degrees for every name of `LEG`.
        which: 0 for left, 1 for right.
    """
    left = {
        "hip": turn_deg(-angles["leg_forward"], -angles["leg_out"]) @ turn_deg(z=angles["leg_twist"]),
        "knee": turn_deg(angles["knee"]),
        "ankle": turn_deg(angles["ankle"], angles["ankle_side"], angles["ankle_twist"]),
        "foot": turn_deg(-angles["toes"]),
    }
    return {name: _mirrored(matrices, which) for name, matrices in left.items()}


def leg_angles(rotations: dict[str, np.ndarray], which: int) -> Angles:
    """The inverse of `leg_rotations`, for knees and toes that only bend."""
    left = {name: _mirrored(matrices, which) for name, matrices in rotations.items()}
    forward, out, twist = _swing_and_twist(left["hip"])
    ankle = np.degrees(rotation_vectors(left["ankle"]))
    return {
        "leg_out": -out,
        "leg_forward": -forward,
        "leg_twist": twist,
        "knee": np.degrees(rotation_vectors(left["knee"]))[..., 0],
        "ankle": ankle[..., 0],
        "ankle_side": ankle[..., 1],
        "ankle_twist": ankle[..., 2],
        "toes": -np.degrees(rotation_vectors(left["foot"]))[..., 0],
    }
