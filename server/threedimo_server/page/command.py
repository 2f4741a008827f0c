"""`threedimo page`: serve the page on loopback until Ctrl-C."""

from __future__ import annotations

import argparse
import secrets
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from threedimo.errors import PortInUse
from threedimo_server.arguments import CommandParser, add_server_option, port

_DESCRIPTION = """\
Shows the queue in a browser: jobs with progress and previews, results playing beside their driving footage,
and a button to cancel. It is a client of the server like Blender and the other commands, also of a server on
another machine (see `threedimo keys`), and is itself reached from this machine only, with the address that it
prints. Ctrl-C ends the page, and nothing else.
"""


def add_page(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "page",
        help="show the queue in a browser",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--port", type=port, metavar="N", help="of the page (default: any free)")
    command.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    add_server_option(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    def announce(address: str) -> None:
        print(f"queue: {address}", flush=True)  # noqa: T201 - the command's one line
        if not options.no_browser:
            webbrowser.open(address)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        serve_page(options.server, options.port, announce)
    return 0


def serve_page(server: str | None, page_port: int | None, announce: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        server: Connection file of the server, or None for this user's own.
        page_port: TCP port on loopback, or None for any free one.
        announce: Is told the address once it answers.

    Raises:
        PortInUse: Another program listens on the port.
        ServerUnreachable, AccessRefused, VersionMismatch: There is no server, or it refuses this client.
    """
    import uvicorn

    from threedimo.wire.connection import find_server
    from threedimo_server.job_run import connected_client
    from threedimo_server.page.app import make_app
    from threedimo_server.page.board import Board

    find = partial(find_server, server)
    with connected_client(find) as client:
        models = client.capabilities.models if client.capabilities else []
        name = ", ".join(model.id for model in models)
    with _listening(page_port) as listener, tempfile.TemporaryDirectory(prefix="threedimo-page-") as folder:
        served_port: int = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        board = Board(find, Path(folder))
        try:
            app = make_app(board, name, token, served_port)
            config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
            announce(f"http://127.0.0.1:{served_port}/?token={token}")
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            board.close()


def _listening(page_port: int | None) -> socket.socket:
    """A socket that listens already, so that the address answers from the moment it is told."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", page_port or 0))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortInUse(
            "another program listens on the page's port",
            given=page_port,
            remedy="choose another --port, or leave it out",
        ) from error
    return listener
