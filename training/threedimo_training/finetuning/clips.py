"""A sample as a step needs it: driving frames as pixels, the target fitted, labels as tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from threedimo.camera import NUM_HINTS, camera_hints
from threedimo.errors import InvalidShard
from threedimo.media import fit_frames, normalise
from threedimo_training.embedded.cached_clips import LATER_START
from threedimo_training.finetuning.base import Clips
from threedimo_training.motion.skeleton import NUM_JOINTS
from threedimo_training.motion.smpl_labels import rotations_from_smpl
from threedimo_training.samples.sample import FilmedClip, Sample
from threedimo_training.shards.facts import SampleFacts

# 854x480 may be trained on as 832x480.
_SHAPE_TOLERANCE = 0.05


@dataclass(frozen=True)
class TrainingClip:
    """One sample, on the CPU.

    Attributes:
        driving: (3, frames, size, size) in [-1, 1].
        hand_crops: (frames, 2, 3, crop, crop) in [-1, 1].
        hand_visible: (frames, 2) bool.
        hints: (frames, NUM_HINTS), zeros if the camera is unknown.
        later_hints: The same for the clip without its first latent frame, (frames - 4, NUM_HINTS).
        hinted: Whether the camera is known.
        rotations: (frames, 54, 3, 3), identities if the pose is unknown.
        posed: Whether the pose is known.
        text: The target's camera in words.
        target: (3, frames, height, width) in [-1, 1], None where latents are cached.
        latents: (channels, latent_frames, height, width), None where they are not cached.
    """

    driving: Tensor
    hand_crops: Tensor
    hand_visible: Tensor
    hints: Tensor
    later_hints: Tensor
    hinted: bool
    rotations: Tensor
    posed: bool
    text: str
    target: Tensor | None = None
    latents: Tensor | None = None


@dataclass(frozen=True)
class ClipFormat:
    """How samples become clips: the target's size, and what the motion encoder reads."""

    clips: Clips
    frame_size: int
    hand_crop_size: int

    def prepared(self, sample: Sample) -> TrainingClip:
        """Cut a sample to the first frames, fit its pictures, and turn labels to tensors."""
        frames = slice(0, self.clips.num_frames)
        driving = sample.driving.frames[frames]
        target = sample.target.frames[frames]
        crops, visible = self._hands(sample, frames)
        hints, later, hinted = self._hints(sample.target, frames)
        rotations, posed = _rotations(sample.driving, frames)
        fitted = fit_frames(driving, self.frame_size, self.frame_size)
        return TrainingClip(
            driving=torch.from_numpy(normalise(fitted)),
            hand_crops=torch.from_numpy(crops),
            hand_visible=torch.from_numpy(visible),
            hints=torch.from_numpy(hints),
            later_hints=torch.from_numpy(later),
            hinted=hinted,
            rotations=torch.from_numpy(rotations),
            posed=posed,
            text=sample.target.text,
            target=torch.from_numpy(self.target(target)) if len(target) else None,
        )

    def target(self, frames: np.ndarray) -> np.ndarray:
        """The target (3, frames, height, width) in [-1, 1] of (frames, h, w, 3) uint8."""
        kept = frames[: self.clips.num_frames]
        return normalise(fit_frames(kept, self.clips.width, self.clips.height))

    def check(self, facts: SampleFacts, where: str) -> None:
        """Refuse a sample that would have to be stretched in size or time.

        Raises:
            InvalidShard: It is too short, too small, of another rate, or its hands are of another size.
        """
        wanted, target = self.clips, facts.target
        size, shape = f"{target.width}x{target.height}", f"{wanted.width}x{wanted.height}"
        stretched = target.width * wanted.height / (target.height * wanted.width) - 1
        rules = (
            (facts.num_frames >= wanted.num_frames, "has too few frames", facts.num_frames,
             f"at least {wanted.num_frames}", "render longer clips, or lower --frames"),
            (math.isclose(facts.fps, wanted.fps, rel_tol=1e-3), "has another frame rate than the model",
             f"{facts.fps:g} fps", f"{wanted.fps:g} fps", "render or ingest with that --fps"),
            (target.width >= wanted.width and target.height >= wanted.height,
             "is smaller than the training's pictures", size, f"at least {shape}",
             "render larger clips, or lower --size"),
            (abs(stretched) < _SHAPE_TOLERANCE, "has pictures of another shape than the training's", size,
             f"width to height as in {shape}", "choose a --size of the data's shape"),
            (facts.hand_crop_size in (None, self.hand_crop_size),
             "has hand crops of another size than the motion encoder reads", facts.hand_crop_size,
             str(self.hand_crop_size), "choose a base that reads them"),
        )  # fmt: skip
        for holds, problem, given, allowed, remedy in rules:
            if not holds:
                raise InvalidShard(
                    f"sample {facts.sample_id} of {where} {problem}",
                    given=given,
                    allowed=allowed,
                    remedy=remedy,
                )

    def _hands(self, sample: Sample, frames: slice) -> tuple[np.ndarray, np.ndarray]:
        size, boxes = self.hand_crop_size, sample.driving.hand_boxes
        if sample.hand_crops is None or boxes is None:
            shape = (self.clips.num_frames, 2)
            return np.zeros((*shape, 3, size, size), np.float32), np.zeros(shape, bool)
        crops = sample.hand_crops[frames].astype(np.float32) / 127.5 - 1
        return np.ascontiguousarray(np.moveaxis(crops, -1, 2)), ~np.isnan(boxes[frames, :, 0])

    def _hints(self, target: FilmedClip, frames: slice) -> tuple[np.ndarray, np.ndarray, bool]:
        count = self.clips.num_frames
        if target.path is None:
            nothing = np.zeros((count, NUM_HINTS), np.float32)
            return nothing, nothing[LATER_START:], False
        path = target.path.for_size(self.clips.width, self.clips.height)
        whole, later = (
            replace(
                path,
                world_from_camera=path.world_from_camera[start:count],
                intrinsics=path.intrinsics[start:count],
            )
            for start in (frames.start, LATER_START)
        )
        return camera_hints(whole), camera_hints(later), True


def _rotations(driving: FilmedClip, frames: slice) -> tuple[np.ndarray, bool]:
    if driving.smpl_pose is None or driving.mano_pose is None:
        return np.broadcast_to(np.eye(3, dtype=np.float32), (frames.stop, NUM_JOINTS, 3, 3)).copy(), False
    found = rotations_from_smpl(driving.smpl_pose[frames], driving.mano_pose[frames])
    return found.astype(np.float32), True
