"""Rendered clips on disk: blocks of a fixed number of samples, each one safetensors file, written atomically.

A block is named by its index and made from that index alone, so that any process can make any block, in any
order, and a killed run resumes by making the blocks that are missing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from threedimo.camera import CameraPath, camera_hints
from threedimo.errors import EmptyMedia
from threedimo_training.clips import Clip, sample_clip
from threedimo_training.recipe import EmbeddedRecipe

BLOCK_CLIPS = 64
ROLES = ("same_view", "cross_view", "moving_camera")
TRAINING_SEED = 0
LATER_START = 4


def block_file(folder: Path, index: int) -> Path:
    """Where block `index` is kept."""
    return folder / f"clips-{index:05d}.safetensors"


def write_block(folder: Path, index: int, recipe: EmbeddedRecipe) -> Path:
    """Render a block, unless it is there already."""
    file = block_file(folder, index)
    if file.exists():
        return file
    rng = np.random.default_rng([recipe.seed, TRAINING_SEED, index])
    clips = [
        sample_clip(
            rng, size=recipe.size, num_frames=recipe.num_frames, fps=recipe.fps, role=ROLES[number % 3]
        )
        for number in range(BLOCK_CLIPS)
    ]
    arrays = {name: np.stack(values) for name, values in _columns(clips).items()}
    facts = {
        "texts": json.dumps([clip.text for clip in clips]),
        "roles": json.dumps([clip.role for clip in clips]),
    }
    partial = file.with_suffix(".partial")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial, metadata=facts)
    partial.replace(file)
    return file


def _columns(clips: list[Clip]) -> dict[str, list[np.ndarray]]:
    return {
        "driving": [clip.driving_frames for clip in clips],
        "target": [clip.target_frames for clip in clips],
        "silhouette": [clip.target_silhouette for clip in clips],
        "hand_crops": [clip.hand_crops for clip in clips],
        "hand_visible": [clip.hand_visible for clip in clips],
        "hints": [clip.hints for clip in clips],
        "later_hints": [_later_hints(clip.path) for clip in clips],
        "rotations": [clip.rotations.astype(np.float32) for clip in clips],
        "body_joints": [clip.body_joints.astype(np.float32) for clip in clips],
        "camera_joints": [clip.driving_camera_joints.astype(np.float32) for clip in clips],
    }


def _later_hints(path: CameraPath) -> np.ndarray:
    """Hints of the stretch after the first latent frame, as a later window of a long clip sees them."""
    stretch = replace(
        path, world_from_camera=path.world_from_camera[LATER_START:], intrinsics=path.intrinsics[LATER_START:]
    )
    return camera_hints(stretch)


class ClipFolder:
    """The blocks that are on disk now; reads only the samples that are asked for.

    Raises:
        EmptyMedia: No block is there yet.
    """

    def __init__(self, folder: Path):
        self.files = sorted(folder.glob("clips-*.safetensors"))
        if not self.files:
            raise EmptyMedia(
                "no rendered clips",
                given=folder,
                remedy="run `threedimo-train clips` with this work folder first",
            )
        self._open = [safe_open(file, framework="pt") for file in self.files]
        self._texts = [json.loads(stored.metadata()["texts"]) for stored in self._open]
        self._roles = [json.loads(stored.metadata()["roles"]) for stored in self._open]

    def __len__(self) -> int:
        """Samples in all blocks."""
        return len(self.files) * BLOCK_CLIPS

    def text(self, index: int) -> str:
        """Text of the target's camera."""
        return self._texts[index // BLOCK_CLIPS][index % BLOCK_CLIPS]

    def role(self, index: int) -> str:
        """One of `ROLES`."""
        return self._roles[index // BLOCK_CLIPS][index % BLOCK_CLIPS]

    def read(self, name: str, indices: list[int], frames: slice = slice(None)) -> Tensor:
        """Stack one column of the samples at `indices`, optionally only some frames."""
        pieces = []
        for index in indices:
            column = self._open[index // BLOCK_CLIPS].get_slice(name)
            pieces.append(column[index % BLOCK_CLIPS][frames])
        return torch.stack(pieces)


def video_tensor(frames: Tensor) -> Tensor:
    """(batch, frames, height, width, 3) uint8 to (batch, 3, frames, height, width) float in [-1, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)
