"""`threedimo keys`: make keys, and exchange their public halves with the people of a studio."""

from __future__ import annotations

import argparse

from threedimo_server.arguments import CommandParser

DESCRIPTION = """\
Keys let the computers of a studio use one server: what travels is encrypted, and only clients that the server
lets in can connect. A public key is one word that may be mailed and read by anybody; compare its last
characters by voice if the mail cannot be trusted.
"""

EPILOG = """\
On the server, once:
  threedimo keys server                              makes its key and prints the public word
On each client, once:
  threedimo keys client                              makes its key and prints the public word
  threedimo keys trust tcp://render-1:7400 WORD      with the server's word
On the server, for each client:
  threedimo keys allow anna WORD                     with the client's word
  threedimo serve --host 0.0.0.0 --port 7400
Then, on the client:
  threedimo generate --server tcp://render-1:7400 ...

Keys lie in THREEDIMO_HOME/keys (otherwise ~/.threedimo/keys), the private ones in server.key and client.key.
"""


def add_keys(commands: argparse._SubParsersAction[CommandParser]) -> CommandParser:
    """Add the command; each of its own commands sets `act`, which gives the lines to print."""
    keys = commands.add_parser(
        "keys",
        help="make and exchange the keys that let other machines in",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = keys.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    server = actions.add_parser("server", help="make this computer's key as a server, print its public half")
    server.set_defaults(act=lambda _: make_server_key())
    client = actions.add_parser("client", help="make this computer's key as a client, print its public half")
    client.set_defaults(act=lambda _: make_client_key())
    show = actions.add_parser("show", help="print the public keys, who is let in, and who is trusted")
    show.set_defaults(act=lambda _: show_keys())
    allow = actions.add_parser("allow", help="let a client in")
    allow.add_argument("name", metavar="NAME", help="of the person or computer, for lists and logs")
    allow.add_argument("word", metavar="WORD", help="what `threedimo keys client` printed there")
    allow.set_defaults(act=lambda options: allow_client(options.name, options.word))
    trust = actions.add_parser("trust", help="know a server by its key")
    trust.add_argument("address", metavar="ADDRESS", help="tcp://host:port")
    trust.add_argument("word", metavar="WORD", help="what `threedimo keys server` printed there")
    trust.set_defaults(act=lambda options: trust_server(options.address, options.word))
    remove = actions.add_parser("remove", help="let a client in no more, or forget a server")
    remove.add_argument("name", metavar="NAME", help="of the client, or the address of the server")
    remove.set_defaults(act=lambda options: remove_key(options.name))
    return keys


def make_server_key() -> list[str]:
    """Make this computer's key as a server; its public word.

    Raises:
        InvalidKey: There is one.
        StorageError: It cannot be written.
    """
    from threedimo.wire.connection import keys_folder
    from threedimo.wire.keys import SERVER_SECRET, create_secret

    return [create_secret(keys_folder() / SERVER_SECRET, "server").public_word]


def make_client_key() -> list[str]:
    """Make this computer's key as a client; its public word. Raises as `make_server_key`."""
    from threedimo.wire.connection import keys_folder
    from threedimo.wire.keys import CLIENT_SECRET, create_secret

    return [create_secret(keys_folder() / CLIENT_SECRET, "client").public_word]


def show_keys() -> list[str]:
    """All public keys that this computer knows, its own first.

    Raises:
        InvalidKey: A file is damaged or open to others.
    """
    from threedimo.wire.connection import keys_folder, known_servers
    from threedimo.wire.keys import CLIENT_SECRET, SERVER_SECRET, key_word, read_secret
    from threedimo_server.gate import allowed_clients

    folder = keys_folder()
    lines: list[str] = []
    if (folder / SERVER_SECRET).exists():
        lines.append(f"this server  {read_secret(folder / SERVER_SECRET, 'server').public_word}")
    if (folder / CLIENT_SECRET).exists():
        lines.append(f"this client  {read_secret(folder / CLIENT_SECRET, 'client').public_word}")
    for name, key in allowed_clients(folder).read().items():
        lines.append(f"lets in      {key_word('threedimo-client', key)}  {name}")
    for address, key in known_servers(folder).read().items():
        lines.append(f"trusts       {key_word('threedimo-server', key)}  {address}")
    return lines or ["no keys; `threedimo keys --help` shows what to make"]


def known_keys() -> str:
    """In a few words which keys there are; "" without any.

    Raises:
        InvalidKey: A file is damaged or open to others.
    """
    from threedimo.wire.connection import keys_folder, known_servers
    from threedimo.wire.keys import CLIENT_SECRET, SERVER_SECRET, read_secret
    from threedimo_server.gate import allowed_clients

    folder, found = keys_folder(), []
    if (folder / SERVER_SECRET).exists():
        read_secret(folder / SERVER_SECRET, "server")
        found.append("this server's own")
    if (folder / CLIENT_SECRET).exists():
        read_secret(folder / CLIENT_SECRET, "client")
        found.append("this client's own")
    for count, what in (
        (len(allowed_clients(folder).read()), "let in"),
        (len(known_servers(folder).read()), "trusted"),
    ):
        if count:
            found.append(f"{count} {what}")
    return ", ".join(found)


def allow_client(name: str, word: str) -> list[str]:
    """Let a client in, from now on.

    Raises:
        InvalidKey: The word is no client's public key, or it or the name is on the list.
        StorageError: The list cannot be written.
    """
    from threedimo.wire.connection import keys_folder
    from threedimo.wire.keys import parse_key
    from threedimo_server.gate import allowed_clients

    allowed_clients(keys_folder()).add(name, parse_key(word, "threedimo-client"))
    return [f"{name} is let in; a running server needs no restart"]


def trust_server(address: str, word: str) -> list[str]:
    """Know a server by its key.

    Raises:
        ServerUnreachable: The address has another form.
        InvalidKey: The word is no server's public key, or it or the address is on the list.
        StorageError: The list cannot be written.
    """
    from threedimo.wire.connection import keys_folder, known_servers, parse_address
    from threedimo.wire.keys import parse_key

    control = parse_address(address).control
    known_servers(keys_folder()).add(control, parse_key(word, "threedimo-server"))
    return [f"{control} is trusted; use it with --server {control}"]


def remove_key(name: str) -> list[str]:
    """Take a client or a server off its list.

    Raises:
        InvalidKey: It is on neither.
        StorageError: The list cannot be written.
    """
    from threedimo.wire.connection import keys_folder, known_servers
    from threedimo_server.gate import allowed_clients

    folder = keys_folder()
    if "://" in name:
        known_servers(folder).remove(name)
        return [f"{name} is not trusted any more"]
    allowed_clients(folder).remove(name)
    return [f"{name} is not let in any more; a running server ends its connections within seconds"]
