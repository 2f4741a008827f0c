"""Poses as SMPL and MANO parameters, and back.

SMPL's rest pose has x to the left, y up and z to the front; ours has x to the left, -y to the front and z up.
A direction d of SMPL is therefore ours as C d with C = `SMPL_AXES`, and

- a joint's local rotation R is SMPL's C^T R C: its axis-angle vector is C^T times ours;
- the pelvis's rotation takes SMPL's rest pose straight into our world with z up: R C, as AMASS has it.

Body joints are in SMPL's order. SMPL's joints 22 and 23 (`left_hand`, `right_hand`) move nothing here and are
the identity, except in a motion that was read from a file in which they turn. Fingers are in MANO's order,
relative to the flat hand, with both hands' vectors in the same axes (MANO's own left and right models).
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.motion import Motion
from threedimo_training.motion.rotations import rotation_vectors
from threedimo_training.motion.skeleton import (
    NUM_BODY_JOINTS,
    NUM_HAND_JOINTS,
    NUM_JOINTS,
    PARENTS,
    Posed,
    axis_angle_matrices,
)

# Columns are SMPL's x (left), y (up) and z (front) in our axes.
SMPL_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def local_rotations(posed: Posed) -> np.ndarray:
    """(F, 54, 3, 3) relative to the parent, as in `Motion.joint_rotations`, of a posed body."""
    parents = list(PARENTS[1:])
    local = posed.rotations.copy()
    local[:, 1:] = np.swapaxes(posed.rotations[:, parents], -1, -2) @ posed.rotations[:, 1:]
    return local


def smpl_pose(pose: Motion | Posed | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SMPL body pose and MANO hand pose.

    `planting.place` bends legs a little to keep each performer's feet where they stand: labels of a rendered
    person are those of its `Posed`.

    Args:
        pose: A posed body (its labels agree with its picture), a motion, or local rotations (F, 54, 3, 3).

    Returns:
        (F, 24, 3) and (F, 2, 15, 3) float32 axis-angle, left hand first; the root's is relative to a world
        with z up.
    """
    if isinstance(pose, Posed):
        local = local_rotations(pose)
    else:
        local = pose.joint_rotations if isinstance(pose, Motion) else pose
    vectors = rotation_vectors(local) @ SMPL_AXES
    vectors[:, 0] = rotation_vectors(local[:, 0] @ SMPL_AXES)
    vectors = vectors.astype(np.float32)
    hands = vectors[:, NUM_BODY_JOINTS:].reshape(-1, 2, NUM_HAND_JOINTS, 3)
    return vectors[:, :NUM_BODY_JOINTS], hands


def rotations_from_smpl(body_pose: np.ndarray, hand_pose: np.ndarray) -> np.ndarray:
    """Local rotations (F, 54, 3, 3) of SMPL and MANO parameters: the inverse of `smpl_pose`.

    Args:
        body_pose: (F, 24, 3) axis-angle, the root's relative to a world with z up.
        hand_pose: (F, 2, 15, 3) axis-angle relative to the flat hand, left hand first.
    """
    fingers = np.asarray(hand_pose, np.float64).reshape(-1, NUM_JOINTS - NUM_BODY_JOINTS, 3)
    vectors = np.concatenate([np.asarray(body_pose, np.float64), fingers], axis=1)
    local = axis_angle_matrices(vectors @ SMPL_AXES.T)
    local[:, 0] = axis_angle_matrices(vectors[:, 0]) @ SMPL_AXES.T
    return local
