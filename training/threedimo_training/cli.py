"""The command `threedimo-train`."""

from __future__ import annotations

import argparse
import sys

from threedimo.errors import ThreeDimoError
from threedimo_training.commands import ablations, data, evaluation, finetune, training

EPILOG = """\
A first look at the data:
  threedimo-train render --clips 24 --output data
  threedimo-train show data --output look

Exit codes:
  0 done               4 camera                  12 training data
  1 internal error     5 request cannot be met   13 training
  2 wrong usage        6 model                   130 stopped; repeat the command to go on
  3 media              10 disk
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (see `threedimo.errors`)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ThreeDimoError as error:
        print(f"threedimo-train: error [{error.code}]: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("threedimo-train: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="threedimo-train",
        description="Make training data of people in motion, train 3DiMo models on it, and measure them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data.add_commands(commands)
    training.add_commands(commands)
    finetune.add_commands(commands)
    evaluation.add_commands(commands)
    ablations.add_commands(commands)
    return parser
