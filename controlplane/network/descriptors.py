"""File descriptors that the process may still open, shared by all listeners and connections.

Who finds none left waits for those of others, so the process never fails to open what it needs
for the store or for DNS. Nobody has more than are free besides, so however many come to one place,
there is room for those who come to another (Choudhury and Hahne, "Dynamic Queue Length Thresholds
for Shared-Memory Packet Switches", 1998).
"""

import resource
from collections import deque
from collections.abc import Callable

RESERVED = 512  # of the process's limit: the store's connections, DNS, logs
_RESERVED_PART_MAX = 3, 4  # however low the limit is, a few are left for listeners
COUNT_MAX = 200_000  # each costs memory, however many the machine allows


class Descriptors:
    """A count of what may still be opened."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, count: int, held: int = 0) -> bool:
        """Whether there are as many for somebody who has `held`; they are the caller's then."""
        if self._free < max(count, held):
            return False
        self._free -= count
        return True

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self._free += count
        for _ in range(len(self._waiting)):
            if self._free <= 0:
                return
            self._waiting.popleft()()

    def when_free(self, callback: Callable[[], None]) -> None:
        """Call once when something was given back; there may be none left again by then."""
        self._waiting.append(callback)


def of_process(reserved: int = RESERVED) -> Descriptors:
    """Raises the process's limit as far as it may, and counts what it allows.

    reserved  for all else that the process opens
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = COUNT_MAX if hard == resource.RLIM_INFINITY else min(hard, COUNT_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    allowed = wanted if soft == resource.RLIM_INFINITY else min(soft, COUNT_MAX)
    return Descriptors(_left(allowed, reserved))


def _left(allowed: int, reserved: int) -> int:
    part, whole = _RESERVED_PART_MAX
    return allowed - min(reserved, allowed * part // whole)
