"""Part of `bake_bodies`: the source's own forward against our kinematics and skinning, for the same poses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from anny.models.rigged_model import RiggedModelWithLinearBlendShapes  # pyright: ignore[reportMissingImports]
from bake_surface import Surface
from bake_t_pose import joint_positions

from threedimo_training.motion.skeleton import (
    HAND_JOINTS,
    JOINT,
    NUM_JOINTS,
    axis_angle_matrices,
    forward_kinematics,
)

if TYPE_CHECKING:
    from bake_bodies import Shaped, Source

_NUM_POSES = 24


def _random_poses() -> np.ndarray:
    """(P, 54, 3, 3): arms mostly down and bent, legs and spine bent, fingers curled."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(0, 0.22, (_NUM_POSES, NUM_JOINTS, 3))
    for side, sign in (("left", 1), ("right", -1)):
        vectors[:, JOINT[f"{side}_shoulder"], 1] += sign * rng.uniform(-0.4, 1.3, _NUM_POSES)
        vectors[:, JOINT[f"{side}_elbow"], 2] -= sign * rng.uniform(0, 1.8, _NUM_POSES)
        vectors[:, JOINT[f"{side}_hip"], 0] -= rng.uniform(-0.3, 1.2, _NUM_POSES)
        vectors[:, JOINT[f"{side}_knee"], 0] += rng.uniform(0, 1.5, _NUM_POSES)
    for side, fingers in enumerate(HAND_JOINTS):
        vectors[:, fingers] *= 0.4
        vectors[:, fingers, 1] += (1 - 2 * side) * rng.uniform(0, 1.2, (_NUM_POSES, 1))
    return axis_angle_matrices(vectors)


def axis_map_errors(
    source: Source, shaped: Shaped, surface: Surface, bones: np.ndarray, weights: np.ndarray,
    points: np.ndarray, joints: np.ndarray,
) -> dict[str, float]:  # fmt: skip
    """Mean and largest distances in millimetres between the same body posed by the source and by us.

    Every bone of the source gets the world orientation of its joint times its own turn into the T-pose; the
    source's forward kinematics then finds its own places. The pelvis is put at the same point.
    """
    rotations = _random_poses()
    ours = forward_kinematics(joints, rotations, np.tile(joints[0], (_NUM_POSES, 1)))
    shift = ours.positions - np.einsum("fjab,jb->fja", ours.rotations, joints)
    moved = np.zeros((_NUM_POSES, len(points), 3))
    for slot in range(4):
        bone = bones[:, slot]
        placed = np.einsum("fvab,vb->fva", ours.rotations[:, bone], points) + shift[:, bone]
        moved += weights[:, slot, None] * placed
    joint_errors, surface_errors = [], []
    for pose in range(_NUM_POSES):
        vertices, heads = _posed_by_source(source, shaped, ours.rotations[pose])
        theirs = _joints_of(source, heads)
        offset = ours.positions[pose, 0] - theirs[0]
        # the two leaves ("hand") are means of knuckles: they are no bones of the source
        joint_errors.append(np.linalg.norm(theirs + offset - ours.positions[pose], axis=1))
        left = np.einsum("vk,vkd->vd", surface.shares, vertices[surface.corners])
        difference = left + offset - moved[pose, : len(left)]
        surface_errors.append(np.linalg.norm(difference, axis=1))
    joint, skin = 1000 * np.concatenate(joint_errors), 1000 * np.concatenate(surface_errors)
    return {
        "joints_mean_mm": float(joint.mean()), "joints_max_mm": float(joint.max()),
        "surface_mean_mm": float(skin.mean()), "surface_99_percent_mm": float(np.percentile(skin, 99)),
        "surface_max_mm": float(skin.max()),
    }  # fmt: skip


def _posed_by_source(source: Source, shaped: Shaped, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    model = source.model
    turns = rotations[source.joints] @ source.turns(shaped)
    with torch.no_grad():
        rest = model.get_rest_model(shaped.coefficients)["rest_bone_poses"][0].numpy()
        poses = np.tile(np.eye(4), (len(turns), 1, 1))
        poses[:, :3, :3] = turns @ rest[:, :3, :3]
        # the phenotypes are in the coefficients already: this is the rigged model below them
        posed = RiggedModelWithLinearBlendShapes.forward(
            model, torch.from_numpy(poses)[None], shaped.coefficients, pose_parameterization="world-orient"
        )
    return posed["vertices"][0].numpy(), posed["bone_poses"][0, :, :3, 3].numpy()


def _joints_of(source: Source, heads: np.ndarray) -> np.ndarray:
    """Our joints from posed bones, without making them symmetric."""
    named = dict(zip(source.labels, heads, strict=True))
    return joint_positions(named, symmetric=False)
