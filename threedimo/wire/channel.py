"""One socket of a client, its keys, its signs of life, and why a server does not let it in.

ZeroMQ goes on connecting in silence, whatever the reason why it fails. A monitor of the socket tells the
reasons apart: an unknown key, a server with another key, one with keys where none were given.
"""

from __future__ import annotations

import struct
from typing import Any

import zmq

from threedimo.errors import AccessRefused, ServerUnreachable
from threedimo.wire.codec import DEFAULT_LIMITS, Buffer
from threedimo.wire.connection import ConnectionInfo
from threedimo.wire.keys import pair_of, parse_key

MAX_BROKEN_HANDSHAKES = 3
"""So many connections in a row may break off before a welcome: one alone can be a server that just stops."""

_WATCHED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_EVENT = struct.Struct("=HI")


class Channel:
    """A DEALER socket that is connected to one endpoint.

    Args:
        context: Of ZeroMQ.
        info: The server, for its key and the client's.
        endpoint: One of the server's two.
        now: Monotonic seconds.

    Raises:
        ServerUnreachable: The endpoint is not possible.
        InvalidKey: A key is damaged.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], info: ConnectionInfo, endpoint: str, now: float
    ):
        self.welcomed = False
        self.greeting_id = 0
        self.heard_at = now
        self.asked_at: float | None = None
        """When the oldest ping that is still unanswered was sent.

        Silence counts from here and not from `heard_at`: a program that was busy and did not pump for a
        minute heard nothing because it asked nothing.
        """
        self.pinged_at = now
        self.refusal: AccessRefused | None = None
        """Why the server will never let this client in, once that is known."""
        self._endpoint = endpoint
        self._encrypted = bool(info.server_key)
        self._num_broken = 0
        self.socket = context.socket(zmq.DEALER)
        self._monitor: zmq.Socket[Any] | None = None
        try:
            self._prepare(info)
            self._monitor = self.socket.get_monitor_socket(_WATCHED)
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close(linger_ms=0)
            raise ServerUnreachable(
                f"the endpoint cannot be used: {error}", given=endpoint, remedy="check the server's address"
            ) from error
        except BaseException:
            self.close(linger_ms=0)
            raise

    @property
    def sockets(self) -> list[zmq.Socket[Any]]:
        """What to poll while waiting."""
        return [self.socket] if self._monitor is None else [self.socket, self._monitor]

    def receive(self, now: float) -> list[Buffer] | None:
        """The parts of the next message, or None if none waits."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        self.heard_at = now
        self.asked_at = None
        return [frame.buffer for frame in frames]

    def watch_handshake(self) -> None:
        """Read how connecting went since the last call."""
        while self._monitor is not None and self._monitor.poll(0):
            event, _ = _EVENT.unpack(self._monitor.recv_multipart()[0])
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.refusal = AccessRefused(
                    "the server does not let this computer's key in",
                    given=self._endpoint,
                    remedy="send the word that `threedimo keys show` prints to whoever runs the server, "
                    "who lets it in with `threedimo keys allow NAME KEY`",
                )
            elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self.refusal = self._other_mechanism()
            elif self._encrypted:
                self._num_broken += 1

    def broken_off(self) -> AccessRefused | None:
        """Why connections break off before anything can be said, if they do so again and again."""
        if self._num_broken < MAX_BROKEN_HANDSHAKES:
            return None
        return AccessRefused(
            "the server breaks the connection off: it has another key than the one that is known here, or it "
            "has no keys",
            given=self._endpoint,
            remedy="ask for the server's key again, then `threedimo keys remove ADDRESS` and "
            "`threedimo keys trust ADDRESS KEY`",
        )

    def close(self, linger_ms: int) -> None:
        """Close the socket; what was sent may still leave for so long."""
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = None
        self.socket.close(linger=linger_ms)

    def _prepare(self, info: ConnectionInfo) -> None:
        self.socket.setsockopt(zmq.LINGER, 0)
        # Nothing is sent before the welcome and bulk data only on credit: the queue is short without a mark,
        # and a send never has to wait.
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.MAXMSGSIZE, DEFAULT_LIMITS.max_body_bytes)
        if self._encrypted:
            own = pair_of(info.client_secret, "client")
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, parse_key(info.server_key, "threedimo-server"))
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)

    def _other_mechanism(self) -> AccessRefused:
        if self._encrypted:
            return AccessRefused(
                "the server has no keys, though one is known here, or this is no server of 3DiMo",
                given=self._endpoint,
                remedy="check the address, and ask whoever runs the server",
            )
        return AccessRefused(
            "the server takes connections with keys only, or this is no server of 3DiMo",
            given=self._endpoint,
            remedy="ask for the server's key, then `threedimo keys trust ADDRESS KEY`",
        )
