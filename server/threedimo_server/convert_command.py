"""`threedimo convert`: its options."""

from __future__ import annotations

import argparse
from pathlib import Path

from threedimo_server.arguments import CommandParser

_DESCRIPTION = """\
Makes a model of a generator in one safetensors file, in the names of the original Wan code or of diffusers,
and of everything else of a stock model. The folder is one like the base's: for `serve --model`, for
adapters, for `threedimo-train finetune --base`. The base's other weights take no room where the file system
has hard links.
"""


def add_convert(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "convert",
        help="make a model of a generator in one file and the rest of a stock model",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the generator, a .safetensors file")
    command.add_argument(
        "--base",
        required=True,
        metavar="MODEL",
        help="a stock Wan model of the same architecture in the layout of diffusers: a folder or a hub id",
    )
    command.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the new model; a new or empty folder"
    )
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    from threedimo_server.output_folder import check_output, written_folder

    check_output(options.output, overwrite=False)
    from threedimo.media.writing import storage_errors
    from threedimo.single_file import write_model

    with written_folder(options.output) as folder, storage_errors(folder):
        folder.mkdir()
        write_model(options.file, options.base, folder)
    print(f"model {options.output}")  # noqa: T201 - what was asked for
    return 0
