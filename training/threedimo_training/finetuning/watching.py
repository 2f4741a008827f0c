"""Held-out clips, always the same: does the generator listen to the motion, and what does it make?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from threedimo.denoising import denoise
from threedimo.guidance import Branch, Conditions
from threedimo.latents import decode_frames
from threedimo.media import denormalise, fit_frames
from threedimo.models import MotionWanTransformer3DModel
from threedimo_training.finetuning.batches import clean_driving
from threedimo_training.finetuning.caches import TextCache
from threedimo_training.finetuning.clips import TrainingClip
from threedimo_training.finetuning.generator import Driving
from threedimo_training.method.flow_matching import FlowBatch, flow_loss, noise_latents
from threedimo_training.trainer.loop import fast_precision

METER_LEVEL = 0.8
"""Noise under which little but the motion tells the pose."""
MIN_CLIPS = 2


class HeldOut:
    """Measures and pictures of a few clips; every process computes all of them, as sharded models need it.

    Args:
        clips: At least `MIN_CLIPS`, with targets.
        texts: Embeddings of their texts.
        encode: Targets to latents.
        vae: Decodes what was generated.
        scheduler: Of the denoising.
        transformer: Whose sizes count; what is run is handed in with each call.
        device: Where to compute.
    """

    def __init__(
        self,
        clips: list[TrainingClip],
        texts: TextCache,
        encode: Callable[[Tensor], Tensor],
        vae: AutoencoderKLWan,
        scheduler: FlowMatchEulerDiscreteScheduler,
        transformer: MotionWanTransformer3DModel,
        device: torch.device,
    ):
        self._vae, self._scheduler, self._device = vae, scheduler, device
        self._transformer, self._clips = transformer, clips
        targets = [clip.target for clip in clips if clip.target is not None]
        self._targets = [target.numpy() for target in targets]
        self._latents = [encode(target[None]).float().to(device) for target in targets]
        self._texts = texts.read([clip.text for clip in clips]).to(device)

    @torch.no_grad()
    def meter(self, model: nn.Module) -> dict[str, Tensor]:
        """`held_out_loss` with the right motion, and `motion_sensitivity`: how much worse another clip's is.

        At zero, the generator ignores the motion.
        """
        right, wrong = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        for number, clip in enumerate(self._clips):
            other = self._clips[(number + 1) % len(self._clips)]
            flow = self._noised(number)
            text = self._texts[number : number + 1]
            own = clean_driving(clip, self._device)
            frames = clean_driving(other, self._device).frames
            for sum_, driving in ((right, own), (wrong, _replaced(own, frames))):
                sum_ += flow_loss(model(flow, text, driving)[0], flow).mean()
        return {"held_out_loss": right / len(self._clips), "motion_sensitivity": wrong / right - 1}

    def grid(self, model: nn.Module, num_steps: int) -> Tensor:
        """One row a clip: reference, driving, target and generated at the middle frame, without guidance.

        Returns:
            (rows * height, 4 * width, 3) uint8 RGB.
        """
        return torch.cat([self._row(model, number, num_steps) for number in range(len(self._clips))])

    @torch.no_grad()
    def _row(self, model: nn.Module, number: int, num_steps: int) -> Tensor:
        clip, target = self._clips[number], denormalise(self._targets[number])
        height, width = target.shape[1:3]
        middle = len(target) // 2
        driving = denormalise(clip.driving[:, middle : middle + 1].numpy())
        latents = self._latents[number]
        noise = self._noise(number, latents)[:, :, 1:]
        text = self._texts[number : number + 1]
        nothing = torch.zeros(1, 1, 1, 1, device=self._device)
        branch = Branch("full", 1.0, Conditions(text, nothing, nothing))
        asked: Any = _Asked(model, self._transformer, clean_driving(clip, self._device))
        *_, last = denoise(asked, self._scheduler, latents[:, :, :1], noise, [branch], num_steps)
        frames = torch.cat([torch.from_numpy(part) for part in decode_frames(self._vae, last.latents)])
        pictures = (target[0], fit_frames(driving, width, height)[0], target[middle])
        return torch.cat([*(torch.from_numpy(picture) for picture in pictures), frames[middle]], dim=1)

    def _noised(self, number: int) -> FlowBatch:
        latents = self._latents[number]
        levels = torch.full((1,), METER_LEVEL, device=self._device)
        return noise_latents(latents, 1, levels, self._noise(number, latents))

    def _noise(self, number: int, latents: Tensor) -> Tensor:
        drawn = torch.randn(latents.shape, generator=torch.Generator().manual_seed(number))
        return drawn.to(self._device)


def _replaced(driving: Driving, frames: Tensor) -> Driving:
    return Driving(**{**vars(driving), "frames": frames})


class _Asked:
    """A generator as `denoise` asks it, answered by the one forward that processes share."""

    dtype = torch.float32

    def __init__(self, model: nn.Module, transformer: MotionWanTransformer3DModel, driving: Driving):
        self._model, self._driving, self.config = model, driving, transformer.config

    @contextmanager
    def cache_context(self, name: str) -> Iterator[None]:
        """No step cache in training."""
        del name
        yield

    def __call__(self, latents: Tensor, timesteps: Tensor, text: Tensor, **tokens: object) -> tuple[Tensor]:
        del tokens  # they are made of the driving frames by the model itself
        flow = FlowBatch(latents, latents, timesteps, 1)
        with fast_precision(latents.device):
            return (self._model(flow, text, self._driving)[0],)
