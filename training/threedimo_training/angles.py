"""Anatomical angles: how a person describes a pose, and the joint rotations that they mean.

Arms and legs swing away from hanging, elbows and knees bend, the trunk leans, bends sideways and turns. The
left side is computed; the right side is its mirror image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from threedimo_training.skeleton import JOINT, MIRROR, NUM_JOINTS, axis_angle_matrices

ARM = ("shrug", "arm_out", "arm_forward", "arm_twist", "elbow", "forearm_twist", "wrist")
LEG = ("leg_out", "leg_forward", "leg_twist", "knee", "ankle", "toes")
TRUNK = ("lean", "side", "twist", "pelvis_lean", "pelvis_side")
HEAD = ("nod", "tilt", "look")
# Anatomical limits in degrees, roomy enough for dance and no further.
LIMITS_DEG = {
    "shrug": (-8, 25), "arm_out": (-50, 175), "arm_forward": (-55, 175), "arm_twist": (-80, 100),
    "elbow": (0, 145), "forearm_twist": (-85, 85), "wrist": (-60, 60),
    "leg_out": (-25, 70), "leg_forward": (-40, 125), "leg_twist": (-40, 50), "knee": (0, 145),
    "ankle": (-35, 50), "toes": (-10, 40),
    "lean": (-28, 75), "side": (-38, 38), "twist": (-50, 50), "pelvis_lean": (-20, 45),
    "pelvis_side": (-15, 15), "nod": (-40, 45), "tilt": (-32, 32), "look": (-65, 65),
}  # fmt: skip


def curve_names() -> list[str]:
    """Every angle of the body: "elbow.left", ..., "lean", ..., "look"."""
    sided = [f"{name}.{side}" for side in ("left", "right") for name in ARM + LEG]
    return sided + list(TRUNK + HEAD)


def _turn(x: ArrayLike = 0.0, y: ArrayLike = 0.0, z: ArrayLike = 0.0) -> np.ndarray:
    """Rotations (F, 3, 3) by one axis-angle vector in degrees."""
    return axis_angle_matrices(np.deg2rad(np.stack(np.broadcast_arrays(x, y, z), axis=-1)))


def joint_rotations(curves: dict[str, np.ndarray], heading: np.ndarray) -> np.ndarray:
    """Local joint rotations (F, 24, 3, 3) of anatomical angles.

    Args:
        curves: (F,) degrees for every name of `curve_names`.
        heading: (F,) radians about the vertical; 0 faces -y.
    """
    result = np.tile(np.eye(3), (len(heading), NUM_JOINTS, 1, 1))
    lean, side, twist = curves["lean"] / 3, curves["side"] / 3, curves["twist"] / 3
    yaw = axis_angle_matrices(heading[:, None] * [0.0, 0.0, 1.0])
    # leaning forward turns about +x (left): z goes to -y; bending to the left turns about +y: z goes to +x
    result[:, 0] = yaw @ _turn(curves["pelvis_lean"], curves["pelvis_side"])
    for name in ("spine1", "spine2", "spine3"):
        result[:, JOINT[name]] = _turn(lean, side, twist)
    nod, tilt, look = (curves[name] / 2 for name in HEAD)
    for name in ("neck", "head"):
        result[:, JOINT[name]] = _turn(nod, tilt, look)
    for which, side_name in enumerate(("left", "right")):
        angles = {name: curves[f"{name}.{side_name}"] for name in ARM + LEG}
        for name, matrices in _left_side(angles, curves, which).items():
            matrices = MIRROR @ matrices @ MIRROR if which else matrices
            result[:, JOINT[f"{side_name}_{name}"]] = matrices
    return result


def _left_side(
    angles: dict[str, np.ndarray], curves: dict[str, np.ndarray], which: int
) -> dict[str, np.ndarray]:
    """Rotations of one arm and leg, as for the left side."""
    # a swing by angle about (-z) x direction: outwards is about -y, forwards about -x
    shoulder = _turn(-angles["arm_forward"], -angles["arm_out"]) @ _turn(0, 90) @ _turn(angles["arm_twist"])
    hip = _turn(-angles["leg_forward"], -angles["leg_out"]) @ _turn(0, 0, angles["leg_twist"])
    # the pelvis leans, the standing legs do not
    lean, side = curves["pelvis_lean"], curves["pelvis_side"] * (-1 if which else 1)
    return {
        "collar": _turn(0, -angles["shrug"]),
        "shoulder": shoulder,
        "elbow": _turn(0, 0, -angles["elbow"]),
        "wrist": _turn(angles["forearm_twist"]) @ _turn(0, angles["wrist"]),
        "hip": np.swapaxes(_turn(lean, side), -1, -2) @ hip,
        "knee": _turn(angles["knee"]),
        "ankle": _turn(angles["ankle"]),
        "foot": _turn(-angles["toes"]),
    }
