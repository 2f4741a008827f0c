"""Training of the embedded model through all stages, in pieces of any length."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import torch

from threedimo.errors import TrainingMismatch
from threedimo.media.writing import storage_errors
from threedimo_training.embedded.autoencoder_stage import AutoencoderStage, set_statistics
from threedimo_training.embedded.cached_clips import CPU, CachedClips, cache_shards
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.latent_files import LatentFolder, write_latents
from threedimo_training.embedded.motion_tokens import MotionTokenFolder, write_motion_tokens
from threedimo_training.embedded.recipe import EmbeddedRecipe, suitable_schedule
from threedimo_training.embedded.starting import check_start, take_start
from threedimo_training.embedded.warm_up_stage import WarmUpStage
from threedimo_training.samples.sample import ROLES
from threedimo_training.samples.synthetic import draw_synthetic
from threedimo_training.shards.durable import write_file
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.shards.render_job import render_shards
from threedimo_training.shards.render_options import read_plan
from threedimo_training.shards.writer import SHARD_SAMPLES
from threedimo_training.trainer.loop import has_fast_bfloat16, run_stage

# Shards rendered between two looks at the clock.
RENDER_PORTION = 4
RECIPE_FILE = "recipe.json"


def train(
    recipe: EmbeddedRecipe,
    work: Path,
    minutes: float,
    report: Callable[[str], None],
    device: torch.device = CPU,
    *,
    compiled: bool = False,
) -> bool:
    """Go on with the training for at most `minutes`, through whatever stages that reaches.

    Args:
        recipe: The same one each time.
        work: Folder that keeps shards, cached clips and the state of every stage.
        minutes: Time to spend.
        report: Is told how it goes, line by line.
        device: Where to train; may change from call to call.
        compiled: Compile the blocks that repeat, which needs a C++ compiler and about a minute.

    Returns:
        Whether all stages are done.
    """
    deadline = time.monotonic() + 60 * minutes
    clips = _clips(recipe, work, deadline, device)
    if clips is None:
        return False
    autoencoder = AutoencoderStage(recipe, clips)
    take_start(autoencoder, recipe, work)
    if not run_stage(autoencoder, work, deadline, report):
        return False
    warm_up = WarmUpStage(recipe, clips)
    take_start(warm_up, recipe, work)
    if not run_stage(warm_up, work, deadline, report):
        return False
    latents = _latents(autoencoder, clips, work, deadline, report)
    if latents is None:
        return False
    tokens = _motion_tokens(warm_up, work, deadline, report)
    if tokens is None:
        return False
    generator = GeneratorStage(recipe, clips, latents, warm_up.encoder, warm_up.heads.geometry, tokens)
    take_start(generator, recipe, work)
    if compiled:
        generator.compile()
    return run_stage(generator, work, deadline, report)


def begun_recipe(work: Path) -> EmbeddedRecipe | None:
    """The recipe that a work folder was begun with, None where nothing was begun.

    Raises:
        TrainingMismatch: Its record is damaged.
    """
    file = work / RECIPE_FILE
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=EmbeddedRecipe)
    except msgspec.DecodeError as error:
        raise TrainingMismatch(f"{file} is damaged: {error}", remedy="choose another work folder") from error


def adopt_recipe(work: Path, asked: EmbeddedRecipe | None, device: torch.device) -> EmbeddedRecipe:
    """The recipe to train by: what the folder was begun with, else what is asked for, which is written down.

    Args:
        work: The folder; made if it is missing.
        asked: None takes what is there, in a new folder what suits the device.
        device: Where the training begins.

    Raises:
        TrainingMismatch: The folder was begun with another recipe, its record is damaged, or the model that
            the recipe starts from makes other clips.
        ModelError: There is no such model.
    """
    begun = begun_recipe(work)
    if begun is None:
        begun = asked or suitable_schedule(device)
        check_start(begun)
        with storage_errors(work):
            work.mkdir(parents=True, exist_ok=True)
        write_file(work / RECIPE_FILE, msgspec.json.format(msgspec.json.encode(begun), indent=1) + b"\n")
    if asked not in (None, begun):
        raise TrainingMismatch(
            "the work folder was begun with another recipe",
            given=work,
            allowed=f"the one in its {RECIPE_FILE}",
            remedy="leave out what says how it is begun, or choose another work folder",
        )
    return begun


def _clips(recipe: EmbeddedRecipe, work: Path, deadline: float, device: torch.device) -> CachedClips | None:
    """Render the shards and cache them; None when time is up before all are there."""
    shards = work / "shards"
    portion = RENDER_PORTION * SHARD_SAMPLES
    plan = read_plan(shards)
    first = max(portion, plan.clips if plan else 0)
    with RenderProgress() as progress:
        for clips in range(first, recipe.num_clips + portion, portion):
            if time.monotonic() > deadline:
                return None
            render_shards(
                clips=min(clips, recipe.num_clips),
                size=recipe.size,
                num_frames=recipe.num_frames,
                fps=recipe.fps,
                seed=recipe.seed,
                output=shards,
                workers=os.cpu_count() or 1,
                roles=ROLES,
                held_out=False,
                draw=partial(draw_synthetic, plain=True) if recipe.plain else draw_synthetic,
                report=progress,
            )
    whole = cache_shards(work / "clips", ShardFolder(shards), lambda _: time.monotonic() < deadline)
    return CachedClips(work / "clips", device, resident=device.type == "cuda") if whole else None


def _latents(
    autoencoder: AutoencoderStage,
    clips: CachedClips,
    work: Path,
    deadline: float,
    report: Callable[[str], None],
) -> LatentFolder | None:
    folder = work / "latents"
    folder.mkdir(exist_ok=True)
    vae = autoencoder.autoencoder.eval().requires_grad_(False)
    set_statistics(vae, autoencoder.recipe, clips)
    if has_fast_bfloat16(clips.device):
        torch.nn.Module.to(vae, torch.bfloat16)  # the model's own `to` would only warn
    for block in range(len(clips.files)):
        if time.monotonic() > deadline:
            return None
        write_latents(folder, clips, vae, block)
        report(f"latents {block + 1}/{len(clips.files)} blocks")
    return LatentFolder(folder, clips.device)


def _motion_tokens(
    warm_up: WarmUpStage, work: Path, deadline: float, report: Callable[[str], None]
) -> MotionTokenFolder | None:
    folder, clips = work / "tokens", warm_up.clips
    folder.mkdir(exist_ok=True)
    for block in range(len(clips.files)):
        if time.monotonic() > deadline:
            return None
        write_motion_tokens(folder, clips, warm_up.encoder, block, warm_up.recipe.seed)
        report(f"motion tokens {block + 1}/{len(clips.files)} blocks")
    return MotionTokenFolder(folder, clips.device)
