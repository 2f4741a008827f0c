from __future__ import annotations

import pytest
import torch

from threedimo.models import MotionAttention
from threedimo.models.motion_attention import rotate, time_rotary


@pytest.fixture
def attention() -> MotionAttention:
    return MotionAttention(dim=24, motion_dim=8, inner_dim=16, num_heads=2)


def rotaries(num_video_tokens: int, num_tokens: int, head_dim: int = 8):
    return tuple(time_rotary(torch.arange(float(n)), head_dim) for n in (num_video_tokens, num_tokens))


@torch.no_grad()
def test_it_starts_by_adding_nothing(attention):
    added = attention(torch.randn(2, 5, 24), torch.randn(2, 7, 8), *rotaries(5, 7))
    assert added.shape == (2, 5, 24)
    assert not added.any()


@torch.no_grad()
def test_all_zero_tokens_add_nothing_whatever_was_learned(attention):
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    video = torch.randn(2, 5, 24)
    assert attention(video, torch.randn(2, 7, 8), *rotaries(5, 7)).any()
    assert not attention(video, torch.zeros(2, 7, 8), *rotaries(5, 7)).any()


def test_no_projection_has_a_bias(attention):
    linear = {
        name: module for name, module in attention.named_modules() if isinstance(module, torch.nn.Linear)
    }
    assert linear.keys() == {"query", "key", "value", "out"}
    assert all(module.bias is None for module in linear.values())


def test_time_rotation_knows_only_differences_in_time():
    query, key = torch.randn(1, 1, 2, 8), torch.randn(1, 1, 2, 8)

    def product(query_time: float, key_time: float) -> torch.Tensor:
        turned = (
            rotate(heads, time_rotary(torch.tensor([time]), 8))
            for heads, time in ((query, query_time), (key, key_time))
        )
        return torch.mul(*turned).sum(-1)

    torch.testing.assert_close(product(2.5, 1.0), product(42.5, 41.0))
    assert not torch.allclose(product(2.5, 1.0), product(2.5, 9.0), atol=1e-3)
    torch.testing.assert_close(product(3.0, 3.0), (query * key).sum(-1))


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="inner_dim 10 is not a multiple of num_heads 4"):
        MotionAttention(dim=24, motion_dim=8, inner_dim=10, num_heads=4)


def test_an_untrained_layer_looks_at_its_own_time():
    torch.manual_seed(0)
    attention = MotionAttention(dim=64, motion_dim=64, inner_dim=64, num_heads=2)
    frames = torch.arange(17.0)
    tokens = torch.randn(8, 17, 64)
    tokens[..., :17] = torch.eye(17)
    # the first head's answer is then how much of each frame it heard
    with torch.no_grad():
        attention.value.weight.copy_(torch.eye(64))
        attention.out.weight.copy_(torch.eye(64))
        heard = attention(torch.randn(8, 17, 64), tokens, time_rotary(frames, 32), time_rotary(frames, 32))
    heard = heard[..., :17].mean(dim=0)
    near = (frames[:, None] - frames).abs() <= 2
    assert ((heard * near).sum(dim=-1) > 0.6).all()
