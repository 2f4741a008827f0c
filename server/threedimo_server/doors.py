"""A door: one endpoint of the server, who has said hello at it, and how far each client keeps up.

Nothing waits for a slow client. ZeroMQ queues a bounded number of messages for each, and a message that finds
the queue full is refused visibly (`ROUTER_MANDATORY`, no blocking); what to do then is the sender's business.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import zmq

from threedimo.errors import AccessRefused, PortInUse, ServerError
from threedimo.wire.codec import Buffer, encode
from threedimo.wire.messages import Limits, Message
from threedimo_server.gate import Gate

logger = logging.getLogger(__name__)


@dataclass
class Peer:
    """A client at one door.

    Attributes:
        name: What it calls itself, for people.
        user: Its key, as a word; empty at a door without a gate.
        heard_at_s: When it was last heard, in monotonic seconds.
    """

    name: str
    user: str
    heard_at_s: float


@dataclass(frozen=True)
class Letter:
    """A message that came in: from which connection (a routing id), whose key that has, and the parts."""

    sender: bytes
    user: str
    parts: list[Buffer]


class Door:
    """A ROUTER socket that is opened on a port, and always on the same one.

    Args:
        name: "control" or "data".
        host: Address to listen on; without a gate, of this machine alone.
        port: TCP port, or None for any free one.
        limits: Larger messages are dropped by ZeroMQ before they are read.
        queue_length: Messages that may wait for one client, and from it.
        gate: Who may come in from other machines; None lets everybody of this machine knock.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int | None,
        *,
        limits: Limits,
        queue_length: int,
        gate: Gate | None = None,
    ):
        self.name = name
        self._host, self._port = host, port
        self._queue_length = queue_length
        self._gate = gate
        self._limits = limits
        self._peers: dict[bytes, Peer] = {}
        self._socket: zmq.Socket[bytes] | None = None

    def open(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Listen.

        Raises:
            PortInUse: Another program listens there.
            ServerError: The system does not allow to listen there.
        """
        socket = self._socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, self._queue_length)
        socket.setsockopt(zmq.RCVHWM, self._queue_length)
        socket.setsockopt(zmq.MAXMSGSIZE, self._limits.max_body_bytes)
        if self._gate is not None:
            self._gate.guard(socket)
        try:
            socket.bind(f"tcp://{self._host}:{self._port or '*'}")
        except zmq.ZMQError as error:
            where = f"{self._host}:{self._port}"
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(
                    "another program listens on this port",
                    given=where,
                    remedy="stop that program (perhaps another server), or choose another port",
                ) from error
            raise ServerError(f"cannot listen: {error}", given=where, remedy="choose another port") from error
        self._port = int(self.endpoint.rsplit(":", 1)[1])

    def close(self, linger_ms: int = 200) -> None:
        """Close every connection; whoever was in must say hello again. What waits may leave for so long."""
        self._peers.clear()
        if self._socket is not None:
            self._socket.close(linger=linger_ms)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Of an open door."""
        if self._socket is None:
            raise RuntimeError("this door was never opened")
        return self._socket

    @property
    def endpoint(self) -> str:
        """Where an open door listens: "tcp://127.0.0.1:40001"."""
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self, most: int) -> Iterator[Letter]:
        """What has arrived. At most `most` messages."""
        for _ in range(most):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            sender = frames[0].bytes
            if sender in self._peers:
                self._peers[sender].heard_at_s = time.monotonic()
            user = "" if self._gate is None else self._gate.user_of(frames[0])
            yield Letter(sender, user, [frame.buffer for frame in frames[1:]])

    def admit(self, letter: Letter, name: str) -> None:
        """The sender has said hello and may go on.

        Raises:
            AccessRefused: Its key was taken off the list since it connected.
        """
        called = name
        if self._gate is not None:
            user = self._gate.name_of(letter.user)
            if user is None:
                raise AccessRefused("the server does not let this computer's key in any more")
            called = f"{name} of {user}"
        if not self.knows(letter.sender):
            logger.info("%s: %s says hello", self.name, called)
        self._peers[letter.sender] = Peer(name, letter.user, time.monotonic())

    def knows(self, sender: bytes) -> bool:
        """Whether the sender has said hello and was not forgotten since."""
        return sender in self._peers

    @property
    def num_peers(self) -> int:
        """How many have said hello and were not forgotten since."""
        return len(self._peers)

    def forget(self, sender: bytes) -> None:
        """The sender has left, or does not keep up: it must say hello again."""
        self._peers.pop(sender, None)

    def forget_silent(self, silence_s: float) -> None:
        """Forget everybody who said nothing for so long."""
        now = time.monotonic()
        for sender, peer in list(self._peers.items()):
            if now - peer.heard_at_s > silence_s:
                logger.info("%s: forgot %s after %.0f s of silence", self.name, peer.name, silence_s)
                self.forget(sender)

    def forget_refused(self) -> None:
        """Forget everybody whose key was taken off the list."""
        for sender, peer in list(self._peers.items()):
            if self._gate is not None and self._gate.is_removed(peer.user):
                logger.warning("%s: %s may not come in any more", self.name, peer.name)
                self.forget(sender)

    def offer(self, receiver: bytes, message: Message, body: Buffer | None = None) -> bool:
        """Send if the receiver keeps up.

        Returns:
            Whether the message was sent. A receiver that is gone is forgotten.

        Raises:
            LimitExceeded: The message is larger than clients accept.
        """
        parts = encode(message, body, self._limits)
        try:
            self.socket.send_multipart([receiver, *parts], flags=zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self.forget(receiver)
            return False
        return True

    def reply(self, receiver: bytes, message: Message) -> None:
        """Answer. Whoever asks and does not read the answers is forgotten."""
        if not self.offer(receiver, message) and self.knows(receiver):
            logger.warning("%s: %s does not read its answers", self.name, self._peers[receiver].name)
            self.forget(receiver)
