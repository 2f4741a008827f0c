"""Trains variants one after the other: the same steps, samples, noise and seeds for all.

Every variant has a folder of its own, in which the trainer goes on wherever it was stopped.
"""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open

from threedimo.errors import TrainingError, TrainingMismatch
from threedimo.media.writing import storage_errors
from threedimo_training.ablations.ground import Ground
from threedimo_training.ablations.variant_stages import whole_encoder
from threedimo_training.ablations.variants import Variant
from threedimo_training.embedded.cached_clips import CachedClips
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.latent_files import LatentFolder
from threedimo_training.shards.durable import write_file
from threedimo_training.trainer.loop import run_stage, state_file
from threedimo_training.trainer.state import load_state, save_state

PLAN_FILE = "plan.json"
_STEP = re.compile(r"\w+ (\d+)/")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must stay the same in an output folder, or its variants could not be compared.

    Attributes:
        steps: Of every variant.
        seed: Of first weights and held-out clips.
        encoder: Hash of the warmed-up encoder.
    """

    steps: int
    seed: int
    encoder: str


def adopt_plan(output: Path, plan: Plan) -> None:
    """Write the plan into a new folder, or see that it is the one that the folder was begun with.

    Raises:
        TrainingMismatch: It was begun with another plan, or its record is damaged.
        UnwritableFolder: The folder cannot be made.
    """
    file = output / PLAN_FILE
    if not file.exists():
        with storage_errors(output):
            output.mkdir(parents=True, exist_ok=True)
        write_file(file, msgspec.json.encode(plan))
        return
    try:
        begun = msgspec.json.decode(file.read_bytes(), type=Plan)
    except msgspec.DecodeError as error:
        raise TrainingMismatch(
            f"{file} is damaged: {error}", remedy="choose another output folder"
        ) from error
    if begun != plan:
        raise TrainingMismatch(
            "the output folder was begun with other ablations",
            given=f"steps {plan.steps}, seed {plan.seed}, encoder {plan.encoder}",
            allowed=f"steps {begun.steps}, seed {begun.seed}, encoder {begun.encoder}",
            remedy="choose another output folder",
        )


def make_stage(
    variant: Variant, ground: Ground, clips: CachedClips | None = None, latents: LatentFolder | None = None
) -> GeneratorStage:
    """A variant's untrained stage, on the ground's own clips unless others are given."""
    encoder = variant.encoder(copy.deepcopy(ground.encoder))
    # other tokens than the warm-up's mean nothing to its head
    geometry = copy.deepcopy(ground.geometry) if variant.encoder is whole_encoder else None
    # Not always a MotionEncoder: a stage asks of it only what its own methods ask.
    return variant.stage(
        ground.recipe,
        clips or ground.clips,
        latents or ground.latents,
        encoder,  # pyright: ignore[reportArgumentType]
        geometry,
    )


def saved_step(folder: Path) -> int:
    """Steps that a variant's folder holds.

    Raises:
        TrainingError: Its state is damaged.
    """
    file = state_file(folder, GeneratorStage.name)
    if not file.exists():
        return 0
    try:
        with safe_open(file, framework="pt") as stored:
            return int(stored.metadata()["step"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"the saved state of a variant is damaged: {error}",
            given=file,
            remedy="delete its folder to train the variant again",
        ) from error


def train_variants(
    variants: list[Variant],
    ground: Ground,
    output: Path,
    report: Callable[[str], None],
    *,
    compiled: bool = False,
) -> None:
    """Train every variant to the end.

    Args:
        variants: One after the other.
        ground: What they begin from.
        output: Each gets a folder of its name in it.
        report: Is told how it goes, with an estimate over all variants.
        compiled: Compile the blocks that repeat.

    Raises:
        What `trainer.run_stage` does.
    """
    steps = ground.recipe.generator_steps
    done = {variant.name: saved_step(output / variant.name) for variant in variants}
    begun, before = time.monotonic(), sum(done.values())
    for number, variant in enumerate(variants, start=1):
        if done[variant.name] >= steps:
            continue
        title = f"{variant.name} ({number}/{len(variants)})"

        def tell(line: str, name: str = variant.name, title: str = title) -> None:
            found = _STEP.match(line)
            done[name] = int(found[1]) if found else done[name]
            fresh = sum(done.values()) - before
            left = (steps * len(done) - sum(done.values())) * (time.monotonic() - begun) / max(fresh, 1) / 60
            report(f"{title}  {line}, {left:.0f} min for all variants")

        folder = output / variant.name
        with storage_errors(folder):
            folder.mkdir(exist_ok=True)
        stage = make_stage(variant, ground)
        if compiled:
            # The compiler gives up on code that it compiled too often, and each variant has its own shapes.
            torch.compiler.reset()
            stage.compile()
        run_stage(stage, folder, math.inf, tell)
        # no step follows: without the optimizer's moments the file is half as large
        save_state(state_file(folder, stage.name), stage.state(), None, steps)
        done[variant.name] = steps


def trained_stage(
    variant: Variant, ground: Ground, output: Path, clips: CachedClips, latents: LatentFolder
) -> GeneratorStage:
    """A variant with its averaged weights, on other clips than those it learned from."""
    stage = make_stage(variant, ground, clips, latents)
    load_state(state_file(output / variant.name, stage.name), stage.modules)
    stage.take_averaged()
    for module in stage.modules.values():
        module.to(stage.device).eval()
    return stage
