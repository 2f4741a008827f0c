"""What all variants begin from: clips, autoencoder, warm-up, latents of an embedded training; only read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from threedimo.errors import InvalidRequest, TrainingError
from threedimo.models import MotionEncoder
from threedimo_training.embedded.autoencoder_stage import AutoencoderStage, set_statistics
from threedimo_training.embedded.cached_clips import CPU, CachedClips
from threedimo_training.embedded.latent_files import LatentFolder
from threedimo_training.embedded.recipe import EmbeddedRecipe
from threedimo_training.embedded.training import begun_recipe
from threedimo_training.embedded.warm_up_stage import WarmUpStage
from threedimo_training.method.geometry_head import GeometryHead
from threedimo_training.trainer.loop import state_file
from threedimo_training.trainer.state import load_state


@dataclass(frozen=True, eq=False)
class Ground:
    """What all variants begin from.

    Attributes:
        recipe: Of the embedded model, but with the ablations' steps and seed, and from nothing.
        begun: The recipe that the work folder was begun with.
        work: Where it comes from.
        clips: To train on.
        latents: Of their targets.
        encoder: The warmed-up motion encoder; variants copy it, and
        geometry: the head that learned to read its tokens.
    """

    recipe: EmbeddedRecipe
    begun: EmbeddedRecipe
    work: Path
    clips: CachedClips
    latents: LatentFolder
    encoder: MotionEncoder
    geometry: GeometryHead

    def encoder_hash(self) -> str:
        """Names the warmed-up weights."""
        digest = hashlib.blake2b(digest_size=8)
        for value in self.encoder.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()

    def autoencoder(self) -> AutoencoderKLWan:
        """The autoencoder that made the latents, with their statistics, on the device of the clips."""
        stage = AutoencoderStage(self.recipe, self.clips)
        load_state(state_file(self.work, stage.name), stage.modules)
        autoencoder = stage.autoencoder.eval().requires_grad_(False)
        torch.nn.Module.to(autoencoder, self.clips.device)
        set_statistics(autoencoder, self.begun, self.clips)
        return autoencoder


def open_ground(work: Path, steps: int, seed: int, device: torch.device = CPU) -> Ground:
    """Read a work folder of `threedimo-train embedded` that has come as far as its generator.

    Args:
        work: The folder.
        steps: Of every variant, from 1.
        seed: Of every variant's first weights and of the held-out clips, from 0.
        device: Where to train.

    Raises:
        InvalidRequest: Steps or seed are out of range.
        TrainingError: The folder is not there or has not come so far.
        TrainingMismatch: What is in it does not belong together.
    """
    if steps < 1 or seed < 0:
        raise InvalidRequest(
            "steps or seed out of range", given=f"{steps} and {seed}", allowed="from 1 step, from seed 0"
        )
    begun = begun_recipe(work)
    missing = [
        name
        for name, there in (
            ("recipe.json", begun is not None),
            ("clips", any((work / "clips").glob("shard-*.safetensors"))),
            ("autoencoder", state_file(work, "autoencoder").exists()),
            ("warm_up", state_file(work, "warm_up").exists()),
            ("latents", any((work / "latents").glob("latents-*.safetensors"))),
        )
        if not there
    ]
    if begun is None or missing:
        raise _not_ready(work, f"no {', no '.join(missing)}")
    recipe = replace(begun, generator_steps=steps, seed=seed, start=None, new_generator=False)
    clips = CachedClips(work / "clips", device, resident=device.type == "cuda")
    latents = LatentFolder(work / "latents", device)
    if len(latents) != len(clips):
        raise _not_ready(work, f"latents of {len(latents)} of {len(clips)} clips")
    warm_up = WarmUpStage(recipe, clips)
    step, _ = load_state(state_file(work, warm_up.name), warm_up.modules)
    if step < recipe.warm_up_steps:
        raise _not_ready(work, f"{step} of {recipe.warm_up_steps} steps of the warm-up")
    return Ground(recipe, begun, work, clips, latents, warm_up.encoder, warm_up.heads.geometry)


def _not_ready(work: Path, what: str) -> TrainingError:
    return TrainingError(
        "the ablations begin where an embedded training begins its generator, and this one is not there yet",
        given=f"{work}: {what}",
        remedy="let `threedimo-train embedded` go on until it trains its generator",
    )
