"""How quick a disk has been lately: whether a sync is worth a hop to a thread. Pure.

To hand a sync to a thread and to be told of its end costs about 0.1 ms, as much as the sync of a
quick disk itself. So the loop syncs by itself while all syncs of late were quick, and leaves them
to the thread again with the first that is not. A disk that stalls now and then is trusted less
each time: a stall holds the loop up, and heartbeats with it.
"""

QUICK_SECONDS = 0.001
"""A sync that takes longer belongs into the thread."""

STALL_SECONDS = 0.005
"""One that takes longer would have held the loop up more than any other work may."""

QUICK_IN_A_ROW_MIN = 64
"""So many quick ones before the loop trusts the disk; after a slow one they are counted anew."""

QUICK_IN_A_ROW_MAX = 65_536
"""Each stall doubles what is asked for, up to this: minutes of a busy log."""


class Pace:
    """Of all syncs of one log."""

    def __init__(self) -> None:
        self._quick_in_a_row = 0
        self._wanted = QUICK_IN_A_ROW_MIN

    @property
    def is_quick(self) -> bool:
        """Tell whether the next sync will very likely be quick."""
        return self._quick_in_a_row >= self._wanted

    def count(self, seconds: float) -> None:
        """A sync has taken so long."""
        self._quick_in_a_row = self._quick_in_a_row + 1 if seconds <= QUICK_SECONDS else 0
        if seconds > STALL_SECONDS:
            self._wanted = min(2 * self._wanted, QUICK_IN_A_ROW_MAX)
