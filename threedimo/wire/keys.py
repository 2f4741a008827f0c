"""CURVE keys: who a server is and who a client is, as words to mail and as private files.

A key is written as one word, for example `threedimo-client:` followed by 48 characters that hold its 32 bytes
and a checksum: a word that was cut, mistyped or taken for another kind is refused, never used. The folder of
keys (`threedimo.wire.connection.keys_folder`) holds at most

    server.key       this computer's secret as a server, mode 0600
    client.key       this computer's secret as a client, mode 0600
    allowed_clients  whom the server lets in, and
    known_servers    which servers the client trusts: see `threedimo.wire.key_lists`
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import zmq
from zmq.utils import z85

from threedimo.errors import InvalidKey
from threedimo.wire.private_files import create_private, open_to_others, read_small

SERVER_SECRET = "server.key"
CLIENT_SECRET = "client.key"

KEY_BYTES = 32

Role = Literal["server", "client"]
Kind = Literal["threedimo-server", "threedimo-client", "threedimo-server-secret", "threedimo-client-secret"]

_PUBLIC: dict[Role, Kind] = {"server": "threedimo-server", "client": "threedimo-client"}
_SECRET: dict[Role, Kind] = {"server": "threedimo-server-secret", "client": "threedimo-client-secret"}
_CHECKSUM_BYTES = 4
_BODY_LENGTH = 48
_WORD = re.compile(r"^(?P<kind>threedimo-(?:server|client)(?:-secret)?):(?P<body>[0-9A-Za-z_\-]*)$", re.ASCII)
_SHOWN_LENGTH = 80
_NOTE = "# Private: whoever has this file can pass for this computer. Never send it.\n"


@dataclass(frozen=True)
class KeyPair:
    """The two halves of a key.

    Attributes:
        role: Whose key it is.
        public: 32 bytes that others may know.
        secret: 32 bytes that nobody else may know.
    """

    role: Role
    public: bytes
    secret: bytes = field(repr=False)

    @property
    def public_word(self) -> str:
        """The public half as the word that is given to others."""
        return key_word(_PUBLIC[self.role], self.public)

    @property
    def secret_word(self) -> str:
        """The secret half as the word that private files hold."""
        return key_word(_SECRET[self.role], self.secret)


def make_pair(role: Role) -> KeyPair:
    """A new pair from the system's randomness."""
    public, secret = zmq.curve_keypair()
    return KeyPair(role, z85.decode(public), z85.decode(secret))


def pair_of(secret_word: str, role: Role) -> KeyPair:
    """The pair to which a secret half belongs.

    Raises:
        InvalidKey: The word is damaged, or of another kind.
    """
    secret = parse_key(secret_word, _SECRET[role])
    return KeyPair(role, z85.decode(zmq.curve_public(z85.encode(secret))), secret)


def key_word(kind: Kind, key: bytes) -> str:
    """A key of 32 bytes as one word."""
    return f"{kind}:{base64.urlsafe_b64encode(key + _checksum(kind, key)).decode()}"


def parse_key(word: str, kind: Kind) -> bytes:
    """The 32 bytes of a key that was written as a word of this kind.

    Raises:
        InvalidKey: It is damaged, or of another kind.
    """
    match = _WORD.match(word.strip())
    if match is None:
        raise InvalidKey(
            "this is not a key", given=_shown(word, kind), allowed=f"{kind}: and {_BODY_LENGTH} characters"
        )
    if match["kind"].endswith("-secret") and not kind.endswith("-secret"):
        raise InvalidKey(
            "this is a private key, which must never leave its computer",
            allowed=f"the public one, which begins with {kind}:",
            remedy="ask for what `threedimo keys show` prints, and for a new pair if others saw this one",
        )
    if match["kind"] != kind:
        raise InvalidKey("this is a key of another kind", given=match["kind"], allowed=kind)
    body = base64.urlsafe_b64decode(match["body"]) if len(match["body"]) == _BODY_LENGTH else b""
    key = body[:KEY_BYTES]
    if not body or body[KEY_BYTES:] != _checksum(kind, key):
        raise InvalidKey(
            "the key is damaged: characters are missing or changed",
            given=_shown(word, kind),
            remedy="copy the whole word again",
        )
    return key


def create_secret(path: Path, role: Role) -> KeyPair:
    """Make a pair and keep its secret in a new file that only this user can read.

    Raises:
        InvalidKey: There is such a file already; it is left alone.
        StorageError: The file cannot be written.
    """
    pair = make_pair(role)
    try:
        create_private(path, f"{_NOTE}{pair.secret_word}\n".encode(), f"the {role}'s key")
    except FileExistsError as error:
        raise InvalidKey(
            f"this computer has a {role} key already",
            given=path,
            remedy="see its public half with `threedimo keys show`; to replace it move that file away first, "
            "and give the new key to everybody who knew the old one",
        ) from error
    return pair


def read_secret(path: Path, role: Role) -> KeyPair:
    """The pair whose secret a private file holds.

    Raises:
        InvalidKey: There is no such file, others may read it, or it is damaged.
    """
    remedy = f"restore it, or move it away and make a new one with `threedimo keys {role}`"
    try:
        content = read_small(path)
        exposed = open_to_others(path, 0o077)
    except FileNotFoundError as error:
        raise InvalidKey(
            f"this computer has no {role} key",
            given=path,
            remedy=f"make one with `threedimo keys {role}`",
        ) from error
    except OSError as error:
        raise InvalidKey(
            f"the {role}'s key cannot be read: {error.strerror}", given=path, remedy=remedy
        ) from error
    if exposed:
        raise InvalidKey(
            f"others on this computer may read the {role}'s key",
            given=f"{path}, mode {path.stat().st_mode & 0o777:04o}",
            allowed="mode 0600",
            remedy=f"chmod 600 {path}; if others may have read it, move it away and make a new one",
        )
    lines = (content or b"").decode("ascii", errors="replace").splitlines()
    words = [line for line in lines if line.strip() and not line.startswith("#")]
    try:
        return pair_of(" ".join(words), role)
    except InvalidKey as error:
        raise InvalidKey(
            f"the {role}'s key is not usable: {error.problem}", given=path, remedy=remedy
        ) from error


def _checksum(kind: Kind, key: bytes) -> bytes:
    return hashlib.blake2b(kind.encode() + b":" + key, digest_size=_CHECKSUM_BYTES).digest()


def _shown(word: str, kind: Kind) -> str | None:
    """The word for an error, unless it may be a secret."""
    return None if kind.endswith("-secret") or "secret" in word else word.strip()[:_SHOWN_LENGTH]
