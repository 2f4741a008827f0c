"""What `threedimo-train probe`, `evaluate` and `drift` do, with synthetic samples drawn as they go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from threedimo.errors import InvalidRequest
from threedimo.media.writing import storage_errors
from threedimo_training.evaluation.drawing import held_out_samples, probe_samples
from threedimo_training.evaluation.drift import METRICS, DriftPlan, measure_drift
from threedimo_training.evaluation.evaluate import EvaluationPlan, clip_size, evaluate
from threedimo_training.evaluation.probe_frames import shard_samples
from threedimo_training.evaluation.probe_training import OwnErrors, ProbeRecipe, train_probe
from threedimo_training.evaluation.provenance import content_hash
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.motions import LongMotions
from threedimo_training.shards.index import INDEX_FILE


def train_probe_command(
    work: Path,
    minutes: float,
    say: Callable[[str], None],
    *,
    shards: Path | None = None,
    plain: bool = False,
    device: str = "cpu",
) -> OwnErrors:
    """Go on with the probe of a work folder.

    Args:
        work: Made where it is missing; the probe is `probe.safetensors` in it.
        minutes: Time to spend, from 0.
        say: Is told how it goes, line by line.
        shards: Learn from this folder of shards instead of samples drawn on the fly.
        plain: Learn people in single colours in bare places.
        device: "cpu" or "cuda".

    Raises:
        InvalidRequest: Less than no time.
        InvalidShard: The shards are damaged.
        TrainingMismatch: The work folder holds a probe that learns from something else.
    """
    if not minutes >= 0:
        raise InvalidRequest("time to spend out of range", given=minutes, allowed="0 minutes or more")
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    renderer, recipe = CpuRenderer(), ProbeRecipe(source="plain synthetic" if plain else "synthetic")
    samples = probe_samples(renderer, recipe.seed, held_out=False, plain=plain)
    if shards is not None:
        samples = shard_samples(shards)
        recipe = ProbeRecipe(source=f"shards {content_hash(shards / INDEX_FILE)}")
    held_out = probe_samples(renderer, recipe.seed, held_out=True, plain=plain)
    errors = train_probe(recipe, work, samples, held_out, minutes=minutes, say=say, device=device)
    say(
        f"on {errors.frames} true frames of unseen people: pose {errors.pose_error_deg:.1f} degrees, "
        f"camera {errors.camera_error_deg:.1f} degrees, silhouette IoU {errors.silhouette_iou:.3f}"
    )
    return errors


def evaluate_command(plan: EvaluationPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Evaluate a model on synthetic people, motions and cameras that training never sees.

    Returns and raises what `evaluate.evaluate` does.
    """
    renderer = CpuRenderer()
    document = evaluate(
        plan,
        lambda info: held_out_samples(
            renderer,
            plan.seed,
            size=clip_size(info),
            num_frames=info.num_frames,
            fps=info.fps,
            plain=plan.plain,
        ),
        say,
    )
    say(f"figures in {plan.output}")
    if plan.report is not None:
        say(f"pictures in {plan.report}")
    return document


def drift_command(plan: DriftPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the drift of long synthetic shots.

    Returns and raises what `drift.measure_drift` does.
    """
    renderer = CpuRenderer()
    document = measure_drift(
        plan,
        lambda info: held_out_samples(
            renderer,
            plan.seed,
            size=clip_size(info),
            num_frames=plan.num_frames,
            fps=info.fps,
            motions=LongMotions(),
            plain=plan.plain,
        ),
        say,
    )
    psnr_db, delta_e = (document["drift"][metric]["mean"] for metric in METRICS)
    if psnr_db is not None:
        say(f"drift in 100 frames: {psnr_db:+.2f} dB, colour {delta_e:+.2f}")
    say(f"figures in {plan.output}")
    return document
