"""Motion tokens of driving clips: encoded as they are, augmented for learning, or kept in files.

The paper encodes driving frames in every step, because its encoder learns in every step. While ours stays as
its warm-up left it, one augmented view of each clip is encoded once and kept: live, it took 0.87 s of a step
whose small generator takes 1.3 to 1.5 s.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from threedimo.models import MotionEncoder
from threedimo_training.embedded.cached_clips import CPU, EVERY, CachedClips, Frames, video_tensor
from threedimo_training.method.augment import jitter_colours, warp_perspective

ENCODING_BATCH = 8
HANDS_SHARE = 0.5
"""Of the clips; real footage often comes without located hands, and the others learn to do without."""


def plain_tokens(
    encoder: MotionEncoder, clips: CachedClips, indices: list[int], frames: Frames = EVERY
) -> Tensor:
    """Tokens (batch, frames, K, motion_dim) of the driving frames as they are, for measuring."""
    video = video_tensor(clips.read("driving", indices, frames))
    return encoder(video, *clips.read_hands(indices, frames))


def augmented_tokens(
    encoder: MotionEncoder,
    clips: CachedClips,
    indices: list[int],
    frames: Frames,
    generator: torch.Generator,
) -> Tensor:
    """The same for learning: frames are warped and recoloured, and some clips come without hands."""
    video = video_tensor(clips.read("driving", indices, frames))
    video = jitter_colours(warp_perspective(video, generator), generator)
    crops, visible = clips.read_hands(indices, frames)
    kept = torch.rand(len(indices), 1, 1, generator=generator) < HANDS_SHARE
    return encoder(video, crops, visible & kept.to(clips.device))


@torch.no_grad()
def write_motion_tokens(
    folder: Path, clips: CachedClips, encoder: MotionEncoder, block: int, seed: int
) -> None:
    """Encode an augmented view of each driving clip of one block, unless that was done."""
    file = folder / clips.files[block].name.replace("shard", "tokens")
    if file.exists():
        return
    generator = torch.Generator().manual_seed(seed * len(clips.files) + block)
    mine = clips.block(block)
    batches = [mine[first : first + ENCODING_BATCH] for first in range(0, len(mine), ENCODING_BATCH)]
    tokens = [augmented_tokens(encoder, clips, batch, EVERY, generator).half().cpu() for batch in batches]
    partial = file.with_suffix(".partial")
    save_file({"tokens": torch.cat(tokens).contiguous()}, partial)
    partial.replace(file)


class MotionTokenFolder:
    """All cached motion tokens, in memory: 45 kB a clip."""

    def __init__(self, folder: Path, device: torch.device = CPU):
        blocks = [load_file(file)["tokens"] for file in sorted(folder.glob("tokens-*.safetensors"))]
        self._tokens = torch.cat(blocks).to(device)

    def __len__(self) -> int:
        """Clips."""
        return len(self._tokens)

    def read(self, indices: list[int], frames: Frames) -> Tensor:
        """Tokens (batch, frames, K, motion_dim) of some frames of the clips at `indices`."""
        return self._tokens[indices][:, frames].float()
