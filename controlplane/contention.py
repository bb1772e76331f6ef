"""How a write that others overtook is tried again: at once, then after pauses that grow. PURE.

Those who met must not meet again: each pause is random, up to a bound that doubles. Everyone gets
through in the end, so contention is nothing that a caller would have to hear of.
"""

from kvstore.seams import Random

FIRST_PAUSE_SECONDS = 0.01  # a few writes of the store
PAUSE_SECONDS_MAX = 0.5
SECONDS_MAX = 60.0  # 2.23: what a request has
ATTEMPTS_MAX = 1_000  # beyond any that has pauses: bounds those whose clock stands still
_DOUBLINGS_MAX = 16  # beyond the maximum: keeps the power small


class Contention:
    """One write and its rivals.

    dice  for the pauses
    now   when it began, in seconds of the clock that `pause_seconds` is told
    """

    def __init__(self, dice: Random, now: float) -> None:
        self._dice = dice
        self._until = now + SECONDS_MAX
        self._overtaken = 0

    def pause_seconds(self, now: float) -> float | None:
        """Count an attempt that was overtaken; how long to wait now. None: it is given up."""
        self._overtaken += 1
        if self._overtaken == 1:
            return 0.0
        if self._overtaken >= ATTEMPTS_MAX or now >= self._until:
            return None
        doublings = min(self._overtaken - 2, _DOUBLINGS_MAX)
        return self._dice.random() * min(FIRST_PAUSE_SECONDS * 2.0**doublings, PAUSE_SECONDS_MAX)
