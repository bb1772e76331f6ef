"""Streams of a command in a container, by the pipes that its shim has handed out."""

import asyncio
import errno
import fcntl
import os
import struct
import termios
from contextlib import suppress

from controlplane.node.runtime.process.calls import Call
from controlplane.node.runtime.shim.spawning import exit_code

_READ_BYTES = 64 * 1024
_BUFFER_BYTES = 256 * 1024
_KILLED = exit_code(9)


class _Pipe(asyncio.ReadTransport):
    """Feeds a StreamReader from a descriptor, no faster than it is read. Closes the descriptor.

    Unlike asyncio's own it takes terminals, for whose end the kernel says EIO.
    """

    def __init__(self, descriptor: int, reader: asyncio.StreamReader) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._is_reading = False
        os.set_blocking(descriptor, False)
        reader.set_transport(self)
        self.resume_reading()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno != errno.EIO:
                self._reader.set_exception(error)
            data = b""
        if data:
            self._reader.feed_data(data)
        else:
            self.close()

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        if self._is_reading:
            self._loop.remove_reader(self._descriptor)
            self._is_reading = False

    def resume_reading(self) -> None:
        if not self._is_reading and self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._read)
            self._is_reading = True

    def is_closing(self) -> bool:
        return self._descriptor < 0

    def close(self) -> None:
        if self._descriptor < 0:
            return
        self.pause_reading()
        os.close(self._descriptor)
        self._descriptor = -1
        if self._reader.exception() is None:
            self._reader.feed_eof()


class ShimSession:
    """A `Session` of the runtime's interface; made by `open_session`.

    terminal  a descriptor of the terminal to resize; -1: none
    """

    def __init__(
        self,
        call: Call,
        stdin: asyncio.StreamWriter | None,
        readers: list[tuple[_Pipe, asyncio.StreamReader]],
        terminal: int,
    ) -> None:
        self.stdin = stdin
        self.output = readers[0][1]
        self.errors = readers[1][1] if len(readers) > 1 else None
        self._pipes = [pipe for pipe, _ in readers]
        self._call = call
        self._terminal = terminal
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._hearing = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        try:
            message = await self._call.next()
        except EOFError:
            self._end(_KILLED)  # its shim was killed, and all with it
        else:
            self._end(int(message["exit_code"]))

    def _end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    def resize(self, columns: int, rows: int) -> None:
        """Of its terminal; without one, or out of a terminal's range, nothing happens."""
        if self._terminal >= 0 and 0 < columns < 1 << 16 and 0 < rows < 1 << 16:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            with suppress(OSError):  # attached without stdin: it is a pipe
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """Its exit code; that of a kill when the session was closed before."""
        return await asyncio.shield(self._code)

    async def close(self) -> None:
        """Leave it, and let go of its streams."""
        if not self._hearing.done():
            self._hearing.cancel()
            await asyncio.wait([self._hearing])
        self._end(_KILLED)
        self._call.close()
        for pipe in self._pipes:
            pipe.close()
        if self.stdin is not None:
            transport = self.stdin.transport
            # One that is closed already must not be aborted, but for what it still has to write.
            if not transport.is_closing() or transport.get_write_buffer_size():
                transport.abort()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1


async def open_session(call: Call, *, has_stdin: bool, has_tty: bool) -> ShimSession:
    """Takes the descriptors that have come with the answer: stdin, if it has one, output, errors;
    of a command with a terminal only that."""
    if has_tty and len(call.descriptors) == 1 and has_stdin:
        call.descriptors.insert(0, os.dup(call.descriptors[0]))
    terminal = os.dup(call.descriptors[0]) if has_tty else -1
    try:
        stdin = await _writer(call.descriptors.pop(0)) if has_stdin else None
    except BaseException:  # whoever wanted it has gone: nobody else would close what is left
        call.close()
        if terminal >= 0:
            os.close(terminal)
        raise
    given, call.descriptors = call.descriptors, []
    readers = []
    for descriptor in given:
        reader = asyncio.StreamReader(_BUFFER_BYTES)
        readers.append((_Pipe(descriptor, reader), reader))
    return ShimSession(call, stdin, readers, terminal)


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
