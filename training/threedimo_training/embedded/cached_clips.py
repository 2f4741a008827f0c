"""Samples made ready for training: decoded once from shards into blocks of columns that are read in slices.

Shards are for keeping and passing on; a training touches each sample hundreds of times, often one frame of
it, and wants pixels and labels at once. Block k holds what shard k of the folder holds and is written
atomically.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from threedimo.camera import CameraPath, camera_hints
from threedimo.errors import EmptyMedia, InvalidShard
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS
from threedimo_training.motion.smpl_labels import rotations_from_smpl
from threedimo_training.samples.sample import Labels, Sample
from threedimo_training.shards.index import ShardEntry
from threedimo_training.shards.reader import ShardFolder

# A later window of a long clip begins after the first latent frame.
LATER_START = 4
CPU = torch.device("cpu")
Frames = slice | list[int]
EVERY = slice(None)


def cache_shards(folder: Path, shards: ShardFolder, done: Callable[[ShardEntry], bool]) -> bool:
    """Decode every shard that is not cached yet.

    Args:
        folder: Where the blocks go.
        shards: The samples; all of the same size and number of frames, with all labels.
        done: Told of each shard that is cached; says whether to go on.

    Returns:
        Whether all are cached.

    Raises:
        InvalidShard: A shard is damaged, or a sample lacks labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for entry in shards.entries:
        file = folder / f"{Path(entry.name).stem}.safetensors"
        if not file.exists():
            _write_block(file, [shards[number] for number in range(first, first + entry.samples)])
        first += entry.samples
        if not done(entry):
            return first == len(shards)
    return True


def _write_block(file: Path, samples: list[Sample]) -> None:
    columns = [_columns(sample) for sample in samples]
    arrays = {name: np.stack([column[name] for column in columns]) for name in columns[0]}
    facts = {
        "texts": json.dumps([sample.target.text for sample in samples]),
        "roles": json.dumps([sample.role for sample in samples]),
    }
    partial = file.with_suffix(".partial")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial, metadata=facts)
    partial.replace(file)


def _columns(sample: Sample) -> dict[str, np.ndarray]:
    driving, target = sample.driving.labels(), sample.target.labels()
    if sample.hand_crops is None:
        raise InvalidShard(
            "a sample has no hand crops", given=sample.sample_id, remedy="use rendered samples"
        )
    rotations = rotations_from_smpl(driving.smpl_pose, driving.mano_pose)
    joints = driving.joints_world[:, :NUM_BODY_JOINTS] - driving.joints_world[:, :1]
    return {
        "driving": sample.driving.frames,
        "target": sample.target.frames,
        "target_silhouette": target.silhouette,
        "hand_crops": sample.hand_crops,
        "hand_visible": ~np.isnan(driving.hand_boxes[..., 0]),
        "hints": camera_hints(target.path),
        "later_hints": camera_hints(_later(target.path)),
        "rotations": rotations.astype(np.float32),
        "body_joints": np.einsum("fji,fkj->fki", rotations[:, 0], joints).astype(np.float32),
        "camera_joints": np.einsum("fji,fkj->fki", driving.path.rotations, joints).astype(np.float32),
        "driving_silhouette": driving.silhouette,
        "driving_places": _picture_joints(driving),
        "target_places": _picture_joints(target),
    }


def _later(path: CameraPath) -> CameraPath:
    return replace(
        path, world_from_camera=path.world_from_camera[LATER_START:], intrinsics=path.intrinsics[LATER_START:]
    )


def _picture_joints(clip: Labels) -> np.ndarray:
    """(F, 24, 2) float32: where body joints are in the picture, 0 to 1 from its left and top edge."""
    relative = clip.joints_world[:, :NUM_BODY_JOINTS] - clip.path.positions[:, None]
    seen = np.einsum("fji,fkj->fki", clip.path.rotations, relative)
    pixels = np.einsum("fij,fkj->fki", clip.path.intrinsics, seen / np.maximum(seen[..., 2:], 0.05))
    return np.clip(pixels[..., :2] / [clip.path.width, clip.path.height], -2, 3).astype(np.float32)


class CachedClips:
    """The blocks that are cached now; reads only the samples and frames that are asked for.

    Args:
        folder: Holds the blocks.
        device: Where what is read goes.
        resident: Whether to hold everything on the device: a GPU would wait for files most of the time.

    Raises:
        EmptyMedia: No block is there yet.
    """

    def __init__(self, folder: Path, device: torch.device = CPU, *, resident: bool = False):
        self.device = device
        self.files = sorted(folder.glob("shard-*.safetensors"))
        if not self.files:
            raise EmptyMedia("no cached clips", given=folder, remedy="run `threedimo-train embedded` first")
        self._open = [safe_open(file, framework="pt") for file in self.files]
        texts = [json.loads(stored.metadata()["texts"]) for stored in self._open]
        self._texts = [text for block in texts for text in block]
        self._roles = [role for stored in self._open for role in json.loads(stored.metadata()["roles"])]
        self.sizes = [len(block) for block in texts]
        self._first = np.cumsum([0, *self.sizes])
        names = self._open[0].keys() if resident else []
        self._resident = {name: self._whole(name) for name in names}

    def _whole(self, name: str) -> Tensor:
        first = self._open[0].get_tensor(name)
        column = torch.empty((len(self), *first.shape[1:]), dtype=first.dtype, device=self.device)
        for number, stored in enumerate(self._open):
            column[self._first[number] : self._first[number + 1]] = stored.get_tensor(name).to(self.device)
        return column

    def __len__(self) -> int:
        """Samples in all blocks."""
        return len(self._texts)

    def text(self, index: int) -> str:
        """Text of the target's camera."""
        return self._texts[index]

    def role(self, index: int) -> str:
        """One of `samples.sample.ROLES`."""
        return self._roles[index]

    def block(self, number: int) -> list[int]:
        """The samples of one block."""
        return list(range(self._first[number], self._first[number + 1]))

    def read(self, name: str, indices: list[int], frames: Frames = EVERY) -> Tensor:
        """Stack one column of the samples at `indices`, optionally only some frames."""
        if name in self._resident:
            return self._resident[name][torch.tensor(indices, device=self.device)][:, frames]
        pieces = []
        for index in indices:
            number = int(np.searchsorted(self._first, index, side="right")) - 1
            column = self._open[number].get_slice(name)
            pieces.append(column[index - int(self._first[number])][frames])
        return torch.stack(pieces).to(self.device)

    def read_hands(self, indices: list[int], frames: Frames = EVERY) -> tuple[Tensor, Tensor]:
        """Hand crops (batch, frames, 2, 3, height, width) in [-1, 1], and which of them show a hand."""
        crops = self.read("hand_crops", indices, frames)
        return crops.movedim(-1, 3).float() / 127.5 - 1, self.read("hand_visible", indices, frames).bool()


def video_tensor(frames: Tensor) -> Tensor:
    """(batch, frames, height, width, 3) uint8 to (batch, 3, frames, height, width) float in [-1, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


def picked(count: int, size: int, generator: torch.Generator) -> list[int]:
    """`size` numbers below `count`, with repetition."""
    return torch.randint(count, (size,), generator=generator).tolist()
