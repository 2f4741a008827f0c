"""Samples for a training that draws them as it goes: many at once, filmed on the device and left there.

The processor stages the samples (people, motions, cameras), which threads or worker processes can do ahead;
the device films all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from threedimo.errors import InvalidRequest
from threedimo_training.renderers.torch_renderer import TorchRenderer
from threedimo_training.samples.hands import HAND_CROP_SIZE, close_ups, hand_boxes
from threedimo_training.samples.sample import FilmedClip
from threedimo_training.samples.staging import StagedClip, StagedSample


@dataclass(frozen=True, eq=False)
class SampleBatch:
    """B samples of F frames of S x S pixels; tensors are on the renderer's device.

    Attributes:
        driving_frames: (B, F, S, S, 3) uint8.
        target_frames: (B, F, S, S, 3) uint8.
        driving_silhouettes: (B, F, S, S) bool.
        target_silhouettes: (B, F, S, S) bool.
        hand_crops: (B, F, 2, C, C, 3) uint8, the driving hands; black where not seen.
        driving: Labels of each driving clip; with no frames and no silhouette.
        target: Labels of each target clip, likewise.
        roles: Of each sample.
    """

    driving_frames: Tensor
    target_frames: Tensor
    driving_silhouettes: Tensor
    target_silhouettes: Tensor
    hand_crops: Tensor
    driving: list[FilmedClip]
    target: list[FilmedClip]
    roles: list[str]


def film_batch(renderer: TorchRenderer, staged: Sequence[StagedSample]) -> SampleBatch:
    """Film samples of one size and length together.

    Args:
        renderer: Keeps everything on its device.
        staged: At least one; see `staging.stage_sample`.

    Raises:
        InvalidRequest: There are none, or they differ in size or number of frames.
    """
    clips = [sample.driving for sample in staged] + [sample.target for sample in staged]
    kinds = {(clip.path.num_frames, clip.path.height, clip.path.width) for clip in clips}
    if len(kinds) != 1:
        raise InvalidRequest(
            "the samples of a batch must have one size and length", given=sorted(kinds) or "no samples"
        )
    ((num_frames, height, width),) = kinds
    made = renderer.render_shots([clip.shot() for clip in clips], width, height)
    frames = made.frames.unflatten(0, (2, len(staged), num_frames))
    silhouettes = made.silhouettes.unflatten(0, (2, len(staged), num_frames))
    cover = made.hand_cover.cpu().numpy().reshape(len(clips), num_frames, 2)
    boxes = [hand_boxes(clip, share) for clip, share in zip(clips, cover, strict=True)]
    labels = [_labels(clip, box) for clip, box in zip(clips, boxes, strict=True)]
    return SampleBatch(
        driving_frames=frames[0],
        target_frames=frames[1],
        driving_silhouettes=silhouettes[0],
        target_silhouettes=silhouettes[1],
        hand_crops=_hand_crops(renderer, clips[: len(staged)], boxes[: len(staged)]),
        driving=labels[: len(staged)],
        target=labels[len(staged) :],
        roles=[sample.role for sample in staged],
    )


def _labels(clip: StagedClip, boxes: np.ndarray) -> FilmedClip:
    return clip.filmed(np.empty((0, clip.path.height, clip.path.width, 3), np.uint8), None, boxes)


def _hand_crops(renderer: TorchRenderer, clips: Sequence[StagedClip], boxes: list[np.ndarray]) -> Tensor:
    shape = (len(clips), len(boxes[0]), 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3)
    crops = torch.zeros(shape, dtype=torch.uint8, device=renderer.device)
    near = [
        (number, close_ups(clip, box)) for number, (clip, box) in enumerate(zip(clips, boxes, strict=True))
    ]
    seen = [(number, hands) for number, hands in near if hands is not None]
    if seen:
        shots = [hands.shot for _, hands in seen]
        made = renderer.render_shots(shots, HAND_CROP_SIZE, HAND_CROP_SIZE)
        number = np.concatenate([np.full(len(hands.frame), number) for number, hands in seen])
        frame = np.concatenate([hands.frame for _, hands in seen])
        hand = np.concatenate([hands.hand for _, hands in seen])
        places = (torch.as_tensor(index, device=renderer.device) for index in (number, frame, hand))
        crops[tuple(places)] = made.frames
    return crops
