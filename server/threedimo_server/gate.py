"""The gate: which computers may connect to a server that others can reach. CURVE keys and a list of them.

Encryption alone lets in whoever has any key, so ZeroMQ asks this handler (ZAP, RFC 27) about each client's
key in every handshake, before a single message of it is read. Its socket belongs to the front's own loop:
there is no other thread, and without an answer nobody comes in.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import zmq

from threedimo.errors import AccessRefused, InvalidKey
from threedimo.wire.key_lists import ALLOWED_CLIENTS, KeyList
from threedimo.wire.keys import KEY_BYTES, SERVER_SECRET, key_word, make_pair, read_secret

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0
"""At most one refusal is logged in so long; the others are counted."""

LOCAL_NAME = "this computer"

_BATCH = 100
_DOMAIN = b"threedimo"
_HANDLER = "inproc://zeromq.zap.01"
_USER = "User-Id"


def allowed_clients(keys_folder: Path) -> KeyList:
    """The clients that the server of a folder of keys lets in, by name."""
    return KeyList(keys_folder / ALLOWED_CLIENTS, "threedimo-client")


class Gate:
    """Keys of the server, and the answer to who may come in. Open it before the sockets that it guards.

    The list of allowed clients is read anew for each question, so that changes need no restart. While it is
    damaged nobody comes in, and whoever is in stays.

    Args:
        keys_folder: With the server's key and the list of allowed clients.

    Raises:
        AccessRefused: There is no server's key, or no client is allowed.
        InvalidKey: The server's key or the list is damaged or open to others.
    """

    def __init__(self, keys_folder: Path):
        secret = keys_folder / SERVER_SECRET
        if not secret.exists():
            raise AccessRefused(
                "the server listens to other machines only with a key of its own",
                given=f"no {secret}",
                remedy="`threedimo keys server`, then `threedimo keys allow NAME KEY` for each client; or "
                "serve this machine only",
            )
        self._key = read_secret(secret, "server")
        self._allowed = allowed_clients(keys_folder)
        if not self._allowed.read():
            raise AccessRefused(
                "no client is allowed to reach the server",
                given=self._allowed.path,
                remedy="let each in with `threedimo keys allow NAME KEY`",
            )
        self.local = make_pair("client")
        """A key for this run, for clients on this machine that can read the connection file."""
        self._num_refusals = 0
        self._log_at_s = 0.0
        self._first_refusal = ""
        self._socket: zmq.Socket[bytes] | None = None

    def open(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Be asked about everybody who connects to a guarded socket of this context."""
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_HANDLER)

    def close(self) -> None:
        """Answer no more: nobody new comes in."""
        if self._socket is not None:
            self._socket.close()

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Where the questions come; of an open gate."""
        if self._socket is None:
            raise RuntimeError("this gate was never opened")
        return self._socket

    @property
    def public_word(self) -> str:
        """The server's public key, for its clients."""
        return self._key.public_word

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket accept only encrypted connections of allowed clients. Call it before `bind`."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._key.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._key.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        # Without this, libzmq lets every key in when no handler answers.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def answer(self) -> None:
        """Answer handshakes that wait; not more at once than let the front's loop go on."""
        for _ in range(_BATCH):
            if not self.socket.poll(0):
                break
            self._answer(self.socket.recv_multipart())
        self._log_refusals()

    def name_of(self, user: str) -> str | None:
        """The name under which a key may come in now, or None.

        Args:
            user: The public key as a word.
        """
        try:
            return self._names().get(user)
        except InvalidKey as error:
            self._refuse(f"everybody: {error}")
            return None

    def is_removed(self, user: str) -> bool:
        """Whether a key that came in is not on the list any more. A damaged list removes nobody."""
        try:
            return user not in self._names()
        except InvalidKey:
            return False

    @staticmethod
    def user_of(frame: zmq.Frame) -> str:
        """The public key, as a word, of whoever sent a message through a guarded socket."""
        return str(frame.get(_USER))

    def _answer(self, question: list[bytes]) -> None:
        version, request_id, domain, address, _, mechanism, *credentials = question
        user = self._user(domain, mechanism, credentials, address.decode(errors="replace"))
        status, text = (b"400", b"refused") if user is None else (b"200", b"OK")
        self.socket.send_multipart([version, request_id, status, text, (user or "").encode(), b""])

    def _user(self, domain: bytes, mechanism: bytes, credentials: list[bytes], address: str) -> str | None:
        """The public word of the client if it may come in."""
        if (
            domain != _DOMAIN
            or mechanism != b"CURVE"
            or len(credentials) != 1
            or len(credentials[0]) != KEY_BYTES
        ):
            self._refuse(f"{address} without a key")
            return None
        word = key_word("threedimo-client", credentials[0])
        if self.name_of(word) is not None:
            return word
        self._refuse(f"{address} with the key {word}, which is not on the list")
        return None

    def _names(self) -> dict[str, str]:
        names = {key_word("threedimo-client", key): name for name, key in self._allowed.read().items()}
        return {**names, self.local.public_word: LOCAL_NAME}

    def _refuse(self, whom: str) -> None:
        self._num_refusals += 1
        if self._num_refusals == 1:
            self._first_refusal = whom

    def _log_refusals(self) -> None:
        now = time.monotonic()
        if self._num_refusals == 0 or now < self._log_at_s:
            return
        more = f" (and {self._num_refusals - 1} more refusals)" if self._num_refusals > 1 else ""
        logger.warning("refused %s%s", self._first_refusal, more)
        self._num_refusals, self._log_at_s = 0, now + LOG_INTERVAL_S
