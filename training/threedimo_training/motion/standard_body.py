"""The body on which motions are made: average proportions, hip height 0.97 m, and round shapes that touch.

Its joints serve the generator, its shapes keep arms out of the trunk and tell what rests on the floor. Other
people perform the same motions through `planting.place`.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, MIRROR, NUM_JOINTS, PARENTS, SIDES, Posed

# Pelvis above the soles at rest, metres.
HIP_HEIGHT_M = 0.97
# Where the left thumb points at rest.
THUMB = np.array([0.62, -0.76, -0.18])
_CENTRE = {
    "spine1": (0.0, 0.015, 0.11), "spine2": (0.0, 0.0, 0.12), "spine3": (0.0, 0.0, 0.07),
    "neck": (0.0, 0.01, 0.21), "head": (0.0, -0.015, 0.085),
}  # fmt: skip
_LEFT = {
    "hip": (0.09, 0.0, -0.06), "knee": (0.0, 0.0, -0.42), "ankle": (0.0, 0.01, -0.41),
    "foot": (0.015, -0.14, -0.055), "collar": (0.065, 0.01, 0.13), "shoulder": (0.115, 0.005, 0.02),
    "elbow": (0.28, 0.0, 0.0), "wrist": (0.25, 0.0, 0.0), "hand": (0.09, 0.0, 0.0),
}  # fmt: skip
# Knuckles from the wrist, and the lengths of the first two phalanges.
_KNUCKLES = {
    "index": (0.095, -0.026, 0.004), "middle": (0.096, -0.004, 0.006), "ring": (0.089, 0.016, 0.004),
    "pinky": (0.081, 0.034, 0.0), "thumb": (0.028, -0.028, -0.008),
}  # fmt: skip
_PHALANGES = {
    "index": (0.04, 0.024), "middle": (0.044, 0.028), "ring": (0.04, 0.026), "pinky": (0.031, 0.02),
    "thumb": (0.044, 0.032),
}  # fmt: skip


def _rest_joints() -> np.ndarray:
    offsets = np.zeros((NUM_JOINTS, 3))
    offsets[0] = (0.0, 0.0, HIP_HEIGHT_M)
    for name, offset in _CENTRE.items():
        offsets[JOINT[name]] = offset
    thumb = THUMB / np.linalg.norm(THUMB)
    for side in SIDES:
        mirror = np.eye(3) if side == "left" else MIRROR
        for name, offset in _LEFT.items():
            offsets[JOINT[f"{side}_{name}"]] = mirror @ np.array(offset)
        for finger, knuckle in _KNUCKLES.items():
            along = thumb if finger == "thumb" else np.array([1.0, 0.0, 0.0])
            offsets[JOINT[f"{side}_{finger}1"]] = mirror @ np.array(knuckle)
            for number, length in enumerate(_PHALANGES[finger], start=2):
                offsets[JOINT[f"{side}_{finger}{number}"]] = mirror @ along * length
    joints = offsets.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        joints[joint] += joints[parent]
    return joints


REST_JOINTS = _rest_joints()
# Ball of the foot above the sole.
BALL_HEIGHT_M = float(REST_JOINTS[JOINT["left_foot"], 2])
# How far in front of the pelvis the ball of a foot stands, hip heights.
BALL_FORWARD = float(-REST_JOINTS[JOINT["left_foot"], 1]) / HIP_HEIGHT_M
# What can touch the floor: joint, offset from it at rest (left side), radius. The right side is mirrored.
_CONTACTS = (
    *(("ankle", (0.0, 0.05, -0.05), 0.03), ("foot", (0.0, 0.0, BALL_HEIGHT_M * -0.2), BALL_HEIGHT_M * 0.8)),
    *(
        ("foot", (0.0, -0.055, -0.005), 0.02),
        ("knee", (0.0, -0.01, 0.0), 0.055),
        ("hip", (0.02, 0.06, -0.04), 0.08),
    ),
    *(
        ("elbow", (0.0, 0.0, 0.0), 0.04),
        ("wrist", (0.07, 0.0, 0.0), 0.02),
        ("shoulder", (0.0, 0.0, 0.0), 0.06),
    ),
)
CONTACT_JOINTS = np.array(
    [JOINT[f"{side}_{name}"] for side in SIDES for name, _, _ in _CONTACTS] + [JOINT["head"]]
)
CONTACT_OFFSETS = np.array(
    [np.array(o) * ((1, 1, 1) if side == "left" else (-1, 1, 1)) for side in SIDES for _, o, _ in _CONTACTS]
    + [np.array([0.0, 0.0, 0.09])]
)
CONTACT_RADII_M = np.array([radius for _ in SIDES for _, _, radius in _CONTACTS] + [0.11])


def lowest_m(posed: Posed) -> np.ndarray:
    """(F,) height of the lowest point of the posed standard body above the floor, metres."""
    rotations = posed.rotations[:, CONTACT_JOINTS]
    height = np.einsum("fcj,cj->fc", rotations[:, :, 2], CONTACT_OFFSETS)
    return (posed.positions[:, CONTACT_JOINTS, 2] + height - CONTACT_RADII_M).min(axis=1)
