"""`threedimo batch`: its options, and the engine that they choose."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from threedimo_server.arguments import (
    CommandParser,
    add_model_id_option,
    add_model_options,
    add_preset_option,
    add_server_option,
    model_choice,
)
from threedimo_server.help_texts import BATCH_DESCRIPTION, BATCH_EPILOG

if TYPE_CHECKING:
    from threedimo_server.batch import BatchEngine

_OPTIONS = {
    "local": ("server", "model_id"),
    "ray": ("ray_address", "model", "adapter", "untrained", "lora", "lora_steps"),
}
_REMEDIES = {
    "local": "the model is the server's, see `threedimo serve --help`; or add --engine ray",
    "ray": "every worker of a cluster has a server of its own; leave it out",
}


def add_batch(commands: argparse._SubParsersAction[CommandParser]) -> CommandParser:
    """Add the command; `make_engine` of its options makes a `BatchEngine` of them, or ends in wrong usage."""
    command = commands.add_parser(
        "batch",
        help="make all shots of a list",
        description=BATCH_DESCRIPTION,
        epilog=BATCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("shots", type=Path, metavar="SHOTS.json", help="the list")
    command.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="new or empty, or this batch's own"
    )
    command.add_argument(
        "--engine",
        choices=tuple(_OPTIONS),
        default="local",
        help="who makes the shots: one server (default), or the GPUs of a Ray cluster",
    )
    add_preset_option(command, "of every shot that names none: ")
    local = command.add_argument_group("with --engine local")
    add_server_option(local)
    add_model_id_option(local)
    ray = command.add_argument_group("with --engine ray")
    ray.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster, as `ray start --head` prints it (otherwise RAY_ADDRESS; otherwise Ray is started "
        "on this machine for this command)",
    )
    add_model_options(ray)
    command.set_defaults(make_engine=lambda options: _make_engine(command, options))
    return command


def _make_engine(command: CommandParser, options: argparse.Namespace) -> BatchEngine:
    for engine, names in _OPTIONS.items():
        wrong = [name for name in names if getattr(options, name) is not None]
        if wrong and engine != options.engine:
            option = f"--{wrong[0].replace('_', '-')}"
            remedy = _REMEDIES[options.engine]
            command.error(f"argument {option}: not allowed with --engine {options.engine}: {remedy}")
    if options.engine == "local":
        from threedimo_server.batch_local import LocalEngine

        return LocalEngine(options.server, options.model_id or "")
    from threedimo.model_info import EMBEDDED
    from threedimo_server.batch_ray import RayEngine

    if options.model not in (None, EMBEDDED):
        options.model = _whole(options.model)
    for name in ("adapter", "lora"):
        if getattr(options, name) is not None:
            setattr(options, name, _whole(getattr(options, name)))
    return RayEngine(model_choice(options), options.ray_address)


def _whole(place: str) -> str:
    """A folder or file of this machine by its whole path, because workers run elsewhere."""
    found = Path(place).expanduser()
    return str(found.absolute()) if found.exists() else place
