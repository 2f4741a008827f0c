from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel

from threedimo.models import MotionWanTransformer3DModel

BASE = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
MOTION = {"motion_dim": 8, "motion_inner_dim": 16, "motion_num_heads": 2}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def base() -> WanTransformer3DModel:
    return WanTransformer3DModel(**BASE).eval()


@pytest.fixture
def untrained(base: WanTransformer3DModel) -> MotionWanTransformer3DModel:
    """The base with motion layers as they are before any training."""
    return MotionWanTransformer3DModel.from_transformer(base, **MOTION).eval()


@pytest.fixture
def trained(untrained: MotionWanTransformer3DModel) -> MotionWanTransformer3DModel:
    """The same with motion layers that do something."""
    for block in untrained.blocks:
        torch.nn.init.normal_(block.motion_attn.out.weight)
    return untrained


@pytest.fixture
def video_inputs() -> Callable[..., dict[str, torch.Tensor]]:
    """Inputs of the backbone: 3 latent frames (9 video frames) of 2x2 tokens, two of a batch."""

    def build(
        *, timestep_per_token: bool = False, dtype: torch.dtype = torch.float32
    ) -> dict[str, torch.Tensor]:
        timestep = torch.tensor([900.0, 300.0])
        if timestep_per_token:
            timestep = timestep[:, None] * (torch.arange(12) >= 4)
        return {
            "hidden_states": torch.randn(2, 4, 3, 4, 4, dtype=dtype),
            "timestep": timestep,
            "encoder_hidden_states": torch.randn(2, 6, 16, dtype=dtype),
        }

    return build


@pytest.fixture
def tokens() -> dict[str, torch.Tensor]:
    return {"motion_tokens": torch.randn(2, 9, 3, 8), "camera_tokens": torch.randn(2, 9, 1, 8)}
