"""The networks of the method (paper section 3): two encoders, and a Wan transformer that hears both."""

from threedimo.models.camera_encoder import CameraEncoder
from threedimo.models.motion_attention import MotionAttention
from threedimo.models.motion_encoder import MotionEncoder
from threedimo.models.transformer_wan import MotionWanTransformer3DModel, MotionWanTransformerBlock

__all__ = [
    "CameraEncoder",
    "MotionAttention",
    "MotionEncoder",
    "MotionWanTransformer3DModel",
    "MotionWanTransformerBlock",
]
