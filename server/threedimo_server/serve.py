"""`threedimo serve`: options to a `ServerConfig`."""

from __future__ import annotations

import argparse

from threedimo_server.arguments import LAST_PORT, CommandParser, add_model_options, port

DESCRIPTION = """\
Runs the server until Ctrl-C or SIGTERM. Jobs and results outlive it. Other machines reach it only with
--host, and only with keys that it lets in: see `threedimo keys --help`.
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
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen on this address of the machine, 0.0.0.0 for all (default: this machine only)",
    )
    command.add_argument("--port", type=port, metavar="N", help="control port (default: any free)")
    command.add_argument(
        "--data-port", type=port, metavar="N", help="data port (default: the one after --port)"
    )
    command.add_argument(
        "--end-with-input",
        action="store_true",
        help="stop when standard input ends: for a program that starts a server for itself alone",
    )
    command.set_defaults(run=lambda options: _serve(command, options))


def _serve(command: CommandParser, options: argparse.Namespace) -> int:
    from threedimo.wire.connection import home_folder
    from threedimo_server.config import ServerConfig
    from threedimo_server.front import run_server

    control_port, data_port = options.port, options.data_port
    if data_port is None and control_port is not None:
        if control_port == LAST_PORT:
            command.error(f"argument --port: there is no port after {LAST_PORT} for data; add --data-port")
        data_port = control_port + 1
    elif data_port is not None and data_port == control_port:
        command.error("argument --data-port: control and data need a port each")
    config = ServerConfig(
        home=home_folder(),
        model=options.model,
        adapter=options.adapter,
        untrained=options.untrained,
        devices=tuple(options.device or ("auto",)),
        host=options.host,
        control_port=control_port,
        data_port=data_port,
    )
    return run_server(config, end_with_input=options.end_with_input)
