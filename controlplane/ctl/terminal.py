"""The terminal that cpctl is used at, and what is typed at it."""

import asyncio
import contextlib
import os
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator

_READ_BYTES = 32 * 1024


@contextlib.contextmanager
def raw(descriptor: int | None, resized: Callable[[int, int], None]) -> Iterator[None]:
    """Pass on every key as it is for the block, and tell the size in columns and rows, now and
    when it changes. descriptor: None: there is no terminal, and nothing to do.
    """
    if descriptor is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def tell() -> None:
        size = os.get_terminal_size(descriptor)
        resized(size.columns, size.lines)

    before = termios.tcgetattr(descriptor)
    loop.add_signal_handler(signal.SIGWINCH, tell)
    try:
        tty.setraw(descriptor)
        tell()
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Input:
    """What comes on a descriptor of any kind: a file, a pipe, a terminal.

    Nobody can end a read of it, so it is read by a thread that nobody waits for; one part at a
    time, and only when it is asked for.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Semaphore(0)
        self._parts: asyncio.Queue[bytes] = asyncio.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    async def read(self) -> bytes:
        """The next part; nothing: its end."""
        self._wanted.release()
        return await self._parts.get()

    def _run(self) -> None:
        data = b"x"
        while data:
            self._wanted.acquire()
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._parts.put_nowait, data)
