"""Commands that train. Heavy imports wait until a command runs, so that help is quick."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threedimo_training.commands.values import positive

if TYPE_CHECKING:
    import torch

    from threedimo_training.embedded.recipe import EmbeddedRecipe

DEFAULT_WORK = Path("out/embedded")
EPILOG = """\
The model of the package, trained on for 2000 steps on 3000 clips of its own:
  threedimo-train embedded --start embedded --seed 1 --clips 3000 --steps 2000 --minutes 99 --work out/more
  threedimo-train export --work out/more --output out/model
"""


def add_commands(commands: Any) -> None:
    """Add `embedded` and `export`."""
    embedded = commands.add_parser(
        "embedded",
        help="train the embedded model from nothing, going on where the last call stopped",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    embedded.add_argument(
        "--minutes", type=float, required=True, metavar="M", help="time to spend in this call"
    )
    embedded.add_argument(
        "--schedule",
        choices=("cpu", "gpu"),
        help="how large and how long; default: what the work folder was begun with, or what suits the device",
    )
    begun = embedded.add_argument_group("how a work folder is begun; later calls need not repeat it")
    begun.add_argument(
        "--start",
        metavar="MODEL",
        help="from the weights of this model (embedded, or an exported folder) and not from nothing: the "
        "generator learns on, the autoencoder stays as it is",
    )
    begun.add_argument(
        "--new-generator",
        action="store_true",
        help="with --start: MODEL's weights for all but the generator, which begins from nothing",
    )
    begun.add_argument("--clips", type=positive, metavar="N", help="clips to render; default: the schedule's")
    begun.add_argument(
        "--steps", type=positive, metavar="N", help="of the generator; default: the schedule's"
    )
    begun.add_argument("--seed", type=int, metavar="N", help="of everything random; default: 0")
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
    from threedimo_training.embedded.training import adopt_recipe, train

    device = choose_device(options.device)
    recipe = adopt_recipe(options.work, _asked(options, device), device)
    done = train(recipe, options.work, options.minutes, report, device, compiled=options.compile)
    report("all stages are done" if done else "time is up; the same command goes on from here")
    return 0


def _asked(options: argparse.Namespace, device: torch.device) -> EmbeddedRecipe | None:
    """The recipe that the options describe, None where none of them says anything about it."""
    from threedimo.errors import InvalidRequest
    from threedimo_training.embedded.recipe import going_on, suitable_schedule

    if options.new_generator and not options.start:
        raise InvalidRequest(
            "--new-generator says what of a model is left out, and no model is given",
            remedy="add --start MODEL, or leave it out: without a start all is new",
        )
    changes = {
        "num_clips": options.clips,
        "generator_steps": options.steps,
        "seed": options.seed,
        "new_generator": options.new_generator or None,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not (options.schedule or options.start or changes):
        return None
    recipe = replace(suitable_schedule(device, options.schedule), **changes)
    return going_on(recipe, options.start) if options.start else recipe


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
