"""First stage: the video autoencoder, pictures to latents and back."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from threedimo.model_info import model_folder
from threedimo_training.embedded.autoencoder import measure_latents, reconstruction_loss
from threedimo_training.embedded.cached_clips import EVERY, CachedClips, picked, video_tensor
from threedimo_training.embedded.framewise_convolution import framewise_convolutions
from threedimo_training.embedded.recipe import PERSON_WEIGHT, EmbeddedRecipe, make_autoencoder, seeded
from threedimo_training.trainer.stage import Stage


class AutoencoderStage(Stage):
    """Stage 1; single frames first, which teach most of it at little cost, then whole clips."""

    name, learning_rate = "autoencoder", 3e-3

    def __init__(self, recipe: EmbeddedRecipe, clips: CachedClips):
        seeded(recipe.seed)
        self.recipe, self.clips, self.num_steps = recipe, clips, recipe.autoencoder_steps
        self.device = clips.device
        self.autoencoder = make_autoencoder()
        self.modules = {"autoencoder": self.autoencoder}

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Reconstruct frames of targets and of driving clips in turn.

        People count more than rooms: their limbs are a pixel or two wide, and nobody looks at anything else.
        """
        if step < self.recipe.autoencoder_image_steps:
            batch, (start,) = self.recipe.autoencoder_images, picked(self.recipe.num_frames, 1, generator)
            frames = slice(start, start + 1)
        else:
            # Whole clips: trained on shorter ones, the decoder was seen to drift after their length.
            batch, frames = self.recipe.autoencoder_clips, EVERY
        indices = picked(len(self.clips), batch, generator)
        clip = "target" if step % 4 else "driving"
        video = video_tensor(self.clips.read(clip, indices, frames))
        weight = 1 + PERSON_WEIGHT * self.clips.read(f"{clip}_silhouette", indices, frames)[:, None].float()
        with framewise_convolutions(self.device):
            return reconstruction_loss(self.autoencoder, video, generator, weight / weight.mean())


def set_statistics(
    autoencoder: AutoencoderKLWan, recipe: EmbeddedRecipe, clips: CachedClips, count: int = 128
) -> None:
    """Store the latents' mean and deviation in the autoencoder's config.

    A generator knows its latents by them: who starts from a model keeps that model's. Else they are measured
    over `count` whole targets.

    Raises:
        ModelError: The model that was started from is not there any more.
    """
    if recipe.start is not None:
        config: Any = AutoencoderKLWan.load_config(model_folder(recipe.start) / "vae")
        known = {name: config[name] for name in ("latents_mean", "latents_std")}
        autoencoder.register_to_config(**known)
        return
    step = max(1, len(clips) // count)
    indices = range(0, len(clips), step)
    measure_latents(autoencoder, [video_tensor(clips.read("target", [index])) for index in indices])
