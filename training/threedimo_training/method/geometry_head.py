"""Heads that read 3D pose off the motion tokens, in training only (paper section 3.4).

The geometry head regresses local joint rotations without the global root orientation, so that it asks for
nothing that depends on the view. Measured, it does not start a small encoder by itself; during the warm-up on
single frames three more heads help: for the joints relative to the pelvis in the body's own frame and in the
camera's, and for where they are in the picture.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from threedimo_training.motion.skeleton import NUM_JOINTS

NUM_ROTATIONS = NUM_JOINTS - 1
"""SMPL's body joints and MANO's hand joints without the root, whose orientation depends on the view."""


def rotation_6d(matrices: Tensor) -> Tensor:
    """First two columns of rotation matrices (..., 3, 3), as (..., 6): a continuous form for regression."""
    return matrices[..., :2].transpose(-1, -2).flatten(-2)


class PoseHead(nn.Module):
    """A light MLP from one frame's motion tokens (..., K, motion_dim) to `num_values` numbers."""

    def __init__(self, num_tokens: int, motion_dim: int, num_values: int, hidden_dim: int = 256):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_tokens * motion_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, num_values),
        )

    def forward(self, motion_tokens: Tensor) -> Tensor:
        """Regress from the concatenated tokens of each frame."""
        return self.layers(motion_tokens.flatten(-2))


class GeometryHead(PoseHead):
    """Rotations of body and hands in 6D form, without the root."""

    def __init__(self, num_tokens: int, motion_dim: int):
        super().__init__(num_tokens, motion_dim, NUM_ROTATIONS * 6)

    def loss(self, motion_tokens: Tensor, rotations: Tensor) -> Tensor:
        """Mean squared error against local rotation matrices (..., 54, 3, 3), root first."""
        wanted = rotation_6d(rotations[..., 1:, :, :].float()).flatten(-2)
        return F.mse_loss(self(motion_tokens), wanted)
