"""Where the server is: the home folder, the connection file, and addresses given by hand.

The connection file is the server's door key: whoever can read it may use the server. It is therefore written
with mode 0600, in one step, and its token never shows in a `repr`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from threedimo.errors import AccessRefused, MalformedMessage, ServerUnreachable, UnwritableFolder
from threedimo.wire.codec import version_mismatch
from threedimo.wire.messages import PROTOCOL_VERSION, Version
from threedimo.wire.processes import process_is_alive

HOME_VARIABLE = "THREEDIMO_HOME"
CONNECTION_FILE = "connection.json"

_MAX_FILE_BYTES = 64 * 1024
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
    """

    control: str
    data: str
    token: str = field(default="", repr=False)
    pid: int = 0
    version: int = PROTOCOL_VERSION


class _Versioned(msgspec.Struct):
    version: Version


class _ConnectionFile(_Versioned, forbid_unknown_fields=True):
    control: str
    data: str
    token: str
    pid: int


def home_folder() -> Path:
    """The folder of a user's state: `THREEDIMO_HOME` if set, else `~/.threedimo`. It need not exist yet."""
    given = os.environ.get(HOME_VARIABLE, "")
    return Path(given).expanduser().absolute() if given else Path.home() / ".threedimo"


def connection_path() -> Path:
    """Where a server of this user leaves its connection file."""
    return home_folder() / CONNECTION_FILE


def find_server(where: str | None = None, token: str = "") -> ConnectionInfo:
    """The server that a person named: nothing, an address, or a connection file.

    Args:
        where: None or "" for this user's own server; `tcp://host:port` (see `parse_address`); or a path.
        token: Used with an address only; a connection file holds its own.

    Raises:
        ServerUnreachable, VersionMismatch, MalformedMessage: As `read_connection` and `parse_address`.
    """
    if not where:
        return read_connection()
    if "://" in where:
        return parse_address(where, token)
    return read_connection(Path(where).expanduser())


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
    host = match["host"]
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
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES + 1)
    except PermissionError as error:
        raise AccessRefused(
            "the connection file may not be read",
            given=file,
            remedy="use the server as the user who started it",
        ) from error
    except OSError as error:
        raise ServerUnreachable("no server is running here", given=file, remedy=_START_SERVER) from error
    if len(text) > _MAX_FILE_BYTES:
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
    return ConnectionInfo(found.control, found.data, found.token, found.pid, found.version)


def write_connection(path: Path, info: ConnectionInfo) -> None:
    """Write a connection file in one step, readable by its owner alone. Missing folders are made, mode 0700.

    Raises:
        UnwritableFolder: The folder cannot be made or written.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(asdict(info))))
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise UnwritableFolder(
            f"the connection file cannot be written: {error.strerror}",
            given=path,
            remedy=f"free the folder, or set {HOME_VARIABLE} to one that can be written",
        ) from error


def remove_connection(path: Path, info: ConnectionInfo) -> None:
    """Remove the file that `info` was written to, unless another server has written its own there since."""
    try:
        found = _parse(_read_limited(path), path)
    except (ServerUnreachable, MalformedMessage):
        return
    if found == info:
        path.unlink(missing_ok=True)
