"""Commands that train. Heavy imports wait until a command runs, so that help is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DEFAULT_WORK = Path("out/embedded")


def add_commands(commands: Any) -> None:
    """Add `embedded` and `export`."""
    embedded = commands.add_parser(
        "embedded", help="train the embedded model from nothing, going on where the last call stopped"
    )
    embedded.add_argument(
        "--minutes", type=float, required=True, metavar="M", help="time to spend in this call"
    )
    embedded.add_argument(
        "--schedule",
        choices=("cpu", "gpu"),
        help="how large and how long; default: what the work folder was begun with, or what suits the device",
    )
    embedded.add_argument("--device", default="auto", help="auto, cpu, cuda ...; default: %(default)s")
    embedded.add_argument(
        "--compile", action="store_true", help="faster steps after a minute of compiling with a C++ compiler"
    )
    embedded.set_defaults(run=_embedded)
    export = commands.add_parser("export", help="write the embedded model as it is now, in 16 bits")
    export.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the pipeline folder to write"
    )
    export.set_defaults(run=_export)
    for command in (embedded, export):
        command.add_argument(
            "--work", type=Path, default=DEFAULT_WORK, metavar="FOLDER", help="default: %(default)s"
        )


def report(line: str) -> None:
    """Show a line at once, also through a pipe."""
    print(line, flush=True)


def _embedded(options: argparse.Namespace) -> int:
    from threedimo.checkpoints import choose_device
    from threedimo_training.embedded.recipe import SCHEDULES
    from threedimo_training.embedded.training import adopt_recipe, train

    device = choose_device(options.device)
    asked = SCHEDULES[options.schedule]() if options.schedule else None
    recipe = adopt_recipe(options.work, asked, device)
    done = train(recipe, options.work, options.minutes, report, device, compiled=options.compile)
    report("all stages are done" if done else "time is up; the same command goes on from here")
    return 0


def _export(options: argparse.Namespace) -> int:
    from threedimo.errors import EmptyMedia
    from threedimo_training.embedded.export import export
    from threedimo_training.embedded.training import begun_recipe

    recipe = begun_recipe(options.work)
    if recipe is None:
        raise EmptyMedia(
            "nothing has been trained", given=options.work, remedy="run `threedimo-train embedded` first"
        )
    export(recipe, options.work, options.output, report)
    return 0
