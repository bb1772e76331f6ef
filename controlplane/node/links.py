"""A client's connection, and the protocol that is spoken on it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from controlplane.peers import READ_BYTES, linger
from controlplane.streams.violations import ViolationError
from controlplane.upgrades import Connection, send

PING_SECONDS = 2.0
"""While a client is not read: the second or third ping finds that it has gone."""
LINGER_SECONDS = 5.0
"""So long a client that has all that was said may take to close, before it is closed."""


class Speaking(Protocol):
    """The server's end of a protocol, but for what it is about."""

    def take(self) -> bytes:
        """What is to be sent to the client now."""

    def ping(self) -> None:
        """Ask whether the client is alive."""

    def break_off(self, error: ViolationError) -> None:
        """Say what cannot be understood. Nothing follows."""


class Link:
    """Moves the bytes of a protocol."""

    def __init__(self, connection: Connection, speaking: Speaking) -> None:
        self._reader, self._writer = connection
        self._speaking = speaking
        self._heard = asyncio.Event()

    async def read(self) -> bytes:
        """What the client sends; nothing: no more."""
        with contextlib.suppress(OSError):
            return await self._reader.read(READ_BYTES)
        return b""

    async def flush(self) -> None:
        """Return when the client has taken what there is to be sent, but for some KiB. Raises
        ConnectionError."""
        await send(self._writer, self._speaking.take())

    async def unread(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something before more is read. Raises ConnectionError: the client has gone.

        The end of a client that has sent more than was read comes behind all that; but its machine
        refuses what is sent to who is no more.
        """
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    return await wait()
            except TimeoutError:
                self._ping()

    def _ping(self) -> None:
        """Nobody waits until it is taken. Where something is not taken yet, that asks as well."""
        if self._writer.is_closing():
            raise ConnectionResetError("the client has gone")
        if not self._writer.transport.get_write_buffer_size():
            self._speaking.ping()
            self._writer.write(self._speaking.take())

    def heard(self) -> None:
        """The client has said something, that perhaps somebody waits for."""
        self._heard.set()

    async def hear(self) -> None:
        """Wait for it."""
        self._heard.clear()
        await self._heard.wait()

    async def break_off(self, error: ViolationError) -> None:
        """End it with a client that cannot be understood."""
        self._speaking.break_off(error)
        await self.linger()

    async def linger(self) -> None:
        """Let the client take what was said last, however late it reads."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self.flush()
        await linger((self._reader, self._writer), LINGER_SECONDS)
