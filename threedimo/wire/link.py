"""One connection to a server: two sockets, greeting, heartbeat, and beginning again after a loss."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
import zmq

from threedimo.errors import AccessRefused, ProtocolError, ServerUnreachable, ThreeDimoError, from_code
from threedimo.wire.channel import Channel
from threedimo.wire.client_events import Connected, ConnectionLost, Refused
from threedimo.wire.codec import DEFAULT_LIMITS, Buffer, decode_server, encode, version_mismatch
from threedimo.wire.connection import ConnectionInfo
from threedimo.wire.messages import (
    PROTOCOL_VERSION,
    Bye,
    Capabilities,
    ClientMessage,
    ErrorReply,
    Hello,
    Ping,
    Pong,
    ServerMessage,
    Welcome,
)

_BYE_LINGER_MS = 50

ChannelName = Literal["control", "data"]


@dataclass(frozen=True)
class Timing:
    """When a client acts on silence, in seconds.

    Attributes:
        ping_s: A channel that was quiet for so long is asked whether it lives.
        lost_s: A channel that left a ping unanswered for so long is lost; also the wait for a welcome.
        retry_s: The first pause before connecting again; it doubles up to `max_retry_s`.
        max_retry_s: The longest pause.
        stalled_s: A transfer that did not move for so long is begun anew.
    """

    ping_s: float = 2.0
    lost_s: float = 10.0
    retry_s: float = 0.5
    max_retry_s: float = 5.0
    stalled_s: float = 30.0


class Link:
    """The state of one connection; used by `Client` alone.

    Args:
        find_server: Says where the server is, anew before each attempt, because a server that was restarted
            may listen elsewhere and have another token.
        name: Who the client is, for the server's log.
        timing: When to act on silence.
    """

    def __init__(self, find_server: Callable[[], ConnectionInfo], name: str, timing: Timing):
        self.limits = DEFAULT_LIMITS
        self.capabilities: Capabilities | None = None
        self.news: deque[Connected | ConnectionLost | Refused] = deque()
        self._find_server = find_server
        self._name = name
        self._timing = timing
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._channels: dict[ChannelName, Channel] = {}
        self._stopped = False
        self._last_id = 0
        self._opened_at = 0.0
        self._retry_at = 0.0
        self._pause_s = timing.retry_s
        self._told_loss: str | None = None
        self._was_up = False

    @property
    def up(self) -> bool:
        """Whether both channels were welcomed."""
        return bool(self._channels) and all(channel.welcomed for channel in self._channels.values())

    def send(self, channel: ChannelName, message: ClientMessage, body: Buffer | None = None) -> int:
        """Send a message with a new id, and return that id. The link must be up (or greeting)."""
        self._last_id += 1
        numbered = msgspec.structs.replace(message, id=self._last_id)
        self._channels[channel].socket.send_multipart(
            encode(numbered, body, self.limits), zmq.NOBLOCK, copy=False
        )
        return self._last_id

    def receive(self, now: float) -> tuple[ServerMessage, Buffer | None] | None:
        """The next message that concerns the client's jobs, control before data. None if nothing waits."""
        for channel in tuple(self._channels.values()):
            while (parts := channel.receive(now)) is not None:
                found = self._read(channel, parts, now)
                if found is not None:
                    return found
                if not self._channels:
                    return None
        return None

    def maintain(self, now: float) -> None:
        """Connect if it is time to, and ask quiet channels whether they live."""
        if self._stopped:
            return
        if not self._channels:
            if now >= self._retry_at:
                self._open(now)
            return
        if not self.up and not self._handshakes_go_well(now):
            return
        for name, channel in self._channels.items():
            if channel.welcomed and now - max(channel.heard_at, channel.pinged_at) >= self._timing.ping_s:
                self.send(name, Ping())
                channel.pinged_at = now
                channel.asked_at = now if channel.asked_at is None else channel.asked_at

    def judge_silence(self, now: float, chunks_move: bool) -> None:
        """Declare the connection lost if it is. Call only when nothing waits to be received.

        Args:
            now: Monotonic seconds.
            chunks_move: Whether chunks are under way. An answer then waits behind them, on a slow network
                for longer than a server may be silent; who waits for the chunks judges how they move.
        """
        if not self._channels:
            return
        for name, channel in self._channels.items():
            if name == "data" and chunks_move and channel.welcomed:
                continue
            since = channel.asked_at if channel.welcomed else self._opened_at
            if since is not None and now - since >= self._timing.lost_s:
                self.lose(f"the server has not answered for more than {self._timing.lost_s:.0f} s", now)
                return

    def lose(self, reason: str, now: float) -> None:
        """Give this connection up; a fresh one is tried after a pause. Each reason is told once on end.

        A server that was killed is silent first; that its process has ended is known at the next attempt.
        """
        self._close_channels()
        self._retry_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._timing.max_retry_s)
        if reason != self._told_loss:
            self.news.append(ConnectionLost(reason))
            self._told_loss = reason

    def wait(self, timeout_s: float, now: float) -> None:
        """Sleep until something can be received, something is due, or the time is over."""
        if not self._channels:
            pause_s = timeout_s if self._stopped else max(0.0, self._retry_at - now)
            time.sleep(min(timeout_s, pause_s))
            return
        poller = zmq.Poller()
        for channel in self._channels.values():
            for socket in channel.sockets:
                poller.register(socket, zmq.POLLIN)
        poller.poll(int(1000 * min(timeout_s, self._timing.ping_s)))

    def close(self) -> None:
        """Close the sockets and end their context; nothing is retried any more."""
        self._stopped = True
        if self.up:
            for name in self._channels:
                self.send(name, Bye())
        self._close_channels(linger_ms=_BYE_LINGER_MS)
        if self._context is not None:
            self._context.term()
            self._context = None

    def _open(self, now: float) -> None:
        try:
            info = self._find_server()
            if self._context is None:
                self._context = zmq.Context()
            self._opened_at = now
            # Control first: what it receives goes first.
            self._channels["control"] = Channel(self._context, info, info.control, now)
            self._channels["data"] = Channel(self._context, info, info.data, now)
            hello = Hello(client=self._name, versions=[PROTOCOL_VERSION], token=info.token)
            for name, channel in self._channels.items():
                channel.greeting_id = self.send(name, hello)
        except ServerUnreachable as error:
            self.lose(str(error), now)
        except ThreeDimoError as error:
            self._refuse(error)

    def _handshakes_go_well(self, now: float) -> bool:
        for channel in tuple(self._channels.values()):
            channel.watch_handshake()
            broken = channel.broken_off()
            if channel.refusal is not None:
                self._refuse(channel.refusal)
            elif broken is not None and not self._was_up:
                self._refuse(broken)
            elif broken is not None:
                # The same is seen while a server that was there is away behind a tunnel that still answers.
                self.lose(str(broken), now)
            if not self._channels:
                return False
        return True

    def _read(
        self, channel: Channel, parts: list[Buffer], now: float
    ) -> tuple[ServerMessage, Buffer | None] | None:
        """Decode a message and take out what concerns the connection itself."""
        try:
            message, body = decode_server(parts)
        except ProtocolError as error:
            self._refuse(error)
            return None
        match message:
            case Welcome():
                self._welcome(channel, message)
            case Pong():
                pass
            case ErrorReply() if (
                message.reply_to == channel.greeting_id or message.code == AccessRefused.code
            ):
                self._greeting_failed(channel, message, now)
            case _:
                return message, body
        return None

    def _welcome(self, channel: Channel, welcome: Welcome) -> None:
        if welcome.version != PROTOCOL_VERSION:
            self._refuse(version_mismatch(welcome.version, peer="server"))
            return
        already_up = self.up
        channel.welcomed = True
        self.limits = welcome.limits
        self.capabilities = welcome.capabilities
        if self.up and not already_up:
            self._pause_s = self._timing.retry_s
            self._told_loss = None
            self._was_up = True
            self.news.append(Connected(welcome.capabilities))

    def _greeting_failed(self, channel: Channel, reply: ErrorReply, now: float) -> None:
        error = from_code(reply.code, reply.message)
        if channel.welcomed:
            # It knew this client before: another server took its place, and wants to be greeted.
            self.lose("the server was restarted", now)
        elif reply.retryable:
            self.lose(str(error), now)
        else:
            self._refuse(error)

    def _refuse(self, error: ThreeDimoError) -> None:
        self._stopped = True
        self._close_channels()
        self.news.append(Refused(error, "connection"))

    def _close_channels(self, linger_ms: int = 0) -> None:
        for channel in self._channels.values():
            channel.close(linger_ms)
        self._channels.clear()
