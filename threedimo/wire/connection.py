"""Where the server is: the home folder, the connection file, and addresses given by hand.

The connection file is the server's door key: whoever can read it may use the server. It is therefore written
with mode 0600, in one step, and its secrets never show in a `repr`. A server of another machine has no token
for its clients: it knows them by their keys, and they know it by its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec

from threedimo.errors import AccessRefused, MalformedMessage, ServerUnreachable
from threedimo.wire.codec import version_mismatch
from threedimo.wire.fields import Version
from threedimo.wire.key_lists import KNOWN_SERVERS, KeyList
from threedimo.wire.keys import CLIENT_SECRET, key_word, read_secret
from threedimo.wire.messages import PROTOCOL_VERSION
from threedimo.wire.private_files import read_small, replace_private
from threedimo.wire.processes import process_is_alive

HOME_VARIABLE = "THREEDIMO_HOME"
CONNECTION_FILE = "connection.json"

_START_SERVER = "start a server with `threedimo serve`, or give its address"
_LOOPBACK = re.compile(r"^(ipc://|tcp://(127\.\d+\.\d+\.\d+|localhost|\[::1\]):)")
_ADDRESS = re.compile(r"^tcp://(?P<host>\[[0-9A-Fa-f:]+\]|[0-9A-Za-z.\-]+):(?P<port>\d{1,5})$", re.ASCII)
_LAST_PORT = 65_535


@dataclass(frozen=True)
class ConnectionInfo:
    """How to reach a server.

    Attributes:
        control: ZeroMQ endpoint of small messages.
        data: ZeroMQ endpoint of uploads and downloads.
        token: The secret that `hello` carries; empty if the server asks for none.
        pid: The server's process, on the server's machine; 0 if unknown.
        version: The protocol that the server speaks.
        server_key: The server's public key as a word of `threedimo.wire.keys`; empty for a server without
            encryption, which is reached on its own machine only.
        client_secret: The secret key that a client shows to a server with a key.
    """

    control: str
    data: str
    token: str = field(default="", repr=False)
    pid: int = 0
    version: int = PROTOCOL_VERSION
    server_key: str = ""
    client_secret: str = field(default="", repr=False)


class _Versioned(msgspec.Struct):
    version: Version


class _ConnectionFile(_Versioned, forbid_unknown_fields=True):
    control: str
    data: str
    token: str
    pid: int
    server_key: str = ""
    client_secret: str = ""


def home_folder() -> Path:
    """The folder of a user's state: `THREEDIMO_HOME` if set, else `~/.threedimo`. It need not exist yet."""
    given = os.environ.get(HOME_VARIABLE, "")
    return Path(given).expanduser().absolute() if given else Path.home() / ".threedimo"


def connection_path() -> Path:
    """Where a server of this user leaves its connection file."""
    return home_folder() / CONNECTION_FILE


def keys_folder() -> Path:
    """The folder of this user's keys; see `threedimo.wire.keys`. It need not exist yet."""
    return home_folder() / "keys"


def known_servers(folder: Path) -> KeyList:
    """The servers that a folder of keys trusts, by address."""
    return KeyList(folder / KNOWN_SERVERS, "threedimo-server")


def find_server(where: str | None = None, token: str = "") -> ConnectionInfo:
    """The server that a person named: nothing, an address, or a connection file.

    Args:
        where: None or "" for this user's own server; `tcp://host:port` (see `parse_address`); or a path.
        token: Used with the address of a server without keys only; a connection file holds its own.

    Raises:
        ServerUnreachable, VersionMismatch, MalformedMessage: As `read_connection` and `parse_address`.
        AccessRefused: The address is on another machine, and the server's key is not known here.
        InvalidKey: This user's own key, or the list of known servers, cannot be used.
    """
    if not where:
        return read_connection()
    if "://" in where:
        return _with_keys(parse_address(where, token))
    return read_connection(Path(where).expanduser())


def _with_keys(info: ConnectionInfo) -> ConnectionInfo:
    known = known_servers(keys_folder()).read().get(info.control)
    if known is not None:
        secret = read_secret(keys_folder() / CLIENT_SECRET, "client").secret_word
        server_key = key_word("threedimo-server", known)
        return replace(info, token="", server_key=server_key, client_secret=secret)
    if not _LOOPBACK.match(info.control):
        raise AccessRefused(
            "the key of this server is not known here, and nothing is sent to another machine without one",
            given=info.control,
            remedy=f"ask for the server's key, then `threedimo keys trust {info.control} KEY`",
        )
    return info


def parse_address(address: str, token: str = "") -> ConnectionInfo:
    """A server named by hand as `tcp://host:port`: the control port; data is the port after it.

    Raises:
        ServerUnreachable: The address has another form.
    """
    match = _ADDRESS.match(address.strip())
    port = int(match["port"]) if match else 0
    if match is None or not 1 <= port < _LAST_PORT:
        raise ServerUnreachable(
            "this is not the address of a server",
            given=address,
            allowed="tcp://host:port with a port from 1 to 65534",
            remedy="copy the address that `threedimo serve` prints",
        )
    host = match["host"].lower()
    return ConnectionInfo(f"tcp://{host}:{port}", f"tcp://{host}:{port + 1}", token)


def read_connection(path: Path | None = None) -> ConnectionInfo:
    """Read a connection file.

    Args:
        path: The file; None means this user's own.

    Raises:
        ServerUnreachable: There is no such file, or the server that wrote it has ended.
        VersionMismatch: The server speaks another version of the protocol.
        MalformedMessage: The file is damaged.
        AccessRefused: The file belongs to another user.
    """
    file = connection_path() if path is None else path
    text = _read_limited(file)
    info = _parse(text, file)
    if info.pid and _LOOPBACK.match(info.control) and not process_is_alive(info.pid):
        raise ServerUnreachable(
            "the server that wrote the connection file has ended without removing it",
            given=f"{file}, process {info.pid}",
            remedy=_START_SERVER,
        )
    return info


def _read_limited(file: Path) -> bytes:
    try:
        text = read_small(file)
    except PermissionError as error:
        raise AccessRefused(
            "the connection file may not be read",
            given=file,
            remedy="use the server as the user who started it",
        ) from error
    except OSError as error:
        raise ServerUnreachable("no server is running here", given=file, remedy=_START_SERVER) from error
    if text is None:
        raise MalformedMessage("this is not a connection file", given=file, remedy=_START_SERVER)
    return text


def _parse(text: bytes, file: Path) -> ConnectionInfo:
    try:
        # The version first: a newer server may write fields that are unknown here.
        theirs = msgspec.json.decode(text, type=_Versioned).version
        if theirs != PROTOCOL_VERSION:
            raise version_mismatch(theirs, peer="server")
        found = msgspec.json.decode(text, type=_ConnectionFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(
            f"the connection file is damaged: {error}",
            given=file,
            remedy="restart the server, which writes it anew",
        ) from error
    return ConnectionInfo(
        found.control,
        found.data,
        found.token,
        found.pid,
        found.version,
        found.server_key,
        found.client_secret,
    )


def write_connection(path: Path, info: ConnectionInfo) -> None:
    """Write a connection file in one step, readable by its owner alone. Missing folders are made, mode 0700.

    Raises:
        UnwritableFolder, StorageError: The folder cannot be made or written.
    """
    content = msgspec.json.format(msgspec.json.encode(asdict(info)))
    replace_private(path, content, "the connection file")


def remove_connection(path: Path, info: ConnectionInfo) -> None:
    """Remove the file that `info` was written to, unless another server has written its own there since."""
    try:
        found = _parse(_read_limited(path), path)
    except (ServerUnreachable, MalformedMessage):
        return
    if found == info:
        path.unlink(missing_ok=True)
