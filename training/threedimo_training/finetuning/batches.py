"""A process's share of a step: which clips, and everything random about each from a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from threedimo_training.finetuning.clips import TrainingClip
from threedimo_training.finetuning.generator import Driving
from threedimo_training.finetuning.sources import ClipSource
from threedimo_training.method.augment import jitter_colours, warp_perspective
from threedimo_training.method.excerpts import Excerpt
from threedimo_training.method.flow_matching import FlowBatch, noise_latents, random_levels
from threedimo_training.method.schedule import (
    HINTS_DROPOUT,
    MOTION_DROPOUT,
    TEXT_DROPOUT,
    dropped,
    mixture,
)
from threedimo_training.samples.sample import Role

HANDS_DROPOUT = 0.5
"""Real footage often comes without located hands: half of the clips learn to do without."""


@dataclass(frozen=True)
class Place:
    """Sample `number` of the step's whole batch."""

    step: int
    number: int
    role: Role


@dataclass(frozen=True)
class Batch:
    """Inputs of the generator, and labels; on the device."""

    flow: FlowBatch
    texts: list[str]
    driving: Driving
    rotations: Tensor
    posed: Tensor


@dataclass(frozen=True)
class Share:
    """Which process this is, and how a step's batch is dealt out.

    Attributes:
        process: Of this one.
        processes: That share a batch.
        portions: In which each computes its share.
        batch: Samples of a step, over all processes.
        num_steps: Of the training.
    """

    process: int
    processes: int
    portions: int
    batch: int
    num_steps: int

    def places(self, step: int, portion: int) -> list[Place]:
        """This process's samples of one portion."""
        roles = mixture(step / self.num_steps, self.batch)
        count = self.batch // (self.processes * self.portions)
        first = (portion * self.processes + self.process) * count
        return [Place(step, number, roles[number]) for number in range(first, first + count)]


class ClipsAhead:
    """Draws the clips of the next portion in threads while the device is busy with this one.

    Args:
        source: Of the clips.
        share: Of this process.
        seed: Of the training.
        threads: That draw.
    """

    def __init__(self, source: ClipSource, share: Share, seed: int, threads: int):
        self._source, self._share, self._seed = source, share, seed
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="clips")
        self._waiting: dict[tuple[int, int], list[Future[TrainingClip]]] = {}

    def clips(self, step: int, portion: int) -> list[TrainingClip]:
        """The clips of a portion, in order; an error of drawing one is raised here."""
        after = divmod(step * self._share.portions + portion + 1, self._share.portions)
        for key in ((step, portion), after):
            if key not in self._waiting and key[0] < self._share.num_steps:
                places = self._share.places(*key)
                self._waiting[key] = [self._threads.submit(self._draw, place) for place in places]
        return [future.result() for future in self._waiting.pop((step, portion))]

    def _draw(self, place: Place) -> TrainingClip:
        return self._source.clip(place.role, np.random.default_rng([self._seed, place.step, place.number]))


def sample_generator(seed: int, place: Place) -> torch.Generator:
    """Random numbers of one sample's augmentation, noise and dropouts."""
    (state,) = np.random.SeedSequence([seed, place.step, place.number, 1]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) >> 1)


def make_batch(
    clips: list[TrainingClip],
    generators: list[torch.Generator],
    excerpt: Excerpt,
    encode: Callable[[Tensor], Tensor],
    device: torch.device,
) -> Batch:
    """Augment, noise and drop conditions, each sample by its own random numbers.

    Args:
        clips: The samples.
        generators: One for each.
        excerpt: What of them is trained on.
        encode: Targets (1, 3, frames, height, width) to latents, where they are not cached.
        device: Where to.
    """
    frames = excerpt.video_frames
    pairs = list(zip(clips, generators, strict=True))
    texts = ["" if not _kept(TEXT_DROPOUT, own) else clip.text for clip, own in pairs]
    whole = [encode(_target(clip))[0] if clip.latents is None else clip.latents for clip in clips]
    latents = torch.stack([each.float() for each in whole])[:, :, excerpt.latent_frames]
    levels = torch.cat([random_levels(1, own) for own in generators])
    noise = torch.stack([torch.randn(latents.shape[1:], generator=own) for own in generators])
    augmented = [
        jitter_colours(warp_perspective(clip.driving[None, :, frames], own), own) for clip, own in pairs
    ]
    hands = [clip.hand_visible[frames] & _kept(HANDS_DROPOUT, own) for clip, own in pairs]
    hints = [clip.later_hints if excerpt.begins_later else clip.hints for clip in clips]
    driving = Driving(
        frames=torch.cat(augmented).to(device),
        hand_crops=torch.stack([clip.hand_crops[frames] for clip in clips]).to(device),
        hand_visible=torch.stack(hands).to(device),
        heard=_flags([_kept(MOTION_DROPOUT, own) for own in generators], device),
        hints=torch.stack(hints).to(device),
        hinted=_flags([_kept(HINTS_DROPOUT, own) and clip.hinted for clip, own in pairs], device),
    )
    return Batch(
        flow=noise_latents(latents.to(device), excerpt.num_lead, levels.to(device), noise.to(device)),
        texts=texts,
        driving=driving,
        rotations=torch.stack([clip.rotations[frames] for clip in clips]).to(device),
        posed=_flags([clip.posed for clip in clips], device),
    )


def clean_driving(clip: TrainingClip, device: torch.device) -> Driving:
    """One clip's motion and camera as they are, without hands, as the pipeline gets them."""
    return Driving(
        frames=clip.driving[None].to(device),
        hand_crops=clip.hand_crops[None].to(device),
        hand_visible=torch.zeros_like(clip.hand_visible)[None].to(device),
        heard=torch.ones(1, device=device),
        hints=clip.hints[None].to(device),
        hinted=_flags([clip.hinted], device),
    )


def _kept(share: float, generator: torch.Generator) -> bool:
    return bool(dropped(torch.ones(1), share, generator))


def _flags(values: list[bool], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def _target(clip: TrainingClip) -> Tensor:
    assert clip.target is not None, "a clip has latents or a target"
    return clip.target[None]
