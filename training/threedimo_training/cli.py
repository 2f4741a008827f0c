"""The command `threedimo-train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from threedimo.errors import ThreeDimoError

DEFAULT_WORK = Path("out/embedded")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (see `threedimo.errors`)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ThreeDimoError as error:
        print(f"threedimo-train: error [{error.code}]: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("threedimo-train: stopped; the same command goes on from the last saved state", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="threedimo-train", description="Train 3DiMo models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    clips = commands.add_parser("clips", help="render the embedded model's training clips")
    clips.set_defaults(run=_clips)
    embedded = commands.add_parser(
        "embedded", help="train the embedded model from nothing, going on where the last call stopped"
    )
    embedded.add_argument(
        "--minutes", type=float, required=True, metavar="M", help="time to spend in this call"
    )
    embedded.set_defaults(run=_embedded)
    export = commands.add_parser("export", help="write the embedded model as it is now, in 16 bits")
    export.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the pipeline folder to write"
    )
    export.set_defaults(run=_export)
    demo = commands.add_parser("demo-inputs", help="render the inputs of `threedimo demo`")
    demo.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="which sample; default: %(default)s")
    demo.add_argument("--role", default="moving_camera", help="default: %(default)s")
    demo.set_defaults(run=_demo_inputs)
    for command in (clips, embedded, export):
        command.add_argument(
            "--work", type=Path, default=DEFAULT_WORK, metavar="FOLDER", help="default: %(default)s"
        )
    return parser


def _report(line: str) -> None:
    print(line, flush=True)


def _clips(options: argparse.Namespace) -> int:
    from threedimo_training.embedded import render_clips
    from threedimo_training.recipe import EmbeddedRecipe

    render_clips(EmbeddedRecipe(), options.work, _report)
    return 0


def _embedded(options: argparse.Namespace) -> int:
    from threedimo_training.embedded import train
    from threedimo_training.recipe import EmbeddedRecipe

    done = train(EmbeddedRecipe(), options.work, options.minutes, _report)
    _report("all stages are done" if done else "time is up; the same command goes on from here")
    return 0


def _demo_inputs(options: argparse.Namespace) -> int:
    from threedimo_training.demo_inputs import write_demo_inputs

    _report(write_demo_inputs(options.output, options.seed, options.role))
    return 0


def _export(options: argparse.Namespace) -> int:
    from threedimo_training.embedded import export
    from threedimo_training.recipe import EmbeddedRecipe

    export(EmbeddedRecipe(), options.work, options.output, _report)
    return 0
