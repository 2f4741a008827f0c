"""Training of full-size models. Heavy imports wait until a command runs, so that help is quick."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from threedimo_training.commands.training import report
from threedimo_training.commands.values import positive

EPILOG = """\
One GPU:
  threedimo-train finetune --base MODEL --data data/synthetic data/footage --work out/lora --train lora
Several (answer `accelerate config` once; FSDP2 for --train full):
  accelerate launch .venv/bin/threedimo-train finetune --base MODEL --data ... --work ... --train full
The same command goes on where it was stopped, with any number of processes.
"""
_SYNTHETIC = "synthetic"


def add_commands(commands: Any) -> None:
    """Add `finetune` and `finetune-export`."""
    train = commands.add_parser(
        "finetune",
        help="train motion and camera control into a full-size model; goes on where it was stopped",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "--base", required=True, metavar="MODEL", help="embedded, a folder or a hub id; stock Wan models too"
    )
    train.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="folders of shards, or the word synthetic: samples that are drawn as the training goes",
    )
    train.add_argument(
        "--train",
        choices=("full", "lora", "adapters"),
        default="adapters",
        help="all of the transformer; what the method adds and LoRA; only what the method adds; "
        "default: %(default)s",
    )
    train.add_argument("--size", type=_size, metavar="WxH", help="of the frames; default: the base's")
    train.add_argument("--frames", type=positive, metavar="N", help="of a clip, 4k+1; default: the base's")
    train.add_argument(
        "--learning-rate", type=float, metavar="X", help="default: 1e-5 for full, 1e-4 for lora and adapters"
    )
    for name, default, text in (
        ("--steps", 30_000, "the paper's three stages share them as 10 : 15 : 5"),
        ("--batch", 64, "clips of a step, over all processes"),
        ("--at-once", 1, "clips that a process computes together"),
        ("--lora-rank", 32, "of the changes of each layer"),
        ("--grid-every", 500, "steps between two pictures of held-out clips"),
    ):
        train.add_argument(
            name, type=positive, default=default, metavar="N", help=f"{text}; default: %(default)s"
        )
    train.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    train.add_argument("--compile", action="store_true", help="compile the blocks that repeat")
    train.add_argument("--checkpointing", action="store_true", help="less memory, more time")
    train.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        metavar="M",
        help="time to spend in this call; default: no limit",
    )
    train.set_defaults(run=_finetune)
    export = commands.add_parser("finetune-export", help="write what `finetune` has trained so far")
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="what to write")
    export.add_argument("--base", metavar="MODEL", help="where the base is now; default: where it was")
    export.add_argument(
        "--whole", action="store_true", help="a whole model instead of an adapter for the base"
    )
    export.set_defaults(run=_export)
    for command in (train, export):
        command.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="of the training")


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not cross:
        raise argparse.ArgumentTypeError(f"width x height, for example 832x480, not {text!r}")
    return positive(width), positive(height)


def _finetune(options: argparse.Namespace) -> int:
    from threedimo_training.finetuning.finetune import FinetuneOptions, finetune

    done = finetune(
        FinetuneOptions(
            base=options.base,
            data=() if options.data == [_SYNTHETIC] else tuple(map(Path, options.data)),
            work=options.work,
            train=options.train,
            steps=options.steps,
            batch=options.batch,
            at_once=options.at_once,
            learning_rate=options.learning_rate,
            size=options.size,
            num_frames=options.frames,
            lora_rank=options.lora_rank,
            seed=options.seed,
            compiled=options.compile,
            checkpointing=options.checkpointing,
            grid_interval=options.grid_every,
            minutes=options.minutes,
        ),
        report,
    )
    report("all steps are done" if done else "time is up; the same command goes on from here")
    return 0


def _export(options: argparse.Namespace) -> int:
    from threedimo_training.finetuning.export import export_finetuned

    export_finetuned(options.work, options.output, whole=options.whole, report=report, base=options.base)
    return 0
