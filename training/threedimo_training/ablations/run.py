"""What `threedimo-train ablations` does: train, measure, tell. Every part goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from threedimo.errors import InvalidRequest
from threedimo_training.ablations.generation import TokenPipeline, generated_figures, token_pipeline
from threedimo_training.ablations.ground import open_ground
from threedimo_training.ablations.held_out import HeldOut, open_held_out
from threedimo_training.ablations.held_out_loss import held_out_losses
from threedimo_training.ablations.page import write_page
from threedimo_training.ablations.results import Measured, make_document
from threedimo_training.ablations.table import markdown
from threedimo_training.ablations.training import Plan, adopt_plan, train_variants, trained_stage
from threedimo_training.ablations.variants import VARIANTS, Variant, chosen_variants
from threedimo_training.embedded.cached_clips import CPU
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.evaluation.held_out_clips import SPLITS
from threedimo_training.evaluation.measure import ClipTruth, Values
from threedimo_training.evaluation.probe import Probe, load_probe
from threedimo_training.evaluation.provenance import content_hash
from threedimo_training.shards.durable import write_file

JSON_FILE, TABLE_FILE, PAGE_FILE = "ablations.json", "ablations.md", "ablations.html"


@dataclass(frozen=True)
class AblationPlan:
    """What is to be compared.

    Attributes:
        work: Folder of an embedded training that has come as far as its generator; only read.
        output: Folder of everything that is made.
        steps: Of every variant.
        variants: Names of `variants.VARIANTS`; `full` is always among them.
        clips: Held-out clips of each split for the loss.
        probe: Judges generated clips; None generates none.
        generated: How many of the held-out clips of each split are generated.
        seed: Of first weights and held-out clips.
    """

    work: Path
    output: Path
    steps: int
    variants: tuple[str, ...] = tuple(VARIANTS)
    clips: int = 48
    probe: Path | None = None
    generated: int = 8
    seed: int = 0

    def __post_init__(self):
        if self.clips < 1:
            raise InvalidRequest("number of clips out of range", given=self.clips, allowed="from 1")
        if self.probe is not None and not 1 <= self.generated <= self.clips:
            raise InvalidRequest(
                "number of generated clips out of range", given=self.generated, allowed=f"1 to {self.clips}"
            )


def run_ablations(
    plan: AblationPlan, report: Callable[[str], None], device: torch.device = CPU, *, compiled: bool = False
) -> dict[str, Any]:
    """Train, measure and compare.

    Args:
        plan: What.
        report: Is told how it goes, line by line.
        device: Where; may change from call to call.
        compiled: Compile the blocks that repeat.

    Returns:
        What the JSON file holds.

    Raises:
        InvalidRequest: A variant is unknown, or a number out of range.
        TrainingError: The work folder has not come far enough, or a variant's state is damaged.
        TrainingMismatch: The output folder was begun with another plan.
        ModelNotFound: There is no such probe.
        StorageError: The output cannot be written.
    """
    variants = chosen_variants(plan.variants)
    probe = None if plan.probe is None else load_probe(plan.probe, str(device))
    ground = open_ground(plan.work, plan.steps, plan.seed, device)
    adopt_plan(plan.output, Plan(plan.steps, plan.seed, ground.encoder_hash()))
    train_variants(variants, ground, plan.output, report, compiled=compiled)
    autoencoder = ground.autoencoder()
    held_out = open_held_out(ground, plan.output / f"held-out-{plan.clips}", plan.clips, autoencoder, report)
    generated = "" if plan.probe is None else f"generated-{plan.clips}-{content_hash(plan.probe)[:12]}"

    def measure(variant: Variant) -> Measured:
        folder = plan.output / variant.name

        def stage() -> GeneratorStage:
            return trained_stage(variant, ground, plan.output, held_out.clips, held_out.latents)

        def pipeline() -> tuple[GeneratorStage, TokenPipeline]:
            trained = stage()
            return trained, token_pipeline(trained, autoencoder, ground)

        losses = held_out_losses(folder / f"held-out-{plan.clips}.json", stage, held_out, report)
        if probe is None:
            return Measured(variant, losses, {})
        made = generated_figures(folder / generated, pipeline, held_out, plan.generated, probe, report)
        return Measured(variant, losses, made)

    measured = [measure(variant) for variant in variants]
    truth = {} if probe is None else _truth(held_out, plan.generated, probe)
    document = make_document(measured, truth, ground, plan.clips, 0 if probe is None else plan.generated)
    write_file(plan.output / JSON_FILE, msgspec.json.format(msgspec.json.encode(document), indent=2))
    write_file(plan.output / TABLE_FILE, markdown(document).encode())
    write_page(plan.output / PAGE_FILE, document, plan.output, generated, held_out)
    for name in (JSON_FILE, TABLE_FILE, PAGE_FILE):
        report(str(plan.output / name))
    return document


def _truth(held_out: HeldOut, count: int, probe: Probe) -> dict[str, list[Values]]:
    """What the probe reads in true frames."""
    clips = {split: [held_out.clip(split, index) for index in range(count)] for split in SPLITS}
    return {
        split: [ClipTruth(clip, probe).measure(clip.sample.target.frames) for clip in clips[split]]
        for split in SPLITS
    }
