"""A network between a client and a server that can be cut and slowed: a thread that passes bytes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

_BLOCK_BYTES = 16_384


class Proxy:
    """Listens on one port for each of the server's ports.

    Args:
        ports: Of the server, on this machine.
        bytes_per_s: How much may pass from the server to the client in a second, in all; None for any.
    """

    def __init__(self, ports: list[int], bytes_per_s: float | None = None):
        self._bytes_per_s = bytes_per_s
        self._due_s = 0.0
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.num_passed = 0
        self._listeners: list[asyncio.Server] = []
        self.ports = [self._do(self._listen(port)) for port in ports]

    def cut(self) -> None:
        """Break every connection, and let nobody through."""
        self._do(self._break())

    def mend(self) -> None:
        """Let them through again."""
        self._cut = False

    def close(self) -> None:
        """Break every connection and end."""
        self.cut()
        for listener in self._listeners:
            self._loop.call_soon_threadsafe(listener.close)
        self._do(asyncio.sleep(0.1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, port: int) -> int:
        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._cut:
                writer.close()
                return
            try:
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.close()
                return
            self._open |= {writer, server_writer}
            await asyncio.gather(
                self._pass(reader, server_writer, None), self._pass(server_reader, writer, self._bytes_per_s)
            )
            self._open -= {writer, server_writer}

        listener = await asyncio.start_server(meet, "127.0.0.1", 0, limit=_BLOCK_BYTES)
        self._listeners.append(listener)
        return listener.sockets[0].getsockname()[1]

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_per_s: float | None
    ) -> None:
        try:
            while block := await reader.read(_BLOCK_BYTES):
                if bytes_per_s is not None:
                    now = time.monotonic()
                    self._due_s = max(self._due_s, now) + len(block) / bytes_per_s
                    await asyncio.sleep(self._due_s - now)
                writer.write(block)
                await writer.drain()
                self.num_passed += len(block)
        except OSError:
            pass
        finally:
            writer.close()

    async def _break(self) -> None:
        self._cut = True
        for writer in list(self._open):
            writer.transport.abort()
