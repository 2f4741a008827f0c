"""The evaluation: held-out clips through the real pipeline, right and wrong inputs, into one JSON file.

    splits.<same_view | cross_view | moving_camera>
        .<metric>                   {"mean", "ci95": [low, high], "n"} with text and hints
        .text_alone.<metric>        the same without hints
        .controls.<control>.<metric>
        .ground_truth.<metric>      the true frames: errors of pose and camera are the probe's own
    probe.<metric>                  the probe's own errors over all splits, and facts of the probe
    probe.stranger_identity_agreement   of true frames with other people: what chance makes of it
    seconds_per_clip                of the right inputs, a mean
    model, versions, hardware, command, seed, clips, frames

Metrics are those of `measure.METRICS`, runs and controls those of `runs`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.media.writing import storage_errors
from threedimo.model_info import model_folder, read_model_info
from threedimo.pipeline import MotionTransferPipeline
from threedimo.wire.messages import ModelInfo
from threedimo_training.evaluation.clip_records import ClipRecord, read_record, write_record
from threedimo_training.evaluation.held_out_clips import SPLITS, HeldOutClip, SampleDrawer, held_out_clip
from threedimo_training.evaluation.intervals import summarise
from threedimo_training.evaluation.measure import METRICS, ClipTruth
from threedimo_training.evaluation.probe import Probe, load_probe
from threedimo_training.evaluation.provenance import command, content_hash, hardware, versions
from threedimo_training.evaluation.report import write_report
from threedimo_training.evaluation.runs import CONTROLS, RUNS, run_clip
from threedimo_training.shards.durable import write_file

logger = logging.getLogger(__name__)

FORMAT = "threedimo-evaluation-2"
# Results of single clips that an earlier version kept lack some of today's metrics.
_RECORDS = "2"
MAX_CLIPS = 10_000
# What the probe's own errors consist of; the rest of a true frame's figures is trivial.
_OWN_METRICS = ("silhouette_iou", *(name for name in METRICS if name.endswith("_deg")), "identity_agreement")


@dataclass(frozen=True)
class EvaluationPlan:
    """What is to be evaluated.

    Attributes:
        model: "embedded", a folder, or a hub id.
        adapter: Folder of what was trained in it, None for a model that is whole.
        probe: File that `threedimo-train probe` wrote.
        output: The JSON file to write. Beside it, a folder of the same name with "-clips" keeps the results
            of single clips, by which a stopped evaluation goes on.
        clips: Of each split, 1 to 10,000.
        seed: Which clips, and which noise.
        report: Folder for the HTML page, or None.
        device: As in `threedimo.checkpoints.load_pipeline`.
        plain: On people in single colours in bare places, as the embedded model knows them.
    """

    model: str
    probe: Path
    output: Path
    clips: int = 16
    seed: int = 0
    report: Path | None = None
    device: str = "auto"
    adapter: Path | None = None
    plain: bool = False

    def __post_init__(self):
        if not 1 <= self.clips <= MAX_CLIPS:
            raise InvalidRequest(
                "number of clips out of range", given=self.clips, allowed=f"1 to {MAX_CLIPS}"
            )
        if self.seed < 0:
            raise InvalidRequest("a seed is not negative", given=self.seed)


def clip_size(info: ModelInfo) -> int:
    """Width and height of the clips that a model is evaluated on: a square of its shorter side, in pixels."""
    return min(info.width, info.height)


def evaluate(
    plan: EvaluationPlan, drawer: Callable[[ModelInfo], SampleDrawer], say: Callable[[str], None]
) -> dict[str, Any]:
    """Evaluate a model, going on where an earlier call with the same model, probe and seed stopped.

    Args:
        plan: What and how much.
        drawer: Gives, for a model, what draws its held-out samples.
        say: Is told how it goes, line by line.

    Returns:
        What the JSON file holds.

    Raises:
        ModelNotFound: There is no such model or adapter, or no probe.
        UntrainedModel: It is a stock Wan model, and there is no adapter.
        InvalidModel: Model, adapter or probe are damaged, or do not belong together.
        InvalidShard: The stored figures of a clip are damaged.
        NoSpace: The disk is full.
        UnwritableFolder: The output may not be written.
    """
    info = read_model_info(plan.model, plan.adapter)
    probe = load_probe(plan.probe)
    parts = [model_folder(plan.model), *([] if plan.adapter is None else [plan.adapter])]
    key = "-".join(content_hash(part)[:12] for part in parts)
    folder = plan.output.with_name(f"{plan.output.stem}-clips")
    folder /= f"{_RECORDS}-{key}-{content_hash(plan.probe)[:12]}-{plan.seed}{'-plain' * plan.plain}"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline(plan.model, plan.adapter and str(plan.adapter), device=plan.device)
    records = _all_records(plan, pipeline, probe, drawer(info), folder, say)
    document = {
        "format": FORMAT,
        "model": {
            "id": info.id,
            "name": plan.model,
            "adapter": plan.adapter and str(plan.adapter),
            "content": key,
        },
        "splits": {split: _split_figures([r for r in records if r.split == split]) for split in SPLITS},
        "probe": _probe_figures(records, probe),
        "seconds_per_clip": summarise([record.seconds for record in records]).mean,
        "clips": plan.clips,
        "seed": plan.seed,
        "plain": plan.plain,
        "frames": {"count": info.num_frames, "size": clip_size(info), "fps": info.fps},
        "settings": {
            "num_inference_steps": info.num_inference_steps,
            "text_guidance_scale": info.text_guidance_scale,
            "motion_guidance_scale": info.motion_guidance_scale,
        },
        "versions": versions(),
        "hardware": hardware(pipeline.device),
        "command": command(),
    }
    write_file(plan.output, msgspec.json.format(msgspec.json.encode(document), indent=2))
    if plan.report is not None:
        write_report(plan.report, document, records, folder)
    return document


def _all_records(
    plan: EvaluationPlan,
    pipeline: MotionTransferPipeline,
    probe: Probe,
    draw: SampleDrawer,
    folder: Path,
    say: Callable[[str], None],
) -> list[ClipRecord]:
    records, made, started = [], 0, time.monotonic()
    # all splits grow together, so that a stopped evaluation knows something of each
    wanted = [(split, index) for index in range(plan.clips) for split in SPLITS]
    for number, (split, index) in enumerate(wanted, start=1):
        record = read_record(folder, split, index)
        if record is None:
            record = _record(held_out_clip(draw, split, index, plan.seed), pipeline, probe, folder)
            made += 1
            left = (len(wanted) - number) * (time.monotonic() - started) / made / 60
            say(f"clip {number}/{len(wanted)}  {split} {index}  {_line(record)}  {left:.0f} min left")
        records.append(record)
    return records


def _record(clip: HeldOutClip, pipeline: MotionTransferPipeline, probe: Probe, folder: Path) -> ClipRecord:
    truth = ClipTruth(clip, probe)
    answers = run_clip(pipeline, clip)
    record = ClipRecord(
        split=clip.split,
        index=clip.index,
        text=clip.sample.target.text,
        other_text=clip.other.target.text,
        motion_id=clip.sample.motion_id,
        driver=clip.sample.driving.person_id,
        person=clip.sample.target.person_id,
        arc_deg=truth.arc_deg,
        seconds=answers.seconds,
        stranger_agreement=truth.stranger_agreement(clip.other.target),
        metrics={name: truth.measure(frames) for name, frames in answers.frames.items()},
    )
    write_record(folder, record, clip, answers)
    return record


def _line(record: ClipRecord) -> str:
    right, wrong = record.metrics["generated"], record.metrics["other_motion"]
    numbers = [
        f"{name} {_short(right[name])} (other motion {_short(wrong[name])})"
        for name in ("person_psnr", "pose_error_deg")
    ]
    return f"{'  '.join(numbers)}  {record.seconds:.1f} s"


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def _split_figures(records: list[ClipRecord]) -> dict[str, Any]:
    runs = {run: _figures(records, run, METRICS) for run in RUNS}
    return {
        **runs["generated"],
        "text_alone": runs["text_alone"],
        "controls": {name: runs[name] for name in CONTROLS},
        "ground_truth": runs["ground_truth"],
    }


def _figures(records: list[ClipRecord], run: str, metrics: Iterable[str]) -> dict[str, Any]:
    return {name: asdict(summarise([record.metrics[run][name] for record in records])) for name in metrics}


def _probe_figures(records: list[ClipRecord], probe: Probe) -> dict[str, Any]:
    return {
        **_figures(records, "ground_truth", _OWN_METRICS),
        "stranger_identity_agreement": asdict(summarise([record.stranger_agreement for record in records])),
        "training": probe.facts,
    }
