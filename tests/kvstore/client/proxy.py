"""A TCP proxy that can be cut: what happens to a client when the network fails."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards a local port to a target. `cut` breaks all connections, `open` lets new ones in."""

    def __init__(self, target: str) -> None:
        self._target_host, _, port = target.rpartition(":")
        self._target_port = int(port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._is_open = True
        self.drops_responses = False  # requests arrive, answers are lost
        self.connection_count = 0
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        while self._connections:
            await asyncio.wait(self._connections)

    def cut(self) -> None:
        """Break every connection, refuse new ones."""
        self._is_open = False
        self.break_connections()

    def break_connections(self) -> None:
        """Break every connection; new ones are welcome."""
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        """Let connections through again."""
        self._is_open = True

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        self.connection_count += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(self._target_host, self._target_port)
            self._writers.add(back)
            if not self._is_open:
                self.break_connections()  # cut while we were connecting
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, back, is_response=False))
                group.create_task(self._copy(there, writer, is_response=True))
            self._writers.discard(back)
        self._writers.discard(writer)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_response: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if is_response and self.drops_responses:
                    continue
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
