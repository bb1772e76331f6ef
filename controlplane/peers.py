"""Who is at the other end of a connection: gone without a word, or only late to read.

Whoever pages through what a pod says reads for hours, with pauses, and is to have all of it; the
end of a command's output is not lost because it comes while nobody reads.
"""

import asyncio
import fcntl
import socket
import termios
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer

IDLE_SECONDS_MAX = 4 * 3600.0  # as the kubelet's streaming-connection-idle-timeout
READ_BYTES = 64 * 1024
TAKEN_EVERY_SECONDS = 0.1  # the kernel tells nobody when a peer has all: it is asked

# A peer that is gone without a word is noticed after about a minute, also while something is
# under way to it.
_PROBE_AFTER_SECONDS, _PROBE_EVERY_SECONDS, _PROBES = 30, 10, 3
_UNANSWERED_MILLISECONDS = 60_000


def notice_dead_peer(connection: socket.socket, *, may_pause: bool = False) -> None:
    """Have the kernel end a connection whose peer does not answer any more.

    may_pause  a peer that lives, and takes nothing for longer than a minute, is none of these. The
               kernel cannot tell it from a dead one by its time alone (TCP_USER_TIMEOUT), but by
               its probes' answers: what is gone while something is under way to it is noticed
               after about a quarter of an hour then.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS),
        (socket.TCP_KEEPINTVL, _PROBE_EVERY_SECONDS),
        (socket.TCP_KEEPCNT, _PROBES),
        (socket.TCP_USER_TIMEOUT, 0 if may_pause else _UNANSWERED_MILLISECONDS),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


async def until_taken(transport: asyncio.WriteTransport | None) -> None:
    """Return when the peer's machine has all that was written, or the connection is lost; or when
    it has not been read for IDLE_SECONDS_MAX.

    Closing would wait for some seconds only, of which TLS has its own.
    """
    if transport is None:
        return
    waited = 0.0
    while waited < IDLE_SECONDS_MAX and _has_untaken(transport):
        await asyncio.sleep(TAKEN_EVERY_SECONDS)
        waited += TAKEN_EVERY_SECONDS


def _has_untaken(transport: asyncio.WriteTransport) -> bool:
    if transport.is_closing():
        return False
    return transport.get_write_buffer_size() > 0 or _unacknowledged_bytes(transport) > 0


def _unacknowledged_bytes(transport: asyncio.WriteTransport) -> int:
    """In the kernel. Beneath TLS there is a further buffer, from which it is filled."""
    try:
        found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # it was closed just now
        return 0
    return int.from_bytes(found, "little")


async def linger(connection: tuple[Reader, Writer], seconds: float) -> None:
    """Keep a connection until its peer has all that was written, and for some seconds more, unless
    it closes it itself.

    What it still says is dropped: to close with something unread would reset the connection, and
    what the peer has not read yet could be lost.
    """
    reader, writer = connection
    dropping = asyncio.ensure_future(_drop(reader))
    taking = asyncio.ensure_future(until_taken(writer.transport))
    try:
        await asyncio.wait([dropping, taking], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([dropping], timeout=seconds)
    finally:
        for task in (dropping, taking):
            task.cancel()
        await asyncio.gather(dropping, taking, return_exceptions=True)


async def _drop(reader: Reader) -> None:
    while await reader.read(READ_BYTES):
        pass
