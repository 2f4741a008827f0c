"""Commands that measure. Heavy imports wait until one runs, so that help is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from threedimo_training.commands.data import add_plain_option
from threedimo_training.commands.training import report

DEFAULT_PROBE_WORK = Path("out/probe")


def add_commands(commands: Any) -> None:
    """Add `probe`, `evaluate`, `drift` and `compare`."""
    probe = commands.add_parser(
        "probe", help="train the network that measures pose and camera in generated frames"
    )
    probe.add_argument("--minutes", type=float, required=True, metavar="M", help="time to spend in this call")
    probe.add_argument(
        "--work", type=Path, default=DEFAULT_PROBE_WORK, metavar="FOLDER", help="default: %(default)s"
    )
    probe.add_argument(
        "--shards", type=Path, metavar="FOLDER", help="learn from these instead of fresh samples"
    )
    add_plain_option(probe)
    probe.add_argument("--device", default="cpu", help="cpu or cuda; default: %(default)s")
    probe.set_defaults(run=_probe)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure a model on people, motions and cameras that training never sees",
        description="Measure a model beside controls: a frozen reference, another clip's motion, another "
        "clip's camera text, the decoder alone. A stopped call goes on where it was.",
    )
    evaluate.add_argument("--model", default="embedded", help="embedded, a folder or a hub id")
    evaluate.add_argument("--adapter", type=Path, metavar="FOLDER", help="what was trained in a stock model")
    evaluate.add_argument("--json", type=Path, required=True, metavar="FILE", help="figures to write")
    evaluate.add_argument("--report", type=Path, metavar="FOLDER", help="also write a page with pictures")
    evaluate.add_argument(
        "--probe",
        type=Path,
        default=DEFAULT_PROBE_WORK / "probe.safetensors",
        metavar="FILE",
        help="made by `threedimo-train probe`; default: %(default)s",
    )
    evaluate.add_argument(
        "--clips", type=int, default=16, metavar="N", help="of each split; default: %(default)s"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="K", help="which; default: %(default)s")
    add_plain_option(evaluate)
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda:0 ...; default: %(default)s")
    evaluate.set_defaults(run=_evaluate)

    drift = commands.add_parser(
        "drift",
        help="measure how long shots drift, window after window",
        description="Make long clips of synthetic people that training never sees, and measure every window "
        "against the truth: as the pipeline carries on, and begun anew from the true frame.",
    )
    drift.add_argument("--model", default="embedded", help="embedded, a folder or a hub id")
    drift.add_argument("--adapter", type=Path, metavar="FOLDER", help="what was trained in a stock model")
    drift.add_argument("--json", type=Path, required=True, metavar="FILE", help="figures to write")
    drift.add_argument(
        "--frames", type=int, default=1001, metavar="N", help="of each clip; default: %(default)s"
    )
    drift.add_argument("--clips", type=int, default=4, metavar="N", help="how many; default: %(default)s")
    drift.add_argument(
        "--kind", default="same_view", help="same_view, cross_view or moving_camera; default: %(default)s"
    )
    drift.add_argument("--seed", type=int, default=0, metavar="K", help="which; default: %(default)s")
    add_plain_option(drift)
    drift.add_argument("--device", default="auto", help="auto, cpu, cuda:0 ...; default: %(default)s")
    drift.set_defaults(run=_drift)

    compare = commands.add_parser(
        "compare", help="standard metrics of generated videos against real ones of the same names"
    )
    compare.add_argument("made", type=Path, metavar="MADE", help="folder of generated videos")
    compare.add_argument("wanted", type=Path, metavar="WANTED", help="folder of real videos")
    compare.set_defaults(run=_compare)


def _probe(options: argparse.Namespace) -> int:
    from threedimo_training.evaluation.commands import train_probe_command

    train_probe_command(
        options.work,
        options.minutes,
        report,
        shards=options.shards,
        plain=options.plain,
        device=options.device,
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from threedimo_training.evaluation.commands import evaluate_command
    from threedimo_training.evaluation.evaluate import EvaluationPlan

    plan = EvaluationPlan(
        model=options.model,
        probe=options.probe,
        output=options.json,
        clips=options.clips,
        seed=options.seed,
        report=options.report,
        device=options.device,
        adapter=options.adapter,
        plain=options.plain,
    )
    evaluate_command(plan, report)
    return 0


def _drift(options: argparse.Namespace) -> int:
    from threedimo_training.evaluation.commands import drift_command
    from threedimo_training.evaluation.drift import DriftPlan

    plan = DriftPlan(
        model=options.model,
        output=options.json,
        adapter=options.adapter,
        num_frames=options.frames,
        clips=options.clips,
        role=options.kind,
        seed=options.seed,
        device=options.device,
        plain=options.plain,
    )
    drift_command(plan, report)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from threedimo_training.evaluation.video_metrics import compare_folders

    print(compare_folders(options.made, options.wanted).table(options.made.name))
    return 0
