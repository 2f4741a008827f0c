"""The skeleton that everything here moves: 24 joints of the body, two bones for every digit.

Axes of the rest pose (arms stretched sideways): +x to the person's left, -y to the front, +z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The 24 joints, names and order of SMPL (Loper et al. 2015), so that other data can share the geometry head.
JOINT_NAMES = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
NUM_JOINTS = len(JOINT_NAMES)
JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}
# Per hand, two bones for each digit; the ring finger's bones carry ring and little finger as one block.
DIGITS = ("thumb", "index", "middle", "ring")
NUM_BONES = NUM_JOINTS + 2 * 2 * len(DIGITS)
# Reflects left to right.
MIRROR = np.diag([-1.0, 1.0, 1.0])
# Where the left thumb points when stretched, and when it lies across the palm.
THUMB_OUT, THUMB_IN = np.array([0.62, -0.76, -0.1]), np.array([0.7, 0.1, -0.7])

_FINGER_BEND_DEG = (80.0, 95.0)
_THUMB_BEND_DEG = (55.0, 60.0)


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
    """A body in motion: bone orientations (F, NUM_BONES, 3, 3) and positions (F, NUM_BONES, 3) in the world.

    The first NUM_JOINTS bones are the joints of `JOINT_NAMES`.
    """

    rotations: np.ndarray
    positions: np.ndarray

    @property
    def joints_world(self) -> np.ndarray:
        """(F, NUM_JOINTS, 3) metres, z up."""
        return self.positions[:, :NUM_JOINTS]

    def pelvis_joints(self) -> np.ndarray:
        """(F, NUM_JOINTS, 3) metres in the pelvis's own frame: free of place and of global orientation."""
        relative = self.joints_world - self.joints_world[:, :1]
        return np.einsum("fji,fkj->fki", self.rotations[:, 0], relative)


def forward_kinematics(offsets: np.ndarray, joint_rotations: np.ndarray, hand_curls: np.ndarray) -> Posed:
    """Orientations and positions of all bones, the pelvis at the origin.

    Args:
        offsets: (NUM_BONES, 3) from each bone's parent, metres.
        joint_rotations: (F, 24, 3, 3) relative to the parent; the pelvis's is global.
        hand_curls: (F, 2, 4) of the digits, 0 stretched to 1 in a fist; left hand first.
    """
    num_frames = len(joint_rotations)
    local = np.concatenate([joint_rotations, _digit_rotations(hand_curls)], axis=1)
    rotations = np.empty((num_frames, NUM_BONES, 3, 3))
    positions = np.zeros((num_frames, NUM_BONES, 3))
    for bone, parent in enumerate(_ALL_PARENTS):
        if parent < 0:
            rotations[:, bone] = local[:, bone]
            continue
        rotations[:, bone] = rotations[:, parent] @ local[:, bone]
        positions[:, bone] = positions[:, parent] + rotations[:, parent] @ offsets[bone]
    return Posed(rotations, positions)


def _all_parents() -> tuple[int, ...]:
    digits = []
    for side in range(2):
        for digit in range(len(DIGITS)):
            digits += [JOINT["left_hand"] + side, NUM_JOINTS + side * 2 * len(DIGITS) + 2 * digit]
    return PARENTS + tuple(digits)


_ALL_PARENTS = _all_parents()


def _digit_rotations(hand_curls: np.ndarray) -> np.ndarray:
    """(F, 2 * 4 * 2, 3, 3) rotations of the digits' bones for curls (F, 2, 4)."""
    thumb_axis = np.cross(THUMB_OUT, THUMB_IN)
    axes = np.tile([0.0, 1.0, 0.0], (len(DIGITS), 2, 1))
    axes[0] = thumb_axis / np.linalg.norm(thumb_axis)
    bends = np.deg2rad(np.array([_THUMB_BEND_DEG] + [_FINGER_BEND_DEG] * (len(DIGITS) - 1)))
    matrices = axis_angle_matrices(hand_curls[..., None, None] * bends[..., None] * axes)
    matrices[:, 1] = MIRROR @ matrices[:, 1] @ MIRROR
    return matrices.reshape(len(hand_curls), -1, 3, 3)
