"""How much of requests' bodies is held at once, for all and for one user. PURE.

A body is held from its first byte until its request is answered, so half-sent ones count, and
those that wait for a seat.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from controlplane.api import errors

HELD_BYTES_MAX = 256 * 1024 * 1024  # some 85 of the largest bodies
USER_BYTES_MAX = HELD_BYTES_MAX // 2  # nobody may take all of it from the others


class Uploads:
    """What is held now."""

    def __init__(
        self, held_bytes_max: int = HELD_BYTES_MAX, user_bytes_max: int = USER_BYTES_MAX
    ) -> None:
        self._held_bytes_max = held_bytes_max
        self._user_bytes_max = user_bytes_max
        self._of_user: Counter[str] = Counter()
        self.held_bytes = 0

    @contextlib.contextmanager
    def room(self, who: str) -> Iterator[Callable[[int], None]]:
        """Hold what the function is told of, until the end. It raises ApiError 429."""
        own = 0

        def take(size: int) -> None:
            nonlocal own
            is_too_much = self.held_bytes + size > self._held_bytes_max
            if is_too_much or self._of_user[who] + size > self._user_bytes_max:
                raise errors.too_many_requests("Too many requests, please try again later.")
            own += size
            self.held_bytes += size
            self._of_user[who] += size

        try:
            yield take
        finally:
            self.held_bytes -= own
            self._of_user[who] -= own
            if not self._of_user[who]:
                del self._of_user[who]
