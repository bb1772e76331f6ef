"""What goes wrong between members: counted always, logged in moderation.

Whoever reaches the peer port could otherwise fill the log: one line per kind of fault and member
and interval, with the number of those left out.
"""

import logging
from enum import Enum

import msgspec

from kvstore.seams import Clock

logger = logging.getLogger(__name__)

# A fault that stays says so every ten seconds.
LOG_INTERVAL_SECONDS = 10.0


class Fault(Enum):
    """Why a connection was refused, closed or not made."""

    GARBAGE = "garbage"
    VERSION = "protocol version"
    WRONG_CLUSTER = "wrong cluster"
    WRONG_MEMBER = "wrong member"
    UNKNOWN_MEMBER = "unknown member"
    REMOVED = "removed member"
    TLS = "tls"
    CERTIFICATE = "certificate"
    SILENT = "silent"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    CROWDED = "crowded"
    DROPPED = "dropped"
    SNAPSHOT = "snapshot"


class PeerCounters(msgspec.Struct):
    """Counts since the start. `faults` has every kind, most of them 0."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    frames_dropped: int = 0
    connections_made: int = 0
    connections_accepted: int = 0
    snapshots_sent: int = 0
    snapshots_received: int = 0
    faults: dict[Fault, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Fault, 0))


class Journal:
    """Counters, and the log lines that go with them."""

    def __init__(self, clock: Clock) -> None:
        self.counters = PeerCounters()
        self._clock = clock
        # (kind, member; 0 = nobody known) → (time of the last line, faults since): members are few.
        self._lines: dict[tuple[Fault, int], tuple[float, int]] = {}

    def fault(self, kind: Fault, text: str, *, member: int = 0) -> None:
        """Count a fault and log it unless one like it was logged a moment ago."""
        self.counters.faults[kind] += 1
        now = self._clock.now()
        logged_at, left_out = self._lines.get((kind, member), (float("-inf"), 0))
        if now - logged_at < LOG_INTERVAL_SECONDS:
            self._lines[kind, member] = logged_at, left_out + 1
            return
        self._lines[kind, member] = now, 0
        suffix = f" ({left_out} more like it before)" if left_out else ""
        logger.warning("%s%s", text, suffix)
