"""The skeleton that everything here moves: the 24 joints of SMPL and the 15 finger joints of each MANO hand.

Axes of the rest pose (arms stretched sideways, fingers straight): +x to the person's left, -y to the front,
+z up, metres. At rest the axes of every joint are the body's own, as in SMPL, so that local rotations are
SMPL and MANO pose parameters up to the change of axes in `smpl_labels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Names and order of SMPL (Loper et al. 2015).
BODY_JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
NUM_BODY_JOINTS = len(BODY_JOINTS)
# Order of MANO (Romero et al. 2017); each has three joints, from the knuckle outwards.
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
SIDES = ("left", "right")
NUM_HAND_JOINTS = 3 * len(FINGERS)
JOINT_NAMES = BODY_JOINTS + tuple(
    f"{side}_{finger}{number}" for side in SIDES for finger in FINGERS for number in (1, 2, 3)
)
NUM_JOINTS = len(JOINT_NAMES)
JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}
# The joints of each hand's fingers, left first.
HAND_JOINTS = tuple(
    slice(NUM_BODY_JOINTS + side * NUM_HAND_JOINTS, NUM_BODY_JOINTS + (side + 1) * NUM_HAND_JOINTS)
    for side in range(2)
)
_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def _parents() -> tuple[int, ...]:
    fingers = []
    for side in SIDES:
        for finger in FINGERS:
            # SMPL-H and MANO hang the fingers on the wrist; SMPL's own "hand" joint is a leaf beside them
            fingers += [JOINT[f"{side}_wrist"], JOINT[f"{side}_{finger}1"], JOINT[f"{side}_{finger}2"]]
    return _BODY_PARENTS + tuple(fingers)


PARENTS = _parents()
# Reflects left to right.
MIRROR = np.diag([-1.0, 1.0, 1.0])


def axis_angle_matrices(rotation_vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3) in radians (Rodrigues' formula)."""
    vectors = np.asarray(rotation_vectors, np.float64)
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + first * cross + second * (cross @ cross)


@dataclass(frozen=True, eq=False)
class Posed:
    """A body in motion: joint orientations (F, 54, 3, 3) and positions (F, 54, 3) in the world, z up, metres.

    A point v of the rest pose that belongs to joint j alone lies at
    ``positions[f, j] + rotations[f, j] @ (v - rest_joints[j])``.
    """

    rotations: np.ndarray
    positions: np.ndarray

    @property
    def num_frames(self) -> int:
        """Number of poses."""
        return len(self.positions)

    def pelvis_joints(self) -> np.ndarray:
        """(F, 24, 3) metres in the pelvis's own frame: free of place and of global orientation."""
        relative = self.positions[:, :NUM_BODY_JOINTS] - self.positions[:, :1]
        return np.einsum("fji,fkj->fki", self.rotations[:, 0], relative)


def forward_kinematics(
    rest_joints: np.ndarray, joint_rotations: np.ndarray, root_positions: np.ndarray
) -> Posed:
    """Orientations and positions of all joints.

    Args:
        rest_joints: (54, 3) joint positions of the rest pose, metres.
        joint_rotations: (F, 54, 3, 3) relative to the parent; the pelvis's is relative to the world.
        root_positions: (F, 3) of the pelvis in the world, metres.
    """
    rotations = np.empty(joint_rotations.shape)
    positions = np.empty((*joint_rotations.shape[:2], 3))
    rotations[:, 0], positions[:, 0] = joint_rotations[:, 0], root_positions
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rotations[:, joint] = rotations[:, parent] @ joint_rotations[:, joint]
        offset = rest_joints[joint] - rest_joints[parent]
        positions[:, joint] = positions[:, parent] + rotations[:, parent] @ offset
    return Posed(rotations, positions)
