"""`threedimo calibrate`: its options."""

from __future__ import annotations

import argparse

from threedimo_server.arguments import CommandParser, add_model_options, model_choice

_DESCRIPTION = """\
Makes one shot of the packaged inputs with the model's own steps, measures how the generator's blocks change
from step to step, and stores that as "mag_ratios" in the threedimo.json of the adapter, or else of the model.
After that the step cache mag:T can be asked for: threedimo generate --step-cache mag:0.06 ...
"""


def add_calibrate(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "calibrate",
        help="measure once what the step cache mag needs of a model",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(command)
    command.add_argument(
        "--device", default="auto", metavar="DEVICE", help='"auto" (default), "cpu", "cuda:0" ...'
    )
    command.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    from threedimo_server.calibrate import calibrate
    from threedimo_server.job_progress import JobProgress

    with JobProgress() as progress:
        print(calibrate(model_choice(options), options.device, progress))  # noqa: T201 - what was asked for
    return 0
