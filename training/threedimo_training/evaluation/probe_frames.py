"""What the probe learns from: single frames of true renders, kept on disk in blocks.

A block is made from its number alone, so that a killed training finds or remakes exactly the same frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from threedimo.errors import InvalidRequest, InvalidShard
from threedimo.media import fit_frames
from threedimo_training.evaluation.body_parts import body_parts
from threedimo_training.evaluation.pose_angles import picture_places, view_joints
from threedimo_training.evaluation.probe import FRAME_SIZE
from threedimo_training.samples.sample import FilmedClip, Sample
from threedimo_training.shards.durable import write_file
from threedimo_training.shards.reader import ShardFolder

BLOCK_SAMPLES = 32
FRAMES_PER_CLIP = 8
_FIELDS = ("driving_frames", "target_frames", "paths", "joints_world", "silhouettes")

SampleSource = Callable[[int], Sample]
"""Gives the sample of a number, the same one every time."""


@dataclass(frozen=True, eq=False)
class ProbeFrames:
    """N frames and what is true of them.

    Attributes:
        frames: (N, 64, 64, 3) uint8 RGB.
        parts: (N, 64, 64) uint8 part numbers (see `body_parts`).
        joints: (N, 24, 3) float32 metres from the pelvis, in view axes.
        places: (N, 24, 2) float32 where the joints are in the picture, right and down, as shares of its size.
    """

    frames: np.ndarray
    parts: np.ndarray
    joints: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def shard_samples(folder: Path) -> SampleSource:
    """Samples of a folder of shards, from the start again after the last; held-out ones are left out.

    Raises:
        InvalidShard: The folder is damaged, or holds nothing to train on.
    """
    shards = ShardFolder(folder, fields=_FIELDS)
    numbers = [number for number in range(len(shards)) if not shards.facts(number).held_out]
    if not numbers:
        raise InvalidShard("the folder holds no sample for training", given=folder)
    return lambda index: shards[numbers[index % len(numbers)]]


def probe_frames(clip: FilmedClip) -> ProbeFrames:
    """Eight moments of a clip, evenly spread (all of a shorter one).

    Raises:
        InvalidRequest: Camera, joints or silhouette of the clip are not known.
    """
    if clip.path is None or clip.joints_world is None or clip.silhouette is None:
        raise InvalidRequest(
            "the probe learns only where camera, joints and silhouette are known",
            given=f"footage of {clip.person_id}",
            remedy="train it on rendered samples",
        )
    num_frames = len(clip.frames)
    moments = np.unique(np.linspace(0, num_frames - 1, FRAMES_PER_CLIP).round().astype(int))
    path = clip.path.resampled(num_frames, clip.path.fps).for_size(FRAME_SIZE, FRAME_SIZE)
    masks = np.repeat(clip.silhouette[moments, ..., None].astype(np.uint8) * 255, 3, axis=-1)
    silhouette = fit_frames(masks, FRAME_SIZE, FRAME_SIZE)[..., 0] > 127
    path = replace(
        path, world_from_camera=path.world_from_camera[moments], intrinsics=path.intrinsics[moments]
    )
    joints_world = clip.joints_world[moments]
    return ProbeFrames(
        frames=fit_frames(clip.frames[moments], FRAME_SIZE, FRAME_SIZE),
        parts=body_parts(path, joints_world, silhouette),
        joints=view_joints(path, joints_world).astype(np.float32),
        places=picture_places(path, joints_world).astype(np.float32),
    )


class FrameBlocks:
    """Blocks of frames in a folder, made when they are first asked for.

    Args:
        folder: Where blocks are kept; made where it is missing.
        source: Gives the samples.
    """

    def __init__(self, folder: Path, source: SampleSource):
        self.folder, self._source = folder, source
        self._opened: dict[int, ProbeFrames] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def block(self, index: int) -> ProbeFrames:
        """Frames of one block, read or made.

        Raises:
            InvalidShard: Its file is damaged.
            NoSpace: The disk is full.
            UnwritableFolder: The folder may not be written.
        """
        if index not in self._opened:
            file = self.folder / f"block-{index:05d}.safetensors"
            if not file.exists():
                write_file(file, save(_columns(self._make(index))))
            self._opened[index] = _read(file)
        return self._opened[index]

    def batch(self, rng: np.random.Generator, num_blocks: int, size: int) -> ProbeFrames:
        """Frames drawn with replacement from the first `num_blocks` blocks."""
        pieces = []
        for index, count in enumerate(rng.multinomial(size, [1 / num_blocks] * num_blocks)):
            if count:
                block = self.block(index)
                chosen = rng.integers(len(block), size=count)
                pieces.append(ProbeFrames(*(values[chosen] for values in _columns(block).values())))
        return _joined(pieces)

    def _make(self, index: int) -> ProbeFrames:
        pieces = []
        for number in range(BLOCK_SAMPLES * index, BLOCK_SAMPLES * (index + 1)):
            sample = self._source(number)
            pieces += [probe_frames(sample.driving), probe_frames(sample.target)]
        return _joined(pieces)


def _columns(frames: ProbeFrames) -> dict[str, np.ndarray]:
    return {field.name: getattr(frames, field.name) for field in fields(ProbeFrames)}


def _joined(pieces: list[ProbeFrames]) -> ProbeFrames:
    columns = zip(*(_columns(piece).values() for piece in pieces), strict=True)
    return ProbeFrames(*(np.concatenate(column) for column in columns))


def _read(file: Path) -> ProbeFrames:
    try:
        with safe_open(file, framework="np") as stored:
            return ProbeFrames(*(stored.get_tensor(field.name) for field in fields(ProbeFrames)))
    except (OSError, SafetensorError) as error:
        raise InvalidShard(
            f"a block of the probe's frames is damaged: {error}",
            given=file,
            remedy="delete the file; it is made again",
        ) from error
