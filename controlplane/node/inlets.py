"""What came of a client, on its way to a process or a port that takes it as fast as it likes."""

import asyncio
import contextlib
from asyncio import StreamWriter as Writer
from collections import deque
from collections.abc import Awaitable, Callable

from controlplane.upgrades import send

INLET_BYTES_MAX = 256 * 1024
"""So much may wait of a command's input; no more is read from the client then."""


class Inlet:
    """Bytes in their order, and their end. bytes_max: so many may wait"""

    def __init__(self, bytes_max: int = INLET_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_ended = False
        self._is_closed = False  # whoever was to take them takes no more
        self._moved = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Bytes have come. To be followed by `room`."""
        if not self._is_closed and not self._is_ended:
            self._waiting.append(data)
            self._bytes += len(data)
            self._moved.set()

    def end(self) -> None:
        """No more come."""
        self._is_ended = True
        self._moved.set()

    async def room(self) -> None:
        """Wait until more may come."""
        while self._bytes > self._bytes_max:
            await self._move()

    async def feed(self, writer: Writer, taken: Callable[[int], Awaitable[None]]) -> None:
        """Write all to `writer` until their end, and tell how much it has taken. What nobody takes
        any more is dropped.
        """
        try:
            with contextlib.suppress(OSError):
                await self._write(writer, taken)
        finally:
            self.close()

    def close(self) -> None:
        """Nobody takes anything any more: what comes is dropped."""
        self._is_closed = True
        self._waiting.clear()
        self._bytes = 0
        self._moved.set()

    async def _write(self, writer: Writer, taken: Callable[[int], Awaitable[None]]) -> None:
        while self._waiting or not self._is_ended:
            if not self._waiting:
                await self._move()
                continue
            data = self._waiting.popleft()
            await send(writer, data)
            self._bytes -= len(data)
            self._moved.set()
            await taken(len(data))
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
        else:
            writer.close()

    async def _move(self) -> None:
        """Until something has come, or was taken. Two may wait: the one that puts is never the one
        that takes, so neither misses what the other waits for.
        """
        self._moved.clear()
        await self._moved.wait()
