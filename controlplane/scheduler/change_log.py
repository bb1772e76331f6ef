"""What changed in the node table, for those who remember what they computed from it. PURE.

Whoever has read up to a position asks what came since. The log is bounded: who is too far behind is
told so, and computes anew.
"""

from typing import NamedTuple

from controlplane.scheduler.pod_class import PodFacts

CHANGES_MAX = 16_384


class Change(NamedTuple):
    """`row` has one pod more (1) or less (-1); 0: what is said of the node itself changed."""

    row: int
    difference: int
    pod: PodFacts | None


class ChangeLog:
    """The latest changes. `position` counts all that ever were."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._first = 0

    @property
    def position(self) -> int:
        """Where the next change will stand."""
        return self._first + len(self._changes)

    def append(self, change: Change) -> None:
        """Note a change."""
        self._changes.append(change)
        if len(self._changes) > 2 * CHANGES_MAX:
            del self._changes[:CHANGES_MAX]
            self._first += CHANGES_MAX

    def since(self, position: int) -> list[Change] | None:
        """The changes from a position on; None: they are no longer known."""
        if position < self._first:
            return None
        return self._changes[position - self._first :]
