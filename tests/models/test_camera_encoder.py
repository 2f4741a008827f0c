from __future__ import annotations

import torch

from threedimo.camera import NUM_HINTS
from threedimo.models import CameraEncoder


@torch.no_grad()
def test_one_token_for_each_frame_by_itself():
    encoder = CameraEncoder(hidden_dim=16, motion_dim=12)
    hints = torch.randn(2, 5, NUM_HINTS)
    tokens = encoder(hints)
    assert tokens.shape == (2, 5, 1, 12)
    torch.testing.assert_close(encoder(hints[:, 3:4]), tokens[:, 3:4])


@torch.no_grad()
def test_save_and_load_change_nothing(tmp_path):
    encoder = CameraEncoder(hidden_dim=16, motion_dim=12)
    encoder.save_pretrained(tmp_path)
    loaded = CameraEncoder.from_pretrained(tmp_path, use_safetensors=True, local_files_only=True)
    hints = torch.randn(1, 5, NUM_HINTS)
    assert torch.equal(loaded(hints), encoder(hints))
