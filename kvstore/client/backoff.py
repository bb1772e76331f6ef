"""How long to wait before the next attempt. Pure: the dice are passed in, nobody sleeps here."""

from kvstore.seams import Random

FIRST_DELAY_SECONDS = 0.05  # a busy member recovers in this time
DELAY_SECONDS_MAX = 1.0  # an election takes about this long; waiting longer only adds to it


class Backoff:
    """Delays between attempts over a ring of endpoints.

    The other endpoints are tried at once; after each full round the delay doubles, up to a
    maximum. Half of every delay is random, so that clients that failed together come back apart.
    """

    def __init__(self, random: Random, endpoint_count: int) -> None:
        self._random = random
        self._endpoint_count = endpoint_count
        self._failures = 0

    def next_delay(self) -> float:
        """Count a failure; seconds to wait before the next attempt."""
        self._failures += 1
        rounds, position = divmod(self._failures, self._endpoint_count)
        if position:
            return 0.0
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** min(rounds - 1, 16), DELAY_SECONDS_MAX)
        return delay * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """An attempt succeeded."""
        self._failures = 0
