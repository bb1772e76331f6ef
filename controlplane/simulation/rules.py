"""What every promise has in common: it sees each transaction, in the order of the store."""

from typing import Protocol

import msgspec

from controlplane.simulation.ledger import Ledger, Step

STALE_SECONDS = 100.0
"""So old may be what a leader believes while things go wrong: a cache finds out within 75 s that
its watch is dead (`reflector`), and lists anew."""
CALM_SECONDS = 5.0
"""… when nothing has gone wrong for longer than that, and all has settled."""


class Moment(msgspec.Struct):
    """From when on nothing goes wrong any more; None: it still does."""

    calm_at: float | None = None

    def believed_since(self, at: float) -> float:
        """The oldest moment whose state somebody may take for the present one.

        What a process does is right if it would have been right at any moment since.
        """
        if self.calm_at is None:
            return at - STALE_SECONDS
        return max(at - CALM_SECONDS, self.calm_at)

    def is_calm(self, at: float) -> bool:
        """Whether everybody knows what there is, but for what is under way."""
        return self.calm_at is not None and at >= self.calm_at


class Rule(Protocol):
    """One promise."""

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """`ledger` is as of this step. Raises ViolationError."""
