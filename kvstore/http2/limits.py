"""What one connection may cost; each a named bound. Pure: the time is the caller's."""

from typing import Final

import msgspec

from kvstore.http2.protocol import WINDOW_MAX

# A header block, in all its frames, and the frames of it that may carry nothing much. gRPC's
# clients send some hundred bytes in one frame; who sends CONTINUATIONs without end is stopped.
HEADER_BLOCK_BYTES_MAX: Final = 32 * 1024
CONTINUATIONS_MAX: Final = 16
# Fields once decoded: a small block can stand for a long list (RFC 7541, 7.3). As much as a block:
# what we say that we bear, we bear.
HEADER_LIST_BYTES_MAX: Final = HEADER_BLOCK_BYTES_MAX
HEADER_FIELDS_MAX: Final = 128
# A longer list is counted like a message that is not complete, for as long as its call lasts.
SMALL_HEAD_BYTES: Final = 1024

# Bytes of requests that are not complete yet, and of responses that wait for their reader.
RECEIVING_BYTES_MAX: Final = 64 * 1024 * 1024
SENDING_BYTES_MAX: Final = 64 * 1024 * 1024

# The same for all connections of a process, and its streams.
PROCESS_RECEIVING_BYTES_MAX: Final = 512 * 1024 * 1024
PROCESS_SENDING_BYTES_MAX: Final = 1024 * 1024 * 1024
PROCESS_STREAMS_MAX: Final = 400_000

# One stream whose client does not read is blocked from here on, and writable again below.
STREAM_BLOCKED_BYTES: Final = 1024 * 1024
STREAM_WRITABLE_BYTES: Final = STREAM_BLOCKED_BYTES // 4

# Bodies handed to the transport at a time: what it does not take stays where it is counted.
BATCH_BYTES_MAX: Final = 1024 * 1024
# Frames that wait to be written, beyond those that windows hold back.
HELD_BYTES_MAX: Final = 4 * 1024 * 1024

# Streams that a client opens and resets before they are answered (rapid reset, CVE-2023-44487),
# or makes us reset (CVE-2025-8671).
RESETS_BURST: Final = 2_000
RESETS_PER_SECOND: Final = 200.0
# Frames that cost an answer or nothing but our time: pings that follow no answer of ours, settings,
# priorities, crumbs of messages and of windows.
IDLE_FRAMES_BURST: Final = 2_000
IDLE_FRAMES_PER_SECOND: Final = 200.0
# A part of a message, or of a window, that is smaller is a crumb.
CRUMB_BYTES: Final = 64
# But so many more belong to whatever is answered: some clients give a few bytes of window back at
# once for each answer, and twice.
IDLE_FRAMES_PER_ANSWER: Final = 4
# A change of all windows counts once more for so many streams.
STREAMS_PER_IDLE_FRAME: Final = 50

# Streams that we reset lately: what the client had sent before it knew is no fault of its.
FORGOTTEN_STREAMS_MAX: Final = 4_096
# What different header blocks stand for, remembered while the table stands still.
REMEMBERED_BLOCKS_MAX: Final = 64

# gRPC's policy for pings: so many too early ones end the connection (gRPC A8).
PING_STRIKES_MAX: Final = 2
# Without a call, pings are not what keeps a connection: one in so long is borne (gRPC A8).
IDLE_PING_INTERVAL_SECONDS: Final = 2 * 3600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds that an operator sets; times in seconds, 0 for a keep-alive that is off."""

    message_bytes_max: int = 2 * 1024 * 1024
    streams_max: int = 100_000
    ping_interval_min_seconds: float = 5.0
    keepalive_interval_seconds: float = 2 * 3600.0
    keepalive_timeout_seconds: float = 20.0

    @property
    def stream_window(self) -> int:
        """So large that no message waits for credit halfway."""
        return min(self.message_bytes_max + 64 * 1024, WINDOW_MAX)


class Bucket:
    """So many at once, and so many a second in the long run."""

    __slots__ = ("_burst", "_left", "_per_second", "_since")

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._per_second = per_second
        self._since = now

    def refill(self, count: int) -> None:
        """Give some back."""
        self._left = min(self._burst, self._left + count)

    def take(self, now: float, count: int = 1) -> bool:
        """Count; False when it is too many."""
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
        self._left -= count
        return self._left >= 0
