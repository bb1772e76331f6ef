"""Requests to a shim or a zygote, from a loop of asyncio."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from controlplane.node.runtime.interface import RefusedError
from controlplane.node.runtime.shim import wire

_RECEIVE_BYTES = 64 * 1024


class Call:
    """One request, and whatever is said on its connection afterwards. Close it.

    descriptors  those that have come with the answer; whoever takes them empties the list
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = wire.Lines()
        self._messages: list[wire.Message] = []
        self.descriptors: list[int] = []

    @classmethod
    async def open(cls, socket_path: Path, request: wire.Message) -> "Call":
        """Raises OSError: nobody is there."""
        call = cls(wire.connect(socket_path))
        try:
            await asyncio.get_running_loop().sock_sendall(call._connection, wire.encode(request))
        except BaseException:
            call.close()
            raise
        return call

    async def answer(self) -> wire.Message:
        """Raises RefusedError; EOFError: who was asked has ended."""
        message = await self.next()
        if "error" in message:
            reason, told = message["error"]
            raise RefusedError(str(reason), str(told))
        ok: wire.Message = message["ok"]
        return ok

    async def next(self) -> wire.Message:
        """What comes next. Raises EOFError."""
        while not self._messages:
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    self._connection, _RECEIVE_BYTES, wire.DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                await self._readable()
                continue
            except OSError as error:
                raise EOFError(str(error)) from error
            self.descriptors += descriptors
            if not data:
                raise EOFError("the connection has ended")
            self._messages += self._lines.feed(data)
        return self._messages.pop(0)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        descriptor = self._connection.fileno()
        loop.add_reader(descriptor, _resolve(ready))
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)

    def close(self) -> None:
        """Hang up, and close the descriptors that nobody has taken."""
        self._connection.close()
        while self.descriptors:
            os.close(self.descriptors.pop())


def _resolve(future: asyncio.Future[None]) -> Callable[[], None]:
    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    return resolve


async def ask(socket_path: Path, request: wire.Message, *, timeout_seconds: float) -> wire.Message:
    """A request with one answer.

    Raises RefusedError; EOFError, OSError: nobody is there; TimeoutError (an OSError).
    """
    async with asyncio.timeout(timeout_seconds):
        call = await Call.open(socket_path, request)
        try:
            return await call.answer()
        finally:
            call.close()
