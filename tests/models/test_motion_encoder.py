from __future__ import annotations

import pytest
import torch

from threedimo.models import MotionEncoder

SIZES = {
    "frame_size": 16,
    "patch_size": 8,
    "hand_crop_size": 8,
    "hand_patch_size": 4,
    "hidden_dim": 16,
    "num_layers": 2,
    "num_hand_layers": 1,
    "num_heads": 2,
    "motion_dim": 12,
}


@pytest.fixture
def encoder() -> MotionEncoder:
    return MotionEncoder(**SIZES).eval()


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 5, 16, 16) * 2 - 1


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.rand(2, 5, 2, 3, 8, 8) * 2 - 1


@torch.no_grad()
def test_five_body_and_five_hand_tokens_leave_for_each_frame(encoder, frames):
    assert encoder.num_tokens == 10
    assert encoder(frames).shape == (2, 5, 10, 12)


@torch.no_grad()
def test_every_frame_is_encoded_by_itself(encoder, frames, crops):
    whole = encoder(frames, crops)
    torch.testing.assert_close(encoder(frames[:, :, 2:4], crops[:, 2:4]), whole[:, 2:4])
    torch.testing.assert_close(encoder(frames[1:], crops[1:]), whole[1:])


@torch.no_grad()
def test_hands_that_were_not_found_are_as_hands_that_cannot_be_seen(encoder, frames, crops):
    unseen = torch.zeros(2, 5, 2, dtype=torch.bool)
    assert torch.equal(encoder(frames), encoder(frames, crops, unseen))
    assert torch.equal(encoder(frames, crops), encoder(frames, crops, ~unseen))
    assert not torch.equal(encoder(frames), encoder(frames, crops))


@torch.no_grad()
def test_hands_change_only_the_hand_tokens(encoder, frames, crops):
    without, with_hands = encoder(frames), encoder(frames, crops)
    assert torch.equal(without[:, :, :5], with_hands[:, :, :5])
    assert not torch.isclose(without[:, :, 5:], with_hands[:, :, 5:]).all(-1).any()


@torch.no_grad()
def test_the_hand_encoder_can_be_left_out(frames):
    encoder = MotionEncoder(**SIZES, num_hand_tokens=0)
    assert encoder.hands is None
    assert encoder(frames).shape == (2, 5, 5, 12)


@torch.no_grad()
def test_save_and_load_change_nothing(encoder, frames, crops, tmp_path):
    encoder.save_pretrained(tmp_path)
    loaded = MotionEncoder.from_pretrained(tmp_path, use_safetensors=True, local_files_only=True)
    assert torch.equal(loaded(frames, crops), encoder(frames, crops))


def test_every_weight_learns(encoder, frames, crops):
    visible = torch.ones(2, 5, 2, dtype=torch.bool)
    visible[:, 0] = False
    encoder(frames, crops, visible).square().sum().backward()
    silent = {name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == {"body.missing_picture"}  # a driving frame is always there


def test_frames_of_another_size_are_refused_with_both_sizes(encoder):
    with pytest.raises(ValueError, match="24x16, the encoder reads squares of 16"):
        encoder(torch.zeros(1, 3, 5, 16, 24))


def test_a_size_that_patches_cannot_tile_is_refused():
    with pytest.raises(ValueError, match="picture_size 18 is not a multiple of patch_size 8"):
        MotionEncoder(**SIZES | {"frame_size": 18})
