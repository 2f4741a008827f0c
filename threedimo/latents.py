"""Pixels to latents and back through the Wan video autoencoder, with its latents scaled to unit variance.

Decoding hands out frames as they come, one latent frame at a time, exactly as the autoencoder's own `decode`
computes them: memory does not grow with the length of the clip, and a caller can stop in between.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, unpatchify
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor

from threedimo.media import denormalise


def encode_video(vae: AutoencoderKLWan, video: Tensor) -> Tensor:
    """Encode video (batch, 3, frames, height, width) in [-1, 1], `4k+1` frames.

    Returns:
        Scaled latents (batch, channels, k + 1, latent_height, latent_width), float32: the mode of the
        posterior, so that the same video always gives the same latents.
    """
    (posterior,) = vae.encode(video.to(vae.dtype), return_dict=False)
    latents = posterior.mode().float()
    mean, std = _statistics(vae, latents.device)
    return (latents - mean) / std


def decode_frames(vae: AutoencoderKLWan, latents: Tensor) -> Iterator[np.ndarray]:
    """Decode the scaled latents (1, channels, latent_frames, latent_height, latent_width) of one clip.

    Yields:
        uint8 RGB frames (frames, height, width, 3) of each latent frame in turn: one, then four at a time.

    Raises:
        MediaError: The latents hold values that are not finite.
    """
    mean, std = _statistics(vae, latents.device)
    pieces = (latents.float() * std + mean).to(vae.dtype).split(1, dim=2)
    _begin_decoding(vae)
    try:
        for index, piece in enumerate(pieces):
            vae._conv_idx = [0]
            frames = vae.decoder(
                vae.post_quant_conv(piece),
                feat_cache=vae._feat_map,
                feat_idx=vae._conv_idx,
                first_chunk=index == 0,
            )
            if vae.config["patch_size"] is not None:
                frames = unpatchify(frames, vae.config["patch_size"])
            yield denormalise(frames[0].float().cpu().numpy())
    finally:
        vae.clear_cache()


def decode_into(frames: np.ndarray, vae: AutoencoderKLWan, latents: Tensor) -> Iterator[int]:
    """Fill `frames` (frames, height, width, 3) as `decode_frames` makes them.

    Yields:
        How many latent frames are done, beginning with 0.
    """
    yield 0
    filled = 0
    for number, decoded in enumerate(decode_frames(vae, latents), start=1):
        frames[filled : filled + len(decoded)] = decoded
        filled += len(decoded)
        yield number


def decode_preview(vae: AutoencoderKLWan, latents: Tensor) -> np.ndarray:
    """Decode one latent frame (1, channels, 1, latent_height, latent_width) by itself.

    Out of its place in time it looks slightly different from the finished clip.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    return next(decode_frames(vae, latents))[0]


@apply_forward_hook
def _begin_decoding(vae: AutoencoderKLWan) -> None:
    """Empty the autoencoder's memory of past frames. The decorator brings an offloaded one to the device."""
    vae.clear_cache()


def _statistics(vae: AutoencoderKLWan, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (
        torch.tensor(vae.config[name], device=device).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    return mean, std
