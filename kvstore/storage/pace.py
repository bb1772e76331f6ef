"""How quick a disk has been lately: whether a sync is worth a hop to a thread. Pure.

To hand a sync to a thread and to be told of its end costs about 0.1 ms, as much as the sync of a
quick disk itself. So the loop syncs by itself while the syncs of late were quick on average, and
leaves them to the thread when they are not. A disk that stalls now and then is trusted less each
time: a stall holds the loop up, and heartbeats with it.
"""

SMALL_BYTES_MAX = 64 * 1024
"""To sync more takes its time on any disk: that belongs into the thread, and says nothing."""

QUICK_SECONDS = 0.0005
"""What syncs may take on average for the loop to do them. In the thread a sync's time has the wait
for the interpreter in it."""

STALL_SECONDS = 0.05
"""One that takes longer holds up heartbeats (every 0.1 s by default), not only answers."""

AVERAGED_SYNCS = 64
"""The average is over about so many of the last."""

UNSTALLED_MIN = 64
"""Syncs without a stall that the loop wants to see first; after a stall they are counted anew."""

UNSTALLED_MAX = 65_536
"""Each stall doubles what is asked for, up to this: minutes of a busy log."""


class Pace:
    """Of all syncs of one log."""

    def __init__(self) -> None:
        self._average_seconds = 0.0
        self._unstalled = 0
        self._wanted = UNSTALLED_MIN

    def is_quick(self, size: int) -> bool:
        """Tell whether a sync of so many bytes will very likely be quick."""
        return (
            size <= SMALL_BYTES_MAX
            and self._unstalled >= self._wanted
            and self._average_seconds <= QUICK_SECONDS
        )

    def count(self, size: int, seconds: float) -> None:
        """A sync of so many bytes has taken so long."""
        if size > SMALL_BYTES_MAX:
            return
        if seconds > STALL_SECONDS:
            self._unstalled = 0
            self._wanted = min(2 * self._wanted, UNSTALLED_MAX)
            return  # as an average it would be counted twice
        self._unstalled += 1
        self._average_seconds += (seconds - self._average_seconds) / AVERAGED_SYNCS
