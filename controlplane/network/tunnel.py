"""Bytes between two connected sockets, both ways, until both sides have ended.

The end of one direction is told on and leaves the other open (half-close). A side that does not
take what it is sent stops the other from being read (back-pressure), so little is held at a time.
A side that is lost has the other reset: a failure must not look like an end.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import cast

HELD_BYTES = 64 * 1024
"""From so many on, that wait for a side, nothing more is read for it; one more read may come."""

_RESET = struct.pack("ii", 1, 0)


def reset_when_closed(opened: socket.socket) -> None:
    """Have a socket's end told as a failure. Raises OSError."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def exchange(client: socket.socket, server: socket.socket) -> None:
    """Return when both are closed. Whoever cancels it has both reset."""
    for opened in (client, server):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Whoever vanished without a word is found out by the kernel.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    loop = asyncio.get_running_loop()
    near, far = _Side(loop.create_future()), _Side(loop.create_future())
    near.other, far.other = far, near
    try:
        await loop.connect_accepted_socket(lambda: far, server)
        await loop.connect_accepted_socket(lambda: near, client)
        far.join()
        near.join()
        await asyncio.wait((far.lost, near.lost))
    except BaseException:
        far.reset()
        near.reset()
        raise


class _Side(asyncio.Protocol):
    """What it hears, the other side is given."""

    __slots__ = ("_early", "_is_joined", "_transport", "has_ended", "lost", "other")

    other: "_Side"

    def __init__(self, lost: asyncio.Future[None]) -> None:
        """lost  is done when it is closed"""
        self.lost = lost
        self.has_ended = False
        self._transport: asyncio.Transport | None = None
        self._is_joined = False
        self._early: list[bytes] = []
        """Heard before it was joined: of one read."""

    def join(self) -> None:
        """The other side is there, too: from now on it is given what comes, and what came."""
        self._is_joined = True
        for data in self._early:
            self.other.give(data)
        if self._early and self._is_heard():
            self.transport.resume_reading()
        self._early.clear()
        if self.has_ended:
            self._tell_end()
        if self.lost.done():
            self.other.reset()

    def give(self, data: bytes) -> None:
        """Send, or hold until it can be sent."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def reset(self) -> None:
        """End it as a failure."""
        if self._transport is not None and not self.lost.done():
            with suppress(OSError):
                reset_when_closed(self._transport.get_extra_info("socket"))
            self._transport.abort()

    @property
    def transport(self) -> asyncio.Transport:
        """Of a side that is there."""
        assert self._transport is not None
        return self._transport

    def _is_heard(self) -> bool:
        """Whether anything may still come of it: to read on after an end would hear it again."""
        return not self.has_ended and not self.transport.is_closing()

    def _tell_end(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.write_eof()
        if self.other.has_ended:  # what is held is sent before they close
            self.transport.close()
            self.other.transport.close()

    # ------------------------------------------------------------------ what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by type
        self._transport.set_write_buffer_limits(high=HELD_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._is_joined:
            self.other.give(data)
        else:
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """True: it can still be sent to."""
        self.has_ended = True
        if self._is_joined:
            self._tell_end()
        return True

    def pause_writing(self) -> None:
        if self.other._is_heard():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other._is_heard():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        # An end that cannot be told is heard of here only, after both have ended.
        if exc is not None or not (self.has_ended and self.other.has_ended):
            self.other.reset()
