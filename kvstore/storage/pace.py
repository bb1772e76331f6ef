"""How quick a disk has been lately: whether a sync is worth a hop to a thread. Pure.

To hand a sync to a thread and to be told of its end costs about 0.1 ms, as much as the sync of a
quick disk itself. So the loop syncs by itself while syncs are quick for certain, and leaves them
to the thread again with the first that is not: it was held up by that one, and by no other.
"""

QUICK_SECONDS = 0.001
"""A sync that takes longer belongs into the thread."""

QUICK_IN_A_ROW_MIN = 64
"""So many quick ones before the loop trusts the disk; after a slow one they are counted anew."""


class Pace:
    """Of all syncs of one log."""

    def __init__(self) -> None:
        self._quick_in_a_row = 0

    @property
    def is_quick(self) -> bool:
        """Tell whether the next sync will very likely be quick."""
        return self._quick_in_a_row >= QUICK_IN_A_ROW_MIN

    def count(self, seconds: float) -> None:
        """A sync has taken so long."""
        self._quick_in_a_row = self._quick_in_a_row + 1 if seconds <= QUICK_SECONDS else 0
