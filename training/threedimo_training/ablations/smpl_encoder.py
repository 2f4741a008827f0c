"""The paper's first ablation: motion as SMPL pose parameters through an MLP, instead of the motion encoder.

The parameters are the exact ones of the rendered person, root orientation in the driving camera's axes
included. The paper took them from an estimator and saw its depth errors in the result, which cannot appear
here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from threedimo_training.embedded.cached_clips import CachedClips, Frames
from threedimo_training.method.geometry_head import NUM_ROTATIONS, rotation_6d

_NUM_VALUES = (1 + NUM_ROTATIONS) * 6
_HIDDEN_DIM = 512


class SmplPoseEncoder(nn.Module):
    """Pose parameters of each frame to as many tokens as the motion encoder gives.

    Args:
        num_tokens: Tokens a frame.
        motion_dim: Their width.
    """

    def __init__(self, num_tokens: int, motion_dim: int):
        super().__init__()
        self.num_tokens = num_tokens
        self.layers = nn.Sequential(
            nn.Linear(_NUM_VALUES, _HIDDEN_DIM),
            nn.GELU(),
            nn.Linear(_HIDDEN_DIM, _HIDDEN_DIM),
            nn.GELU(),
            nn.LayerNorm(_HIDDEN_DIM),
            nn.Linear(_HIDDEN_DIM, num_tokens * motion_dim),
        )

    def forward(self, pose: Tensor) -> Tensor:
        """Encode `read_pose` (batch, frames, values) to (batch, frames, num_tokens, motion_dim)."""
        return self.layers(pose).unflatten(-1, (self.num_tokens, -1))


def read_pose(clips: CachedClips, indices: list[int], frames: Frames) -> Tensor:
    """The driver's rotations in 6D form, (batch, frames, values); the root's is relative to the camera."""
    rotations = clips.read("rotations", indices, frames).float()
    root = root_in_camera(
        clips.read("body_joints", indices, frames), clips.read("camera_joints", indices, frames)
    )
    return rotation_6d(torch.cat([root[..., None, :, :], rotations[..., 1:, :, :]], dim=-3)).flatten(-2)


def root_in_camera(body_joints: Tensor, camera_joints: Tensor) -> Tensor:
    """The rotation (..., 3, 3) that takes joints (..., J, 3) from the pelvis's axes to the camera's.

    Both are the same joints, so that the best rotation (Kabsch 1976) is the exact one.
    """
    # in full precision, also in the middle of a training with less
    with torch.autocast(camera_joints.device.type, enabled=False):
        covariance = camera_joints.float().mT @ body_joints.float()
        left, _, right = torch.linalg.svd(covariance)
        mirror = torch.ones_like(left[..., 0])
        mirror[..., 2] = torch.linalg.det(left @ right)
        return left * mirror[..., None, :] @ right
