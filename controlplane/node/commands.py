"""Runs a command in a container for a client: its streams, its end.

Source: kubectl-needs.md, section 1; kube-behaviour 10.7.
"""

import asyncio
import contextlib
import logging
from asyncio import StreamReader as Reader
from collections.abc import Awaitable, Callable

from controlplane.node.inlets import Inlet
from controlplane.node.links import Link
from controlplane.node.runtime.interface import RefusedError, Session
from controlplane.peers import READ_BYTES
from controlplane.streams.remote_command import (
    Begun,
    Event,
    Input,
    InputEnded,
    Left,
    Resized,
    Streams,
    failure,
    status_of,
)
from controlplane.streams.violations import ViolationError
from controlplane.upgrades import Connection

BEGIN_SECONDS_MAX = 30.0  # for a client to open all of its streams
CLOSE_SECONDS_MAX = 10.0  # for a runtime to end a command whose client has left

_log = logging.getLogger(__name__)


async def run_command(
    connection: Connection,
    streams: Streams,
    start: Callable[[], Awaitable[Session]],
    *,
    tells_exit_code: bool = True,
) -> None:
    """Until the command has ended and its client knows, or its client has left.

    tells_exit_code  False: it is only told that it has ended (attach)
    """
    await _Conversation(connection, streams, tells_exit_code=tells_exit_code).run(start)


async def _close(session: Session) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await session.close()
    except TimeoutError:
        _log.error("a command that nobody waits for any more does not end")


class _Conversation:
    def __init__(self, connection: Connection, streams: Streams, *, tells_exit_code: bool) -> None:
        self._streams = streams
        self._link = Link(connection, streams)
        self._tells_exit_code = tells_exit_code
        self._inlet = Inlet()
        self._has_begun = asyncio.Event()
        self._session: Session | None = None
        self._size: Resized | None = None
        self._has_left = False

    async def run(self, start: Callable[[], Awaitable[Session]]) -> None:
        receiving = asyncio.create_task(self._receive())
        answering = asyncio.create_task(self._answer(start))
        try:
            await asyncio.wait({receiving, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiving, answering):
                task.cancel()
            results = await asyncio.gather(receiving, answering, return_exceptions=True)
        violation = next((one for one in results if isinstance(one, ViolationError)), None)
        if violation is not None:
            await self._link.break_off(violation)
        elif not self._has_left:
            await self._link.linger()
        for one in results:
            if isinstance(one, Exception) and not isinstance(one, ViolationError | OSError):
                raise one

    # ------------------------------------------------------------- the client's words

    async def _receive(self) -> None:
        """Until the client has left. Raises ViolationError, ConnectionError."""
        data = b""
        while True:
            for event in self._streams.receive(data):
                self._take(event)
            await self._link.flush()
            self._link.heard()
            await self._link.unread(self._inlet.room)
            if self._has_left:
                return
            data = await self._link.read()
            self._has_left = not data

    def _take(self, event: Event) -> None:
        match event:
            case Begun():
                self._has_begun.set()
            case Input(data):
                self._inlet.put(data)
            case InputEnded():
                self._inlet.end()
            case Resized():
                self._size = event
                self._resize()
            case Left():
                self._has_left = True

    def _resize(self) -> None:
        if self._session is not None and self._size is not None:
            self._session.resize(self._size.columns, self._size.rows)

    # ------------------------------------------------------------- the command's

    async def _answer(self, start: Callable[[], Awaitable[Session]]) -> None:
        """Until the command has ended. Raises OSError: the client is gone."""
        try:
            async with asyncio.timeout(BEGIN_SECONDS_MAX):
                await self._has_begun.wait()
        except TimeoutError:
            raise ConnectionAbortedError("not all streams were opened in time") from None
        try:
            session = self._session = await start()
        except RefusedError as error:
            told = f"error executing command in container: {error.message}"
            self._streams.finish(failure(told))
            await self._link.flush()
            return
        try:
            self._resize()
            exit_code = await self._converse(session)
        finally:
            await _close(session)
        self._streams.finish(status_of(exit_code if self._tells_exit_code else 0))
        await self._link.flush()

    async def _converse(self, session: Session) -> int:
        """Its exit code, when all that it wrote is written."""
        feeding = asyncio.create_task(self._feed(session))
        pumping = [asyncio.create_task(self._pump(session.output, self._streams.write_output))]
        if session.errors is not None:
            errors = self._pump(session.errors, self._streams.write_errors)
            pumping.append(asyncio.create_task(errors))
        try:
            await asyncio.gather(*pumping)
            return await session.wait()
        finally:
            for task in (feeding, *pumping):
                task.cancel()
            await asyncio.gather(feeding, *pumping, return_exceptions=True)

    async def _feed(self, session: Session) -> None:
        if session.stdin is None:
            self._inlet.close()
        else:
            await self._inlet.feed(session.stdin, self._consumed)

    async def _consumed(self, count: int) -> None:
        self._streams.consumed(count)
        with contextlib.suppress(ConnectionError):  # whoever reads notices as well
            await self._link.flush()

    async def _pump(self, source: Reader, write: Callable[[bytes], None]) -> None:
        while data := await source.read(READ_BYTES):
            write(data)
            await self._link.flush()
            while self._streams.is_held:
                await self._link.hear()
