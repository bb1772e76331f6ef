"""The real clock: an event loop's monotonic time."""

import asyncio
from collections.abc import Callable

from kvstore.seams import Timer


class LoopClock:
    """Clock seam on the asyncio loop that runs when it is made."""

    def __init__(self) -> None:
        # Kept: CPython 3.11 asks the kernel for the process's id whenever it is asked for the loop.
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, after `seconds`."""
        return self._loop.call_later(seconds, callback)
