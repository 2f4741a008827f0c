"""`threedimo bench`: its options."""

from __future__ import annotations

import argparse

from threedimo_server.arguments import CommandParser, add_model_options, positive_whole

_DESCRIPTION = """\
Loads a model and measures it, without a server: one forward of its generator with motion and camera beside
the plain generator with the same weights, in turn, and a shot of its own length and size by its phases; on a
GPU also the most memory that was taken, for each plan that --memory names. Ctrl-C ends it.
"""
_EPILOG = """\
Examples:
  threedimo bench
  threedimo bench --model models/dancer --device cuda:0 --memory full offload fp8 tiny --json
"""


def add_bench(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "bench",
        help="measure what a model costs on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(command)
    command.add_argument(
        "--device", default="auto", metavar="DEVICE", help='"auto" (default), "cpu", "cuda:0" ...'
    )
    command.add_argument(
        "--memory",
        nargs="+",
        default=(),
        metavar="PLAN",
        help="measure these one after the other: full, offload, fp8, tiny (default: the first that fits)",
    )
    command.add_argument(
        "--rounds", type=positive_whole, default=10, metavar="N", help="of forwards (default: %(default)s)"
    )
    command.add_argument(
        "--steps", type=positive_whole, default=4, metavar="N", help="of the shot (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    from threedimo.model_info import EMBEDDED
    from threedimo_server.bench import BenchOptions, bench, bench_json, bench_lines
    from threedimo_server.job_progress import JobProgress
    from threedimo_server.served_models import ModelChoice

    choice = ModelChoice(options.model or EMBEDDED, options.adapter, bool(options.untrained))
    asked = BenchOptions(choice, options.device, tuple(options.memory), options.rounds, options.steps)
    with JobProgress() as progress:
        document = bench(asked, progress)
    for line in [bench_json(document)] if options.json else bench_lines(document):
        print(line)  # noqa: T201 - what was asked for
    return 0
