"""`threedimo bench`: its options."""

from __future__ import annotations

import argparse

from threedimo_server.arguments import (
    CommandParser,
    add_kernel_options,
    add_model_options,
    device_use,
    model_choice,
    positive_whole,
)

_DESCRIPTION = """\
Loads a model and measures it, without a server: one forward of its generator with motion and camera beside
the plain generator with the same weights, in turn, and a shot of its own length and size by its phases; on a
GPU also the most memory that was taken, for each plan that --memory names. With --presets and --step-caches
also whole shots of the packaged inputs beside generation by the plain generator. Of several plans, one that
fails is noted in its place, and the others are measured; the exit code is then 1. Ctrl-C ends it.
"""
_EPILOG = """\
Examples:
  threedimo bench
  threedimo bench --presets draft standard final --step-caches taylor:2 first_block:0.1 mag:0.06
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
    add_kernel_options(command)
    command.add_argument(
        "--presets",
        nargs="+",
        default=(),
        metavar="NAME",
        help="beside generation by the plain generator, these presets: draft, standard, final",
    )
    command.add_argument(
        "--step-caches",
        nargs="+",
        default=(),
        metavar="KIND",
        help="likewise these step caches: taylor:2, first_block:0.1, mag:0.06 ...",
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
    from threedimo_server.bench import BenchOptions, bench, bench_json, bench_lines, failed_plans
    from threedimo_server.job_progress import JobProgress

    asked = BenchOptions(
        model_choice(options),
        device_use(options),
        plans=tuple(options.memory),
        rounds=options.rounds,
        num_steps=options.steps,
        presets=tuple(options.presets),
        step_caches=tuple(options.step_caches),
    )
    with JobProgress() as progress:
        document = bench(asked, progress)
    for line in [bench_json(document)] if options.json else bench_lines(document):
        print(line)  # noqa: T201 - what was asked for
    return 1 if failed_plans(document) else 0
