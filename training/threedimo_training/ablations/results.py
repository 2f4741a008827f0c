"""Everything that was measured, as one document.

    variants.<name>
        .title, .paper (the paper's row or null), .seen
        .held_out.<split | all>.<flow_loss ...>             {"mean", "ci95", "n"}
        .against_full.<split | all>.<flow_loss ...>         the same of differences, clip by clip
        .generated.<split>.<run>.<metric>                   the probe's figures; only with a probe
        .outcome, .sentence                                 of all but the whole method
    order       the paper's rows by FVD beside ours by loss
    ground_truth.<split>.<metric>   the probe's own errors; only with a probe
    steps, batch, seed, clips, generated, levels, training, versions, hardware, command

Intervals are over clips. They say nothing of other seeds of the training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from threedimo_training.ablations.generation import RUNS, Results
from threedimo_training.ablations.ground import Ground
from threedimo_training.ablations.held_out_loss import FIGURES, LEVELS, Losses, figures
from threedimo_training.ablations.variants import FULL, Variant
from threedimo_training.ablations.verdicts import difference, order, verdict
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.evaluation.held_out_clips import SPLITS
from threedimo_training.evaluation.intervals import Figure, summarise
from threedimo_training.evaluation.measure import METRICS, Values
from threedimo_training.evaluation.provenance import command, hardware, versions

FORMAT = "threedimo-ablations-1"
ALL = "all"


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a variant; `generated` is empty without a probe."""

    variant: Variant
    losses: Losses
    generated: Results


def make_document(
    measured: list[Measured], truth: dict[str, list[Values]], ground: Ground, clips: int, generated: int
) -> dict[str, Any]:
    """Put everything together.

    Args:
        measured: Of every variant, the whole method among them.
        truth: By split, what the probe reads in the true frames of the clips that were generated.
        ground: What the variants began from.
        clips: Held-out clips of each split.
        generated: How many of them were generated.
    """
    full = next(each for each in measured if each.variant.name == FULL)
    base = _columns(full.losses)
    rows = {each.variant.name: _row(each, base) for each in measured}
    recipe = ground.recipe
    return {
        "format": FORMAT,
        "variants": rows,
        "order": order({name: row["held_out"][ALL]["flow_loss"]["mean"] for name, row in rows.items()}),
        "ground_truth": {split: _means(values) for split, values in truth.items()},
        "steps": recipe.generator_steps,
        "pairs": recipe.generator_pairs,
        "batch": recipe.generator_batch,
        "pairs_end": GeneratorStage.pairs_end,
        "seed": recipe.seed,
        "clips": clips,
        "generated": generated,
        "levels": LEVELS,
        "training": {"clips": len(ground.clips), "size": recipe.size, "frames": recipe.num_frames},
        "versions": versions(),
        "hardware": hardware(ground.clips.device),
        "command": command(),
    }


def _row(measured: Measured, base: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    variant, columns = measured.variant, _columns(measured.losses)
    against = {
        split: {name: difference(name, columns[split][name], base[split][name]) for name in FIGURES}
        for split in columns
    }
    row = {
        "title": variant.title,
        "paper": variant.paper and asdict(variant.paper),
        "seen": variant.seen,
        "held_out": {
            split: {name: asdict(summarise(values)) for name, values in by_figure.items()}
            for split, by_figure in columns.items()
        },
        "against_full": {split: _plain(found) for split, found in against.items()},
        "generated": {
            split: {run: _means([clip[run] for clip in clips]) for run in RUNS}
            for split, clips in measured.generated.items()
        },
    }
    if variant.name == FULL:
        return row
    judged = verdict(
        variant,
        against[variant.claim_split][variant.claim],
        summarise(base[variant.claim_split][variant.claim]),
    )
    return row | {"outcome": judged.outcome, "sentence": judged.sentence}


def _columns(losses: Losses) -> dict[str, dict[str, list[float]]]:
    """By split ("all" last) and figure, one value a clip."""
    told = {split: [figures(clip) for clip in losses[split]] for split in SPLITS}
    told[ALL] = [clip for split in SPLITS for clip in told[split]]
    return {
        split: {name: [clip[name] for clip in clips] for name in FIGURES} for split, clips in told.items()
    }


def _means(clips: list[Values]) -> dict[str, Any]:
    return {name: asdict(summarise([clip[name] for clip in clips])) for name in METRICS}


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: asdict(figure) for name, figure in found.items()}
