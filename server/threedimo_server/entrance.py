"""The entrance: both doors and their gate, in a ZeroMQ context of their own that can be made anew.

Notable: ZeroMQ bounds each part of a message and the number of messages that wait, but not the number of
parts, and hands over no message before its last part is there. A message that never ends would so take all
memory. Nobody can tell who sends it, but everything that was received lies in this context: when the process
has grown too large, the context goes, with every connection, and clients come back by themselves. Workers are
not connected here, and what they make goes on.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import zmq

from threedimo_server.config import ServerConfig
from threedimo_server.doors import Door, Letter
from threedimo_server.gate import Gate

logger = logging.getLogger(__name__)

_CONTROL_QUEUE, _DATA_QUEUE = 256, 16  # Messages; those of data are a chunk each.
_CONTROL_BATCH, _DATA_BATCH = 100, 16
_LOG_INTERVAL_S = 10.0


class Entrance:
    """Where clients come in.

    Args:
        config: Address, ports, keys, and how much memory may be received.

    Raises:
        PortInUse: Another program listens on a port of `config`.
        ServerError: The system does not allow to listen there.
        InvalidKey, AccessRefused: Other machines could connect, and the keys for that are not in order.
    """

    def __init__(self, config: ServerConfig):
        self._room_bytes = config.front_memory_bytes
        self._process = psutil.Process()
        self.gate = None if config.on_loopback else Gate(config.home / "keys")
        places = (("control", config.control_port, _CONTROL_QUEUE), ("data", config.data_port, _DATA_QUEUE))
        self.control, self.data = (
            Door(name, config.host, port, limits=config.limits, queue_length=length, gate=self.gate)
            for name, port, length in places
        )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._most_bytes = self._used_bytes() + self._room_bytes
        self._num_untold = 0
        self._tell_at_s = 0.0

    @property
    def sockets(self) -> list[zmq.Socket[Any]]:
        """What to poll; others after every `relieve` that returns true."""
        doors = [self.control.socket, self.data.socket]
        return doors if self.gate is None else [*doors, self.gate.socket]

    def receive(self) -> Iterator[tuple[Door, Letter]]:
        """What has arrived, not more at once than lets the front's loop go on."""
        for door, most in ((self.control, _CONTROL_BATCH), (self.data, _DATA_BATCH)):
            for letter in door.receive(most):
                yield door, letter
        if self.gate is not None:
            self.gate.answer()

    def relieve(self) -> bool:
        """Close every connection and listen again, if the process has grown too large since it began.

        Returns:
            Whether that was done. Everybody must say hello again.
        """
        used = self._used_bytes()
        if used <= self._most_bytes:
            return False
        self._close_sockets()
        self._context.term()
        _give_freed_memory_back()
        self._context = zmq.Context()
        self._open()
        left = self._used_bytes()
        # Growth that is not of messages stays, and must not close the doors for ever.
        self._most_bytes = max(self._most_bytes, left + self._room_bytes)
        self._tell(used, left)
        return True

    def close(self) -> None:
        """Close all connections; answers that wait still leave for a moment."""
        for door in (self.control, self.data):
            door.close()
        if self.gate is not None:
            self.gate.close()
        self._context.term()

    def _open(self) -> None:
        if self.gate is not None:
            self.gate.open(self._context)
        for door in (self.control, self.data):
            door.open(self._context)

    def _close_sockets(self) -> None:
        for door in (self.control, self.data):
            door.close(linger_ms=0)
        if self.gate is not None:
            self.gate.close()

    def _used_bytes(self) -> int:
        return self._process.memory_info().rss

    def _tell(self, used: int, left: int) -> None:
        self._num_untold += 1
        now = time.monotonic()
        if now < self._tell_at_s:
            return
        logger.warning(
            "closed all connections%s: messages that do not end took memory, %.0f MB before, %.0f MB after; "
            "clients connect again, and jobs go on",
            "" if self._num_untold == 1 else f" {self._num_untold} times",
            used / 1e6,
            left / 1e6,
        )
        self._num_untold, self._tell_at_s = 0, now + _LOG_INTERVAL_S


def _give_freed_memory_back() -> None:
    """Return to the system what the C library of Linux keeps of many small blocks."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc has it, musl does not
