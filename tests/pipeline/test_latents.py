from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from threedimo.errors import MediaError
from threedimo.latents import decode_frames, decode_preview, encode_video
from threedimo.media import denormalise


@pytest.fixture(scope="module")
def wan22_vae() -> AutoencoderKLWan:
    """The Wan2.2 layout at tiny size: residual blocks, 2x2 pixels as channels, 16x in space."""
    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=[0.0, 0.1, 0.2, 0.3],
        latents_std=[1.0, 2.0, 0.5, 1.0],
    ).eval()


@pytest.fixture(params=["wan21", "wan22"])
def vae(request, pipeline, wan22_vae) -> AutoencoderKLWan:
    return pipeline.vae if request.param == "wan21" else wan22_vae


@torch.no_grad()
def test_latents_are_the_posteriors_mode_scaled(vae):
    video = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    latents = encode_video(vae, video)
    side = 32 // vae.config.scale_factor_spatial
    assert latents.shape == (1, 4, 3, side, side)
    mean, std = (
        torch.tensor(vae.config[name]).view(1, 4, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    torch.testing.assert_close(latents * std + mean, vae.encode(video).latent_dist.mode())


@torch.no_grad()
def test_frames_that_come_one_by_one_are_those_of_decoding_at_once(vae):
    latents = torch.randn(1, 4, 4, 4, 6)
    pieces = list(decode_frames(vae, latents))
    assert [len(piece) for piece in pieces] == [1, 4, 4, 4]
    mean, std = (
        torch.tensor(vae.config[name]).view(1, 4, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    at_once = vae.decode(latents * std + mean).sample[0].numpy()
    assert np.array_equal(np.concatenate(pieces), denormalise(at_once))


@torch.no_grad()
def test_a_decoding_that_was_left_leaves_nothing_behind(vae):
    latents = torch.randn(1, 4, 3, 4, 4)
    whole = np.concatenate(list(decode_frames(vae, latents)))
    left = decode_frames(vae, latents)
    next(left)
    next(left)
    left.close()
    assert all(kept is None for kept in vae._feat_map)
    assert np.array_equal(np.concatenate(list(decode_frames(vae, latents))), whole)


@torch.no_grad()
def test_a_preview_is_one_frame(vae):
    latents = torch.randn(1, 4, 3, 4, 6)
    factor = vae.config.scale_factor_spatial
    preview = decode_preview(vae, latents[:, :, :1])
    assert preview.shape == (4 * factor, 6 * factor, 3)
    assert np.array_equal(preview, next(decode_frames(vae, latents))[0])


@torch.no_grad()
def test_latents_that_are_not_finite_are_an_error_and_not_a_black_clip(vae):
    with pytest.raises(MediaError, match="not finite"):
        list(decode_frames(vae, torch.full((1, 4, 2, 4, 4), torch.nan)))
