"""Cached latents of the targets: encoded once, because targets are never augmented.

Beside the latents stands how much of each latent place the person covers, so that the loss can look at people
more than at walls.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor

from threedimo.latents import encode_video
from threedimo_training.embedded.cached_clips import CPU, CachedClips, video_tensor
from threedimo_training.embedded.framewise_convolution import framewise_convolutions

ENCODING_BATCH = 8


def write_latents(folder: Path, clips: CachedClips, autoencoder: AutoencoderKLWan, block: int) -> None:
    """Encode the targets of one block of clips, unless that was done."""
    file = folder / clips.files[block].name.replace("shard", "latents")
    if file.exists():
        return
    latents, person = [], []
    mine = clips.block(block)
    for first in range(0, len(mine), ENCODING_BATCH):
        indices = mine[first : first + ENCODING_BATCH]
        with torch.no_grad(), framewise_convolutions(clips.device):
            encoded = encode_video(autoencoder, video_tensor(clips.read("target", indices)))
            latents.append(encoded.half().cpu())
        person.append(person_share(clips.read("target_silhouette", indices), latents[-1].shape[2:]).cpu())
    partial = file.with_suffix(".partial")
    save_file({"latents": torch.cat(latents).contiguous(), "person": torch.cat(person).half()}, partial)
    partial.replace(file)


def person_share(silhouette: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Share of each latent place that the person covers, (batch, latent_frames, height, width) in [0, 1].

    Args:
        silhouette: (batch, frames, height, width) bool, where the person covers the pixel.
        shape: Latent frames, height and width.
    """
    covered = silhouette.float()
    # The first latent frame holds one video frame, each later one four.
    num_frames, height, width = shape
    first = F.adaptive_avg_pool2d(covered[:, :1], (height, width))
    later = F.adaptive_avg_pool3d(covered[:, None, 1:], (num_frames - 1, height, width))[:, 0]
    return torch.cat([first, later], dim=1)


class LatentFolder:
    """All cached latents, in memory: a thousandth of the pictures' size."""

    def __init__(self, folder: Path, device: torch.device = CPU):
        blocks = [load_file(file) for file in sorted(folder.glob("latents-*.safetensors"))]
        self._columns = {
            name: torch.cat([block[name] for block in blocks]).to(device) for name in ("latents", "person")
        }

    def __len__(self) -> int:
        """Samples."""
        return len(self._columns["latents"])

    def read(self, name: str, indices: list[int]) -> Tensor:
        """Latents (batch, channels, latent_frames, height, width) or person shares without channels."""
        return self._columns[name][indices]
