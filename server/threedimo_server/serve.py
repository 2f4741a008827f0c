"""`threedimo serve`: options, over the settings of file and environment, to a `ServerConfig`."""

from __future__ import annotations

import argparse
import os

from threedimo_server.arguments import LAST_PORT, CommandParser, add_kernel_options, add_model_options, port

DESCRIPTION = """\
Runs the server until Ctrl-C or SIGTERM. Jobs and results outlive it. Other machines reach it only with
--host, and only with keys that it lets in: see `threedimo keys --help`. What is not given here is taken from
the environment (THREEDIMO_MODEL, THREEDIMO_DEVICES ...), then from server.toml in the home folder.
"""

EPILOG = """\
Examples:
  threedimo serve
  threedimo serve --model models/dancer --device cuda:0 --device cuda:1
  threedimo serve --host 0.0.0.0 --port 7400     for other machines too, after `threedimo keys`
"""


def add_serve(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "serve",
        help="run the server until Ctrl-C",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(command)
    command.add_argument(
        "--device",
        action="append",
        metavar="DEVICE",
        help='"auto" (default), "cpu", "cuda:0" ...; give it again for more workers',
    )
    command.add_argument(
        "--memory",
        metavar="PLAN",
        help="how the model fits into a GPU: full, offload, fp8 or tiny (default: auto, the first that fits)",
    )
    add_kernel_options(command)
    command.add_argument(
        "--host",
        metavar="ADDRESS",
        help="listen on this address of the machine, 0.0.0.0 for all (default: this machine only)",
    )
    command.add_argument("--port", type=port, metavar="N", help="control port (default: any free)")
    command.add_argument(
        "--data-port", type=port, metavar="N", help="data port (default: the one after --port)"
    )
    command.add_argument(
        "--metrics-port",
        type=port,
        metavar="N",
        help="show figures for Prometheus at http://127.0.0.1:N/metrics (default: nowhere)",
    )
    command.add_argument(
        "--end-with-input",
        action="store_true",
        help="stop when standard input ends: for a program that starts a server for itself alone",
    )
    command.set_defaults(run=lambda options: _serve(command, options))


def _serve(command: CommandParser, options: argparse.Namespace) -> int:
    from threedimo.wire.connection import home_folder
    from threedimo_server.front import run_server
    from threedimo_server.settings import Settings, make_config, read_settings

    if options.port == LAST_PORT and options.data_port is None:
        command.error(f"argument --port: there is no port after {LAST_PORT} for data; add --data-port")
    ports = [given for given in (options.port, options.data_port, options.metrics_port) if given is not None]
    if len(set(ports)) != len(ports):
        command.error("arguments --port, --data-port, --metrics-port: each needs a port of its own")
    home = home_folder()
    asked = Settings(
        model=options.model,
        adapter=options.adapter,
        untrained=options.untrained,
        lora=options.lora,
        lora_steps=options.lora_steps,
        devices=options.device,
        memory=options.memory,
        attention=options.attention,
        compile=options.compile,
        host=options.host,
        port=options.port,
        data_port=options.data_port,
        metrics_port=options.metrics_port,
    )
    config = make_config(asked.over(read_settings(home, os.environ)), home)
    return run_server(config, end_with_input=options.end_with_input)
