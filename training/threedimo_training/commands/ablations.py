"""The command that compares the method with itself less one part. Heavy imports wait until it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from threedimo_training.commands.training import DEFAULT_WORK, report


def add_commands(commands: Any) -> None:
    """Add `ablations`."""
    ablations = commands.add_parser(
        "ablations",
        help="train the method without one of its parts, for each part, and compare",
        description="Train the paper's six ablations and ours for the same steps on the same samples, from "
        "what `threedimo-train embedded` left; measure each on held-out clips; write ablations.json, "
        "ablations.md and ablations.html. A stopped call goes on where it was.",
    )
    ablations.add_argument(
        "--work",
        type=Path,
        default=DEFAULT_WORK,
        metavar="FOLDER",
        help="of `threedimo-train embedded`; only read; default: %(default)s",
    )
    ablations.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="for states, figures, table and page"
    )
    ablations.add_argument("--steps", type=int, required=True, metavar="N", help="of every variant")
    ablations.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="full and some of: smpl_pose, stage_1_only, stages_1_and_2, channel_concatenation, "
        "no_geometry_head, no_hand_encoder, no_hints, no_warm_up, no_picture_position, no_place_head, "
        "no_pairs; default: all",
    )
    ablations.add_argument(
        "--clips",
        type=int,
        default=48,
        metavar="N",
        help="held-out clips of each split for the loss; default: %(default)s",
    )
    ablations.add_argument(
        "--probe",
        type=Path,
        metavar="FILE",
        help="made by `threedimo-train probe`; without it no clips are generated",
    )
    ablations.add_argument(
        "--generate",
        type=int,
        default=8,
        metavar="N",
        help="how many clips of each split are generated for the probe; default: %(default)s",
    )
    ablations.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of weights and clips; default: %(default)s"
    )
    ablations.add_argument("--device", default="auto", help="auto, cpu, cuda ...; default: %(default)s")
    ablations.add_argument(
        "--compile", action="store_true", help="faster steps after a minute of compiling a variant"
    )
    ablations.set_defaults(run=_ablations)


def _ablations(options: argparse.Namespace) -> int:
    from threedimo.checkpoints import choose_device
    from threedimo_training.ablations.run import AblationPlan, run_ablations
    from threedimo_training.ablations.variants import VARIANTS

    plan = AblationPlan(
        work=options.work,
        output=options.output,
        steps=options.steps,
        variants=tuple(options.variants or VARIANTS),
        clips=options.clips,
        probe=options.probe,
        generated=options.generate,
        seed=options.seed,
    )
    run_ablations(plan, report, choose_device(options.device), compiled=options.compile)
    return 0
