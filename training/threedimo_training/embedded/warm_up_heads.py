"""Heads that teach a small encoder's tokens to tell poses, in its warm-up only.

Not in the paper. Measured, the geometry head does not start a small encoder by itself; on single frames three
more heads help: for the joints relative to the pelvis in the body's own frame and in the camera's, and for
where they are in the picture.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from threedimo_training.method.geometry_head import GeometryHead, PoseHead
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS

PLACES_WEIGHT = 3.0


class WarmUpHeads(nn.Module):
    """The heads of the encoder warm-up on its tokens."""

    def __init__(self, num_tokens: int, motion_dim: int):
        super().__init__()
        self.geometry = GeometryHead(num_tokens, motion_dim)
        self.body_joints = PoseHead(num_tokens, motion_dim, NUM_BODY_JOINTS * 3)
        self.camera_joints = PoseHead(num_tokens, motion_dim, NUM_BODY_JOINTS * 3)
        self.places = PoseHead(num_tokens, motion_dim, NUM_BODY_JOINTS * 2)

    def losses(
        self,
        motion_tokens: Tensor,
        rotations: Tensor,
        body_joints: Tensor,
        camera_joints: Tensor,
        places: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch of frames, and the errors that a person can judge.

        Args:
            motion_tokens: (batch, K, motion_dim).
            rotations: (batch, 54, 3, 3) local.
            body_joints: (batch, 24, 3) metres from the pelvis, in the pelvis's own axes.
            camera_joints: (batch, 24, 3) metres from the pelvis, in the camera's axes.
            places: (batch, 24, 2), where joints are in the picture, 0 to 1 inside it.

        Returns:
            `loss`; `body_mm` and `camera_mm`, mean joint errors in millimetres; `place`, the mean error in
            the picture as a share of its size, of joints that are inside.
        """
        geometry = self.geometry.loss(motion_tokens, rotations)
        errors = {}
        for name, head, wanted in (
            ("body", self.body_joints, body_joints),
            ("camera", self.camera_joints, camera_joints),
        ):
            found = rearrange(head(motion_tokens), "b (j d) -> b j d", d=3).float()
            errors[name] = torch.linalg.vector_norm(found - wanted, dim=-1).mean()
        place = self._place_error(motion_tokens, places.float())
        loss = errors["body"] + errors["camera"] + geometry + PLACES_WEIGHT * place
        return {
            "loss": loss,
            "body_mm": errors["body"] * 1000,
            "camera_mm": errors["camera"] * 1000,
            "place": place,
        }

    def _place_error(self, motion_tokens: Tensor, places: Tensor) -> Tensor:
        found = rearrange(self.places(motion_tokens), "b (j d) -> b j d", d=2).float()
        inside = ((places >= 0) & (places < 1)).all(dim=-1)
        errors = torch.linalg.vector_norm(found - places, dim=-1)
        return (errors * inside).sum() / inside.sum().clamp(min=1)
