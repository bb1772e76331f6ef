"""One connection of the peer port: bytes to frames, write pressure, signs of life.

The base of the three kinds of connection: calling for messages, calling for a snapshot, called.
A connection never waits: what takes time is told by `tick`, which its owner calls a few times per
idle timeout.
"""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec

from kvstore.seams import Clock, Random
from kvstore.server.peer_frames import FRAME_BYTES_MAX, SIGN_OF_LIFE, FrameError, FrameReader
from kvstore.server.peer_journal import Journal
from kvstore.server.tls import PeerTls

# A connection on which nothing came for so many ticks is dead. More than one tick, so that a
# process that was paused itself reads what waits for it before it judges others.
TICKS_PER_IDLE_TIMEOUT = 4
# Beyond this the socket's own buffer is full, and frames wait in the queue that may drop them.
WRITE_HIGH_BYTES = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds in memory and time. The defaults suit production; tests tighten them."""

    # The core keeps 256 appends in flight per member, the rest are small.
    queue_frames_max: int = 4096
    # One frame of the largest size fits always.
    queue_bytes_max: int = FRAME_BYTES_MAX
    # TCP, TLS and our handshake; also how long a stranger may stay before it.
    connect_seconds: float = 5.0
    # Without progress a snapshot is given up; storing and loading one may take that long.
    snapshot_stall_seconds: float = 60.0


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """What every connection of this member needs to know."""

    cluster_id: int
    member_id: int
    tls: PeerTls | None
    clock: Clock
    random: Random
    journal: Journal
    limits: Limits
    idle_timeout_seconds: float
    connections: set[Connection]  # all that are ticked


class Connection(asyncio.BufferedProtocol):
    """Frames over one socket. Subclasses take them (`payload_received`) and judge silence."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_write_paused = False
        self.is_closed = False
        self.is_heard = False  # since the last tick
        self.silent_ticks = 0
        self.reason = ""  # why it was closed; empty as long as nobody did
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reader = FrameReader()

    # ------------------------------------------------------------------ for subclasses

    def payload_received(self, payload: bytes) -> None:
        """Take a frame that is no sign of life. FrameError closes the connection."""
        raise NotImplementedError

    def opened(self) -> None:
        """The connection stands (TLS included); the handshake is still to come."""

    def garbage_received(self, error: FrameError) -> None:
        """The other side broke the protocol; the connection is closed by now."""

    def writable(self) -> None:
        """Write pressure is over."""

    def closed(self) -> None:
        """The connection is gone; `reason` says why."""

    def tick(self) -> None:
        """A quarter of the idle timeout has passed."""

    # ------------------------------------------------------------------ for owners

    def write(self, data: bytes) -> None:
        """Write whole frames; silently nothing once closed."""
        if self.transport is not None and not self.is_closed:
            self.transport.write(data)

    @property
    def unsent_bytes(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self, reason: str) -> None:
        """Close now; what was not sent is lost."""
        self._mark_closed(reason)
        if self.transport is not None:
            self.transport.abort()

    def finish(self, reason: str) -> None:
        """Close once everything written is sent; nothing is read any more."""
        self._mark_closed(reason)
        if self.transport is not None:
            self.transport.close()

    def is_silent(self) -> bool:
        """Count a tick; True when too many of them passed without a byte."""
        self.silent_ticks = 0 if self.is_heard else self.silent_ticks + 1
        self.is_heard = False
        return self.silent_ticks > TICKS_PER_IDLE_TIMEOUT

    def give_sign_of_life(self) -> None:
        """Send an empty frame unless enough waits to be sent already."""
        if not self.is_write_paused and not self.unsent_bytes:
            self.write(SIGN_OF_LIFE)

    def _mark_closed(self, reason: str) -> None:
        self.is_closed = True
        self.reason = self.reason or reason

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are none of asyncio's classes.
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        if self.is_closed:  # aborted while TLS was shaking hands
            transport.abort()
        else:
            self.opened()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self.reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes arrived: take every whole frame."""
        self.is_heard = True
        self.reader.received(nbytes)
        try:
            while not self.is_closed:
                payload = self.reader.next_frame()
                if payload is None:
                    return
                if payload:
                    self.payload_received(payload)
        except FrameError as error:
            self.abort(str(error))
            self.garbage_received(error)

    def pause_writing(self) -> None:
        """Write pressure begins."""
        self.is_write_paused = True

    def resume_writing(self) -> None:
        """Write pressure is over."""
        self.is_write_paused = False
        if not self.is_closed:
            self.writable()

    def eof_received(self) -> bool:
        """The other side has closed: so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._mark_closed(str(exc) if exc is not None else "closed by the other side")
        if not self.lost.done():
            self.lost.set_result(self.reason)
        self.closed()
