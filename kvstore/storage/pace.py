"""How quick a disk has been lately: whether a sync is worth a hop to a thread. Pure.

To hand a sync to a thread and to be told of its end costs about 0.1 ms, as much as the sync of a
quick disk itself. So the loop syncs by itself while nearly all syncs of late were quick, and leaves
them to the thread when slow ones come too often. A disk that stalls now and then is trusted less
each time: a stall holds the loop up, and heartbeats with it.
"""

SMALL_BYTES_MAX = 64 * 1024
"""To sync more takes its time on any disk: that belongs into the thread, and says nothing."""

QUICK_SECONDS = 0.001
"""A sync that takes longer belongs into the thread."""

STALL_SECONDS = 0.005
"""One that takes longer would have held the loop up more than any other work may."""

QUICK_WANTED_MIN = 64
"""So many quick ones before the loop trusts the disk; after a stall they are counted anew."""

QUICK_WANTED_MAX = 65_536
"""Each stall doubles what is asked for, up to this: minutes of a busy log."""

QUICK_PER_SLOW = 8
"""So many quick ones make up for a slow one that is no stall: in the thread a sync's time has the
wait for the interpreter in it, and a few in a hundred look slow on any disk."""

QUICK_SPARE_MAX = 64
"""Quick ones beyond what is asked for count up to this: a few slow ones in a row end the trust."""


class Pace:
    """Of all syncs of one log."""

    def __init__(self) -> None:
        self._credit = 0
        self._wanted = QUICK_WANTED_MIN

    def is_quick(self, size: int) -> bool:
        """Tell whether a sync of so many bytes will very likely be quick."""
        return self._credit >= self._wanted and size <= SMALL_BYTES_MAX

    def count(self, size: int, seconds: float) -> None:
        """A sync of so many bytes has taken so long."""
        if size > SMALL_BYTES_MAX:
            return
        if seconds <= QUICK_SECONDS:
            self._credit = min(self._credit + 1, self._wanted + QUICK_SPARE_MAX)
        elif seconds <= STALL_SECONDS:
            self._credit = max(self._credit - QUICK_PER_SLOW, 0)
        else:
            self._credit = 0
            self._wanted = min(2 * self._wanted, QUICK_WANTED_MAX)
