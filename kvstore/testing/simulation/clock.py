"""The clock of one simulated process: runs a little fast or slow, and stops with its process."""

import asyncio
from collections.abc import Callable

from kvstore.seams import Timer


class SimulatedClock:
    """Clock seam on the running (simulated) loop.

    `rate` is simulated skew: local seconds per second of the loop. After `stop` no callback runs
    any more and sleepers never wake: the process is dead.
    """

    def __init__(self, *, rate: float = 1.0, offset: float = 0.0) -> None:
        self._rate = rate
        self._offset = offset
        self._is_stopped = False

    def now(self) -> float:
        """Monotonic local seconds."""
        return self._offset + asyncio.get_running_loop().time() * self._rate

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of local time."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(seconds / self._rate)
        if self._is_stopped:
            await asyncio.get_running_loop().create_future()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` after `seconds` of local time, unless the process is dead by then."""

        def run() -> None:
            if not self._is_stopped:
                callback()

        return asyncio.get_running_loop().call_later(seconds / self._rate, run)

    def stop(self) -> None:
        """The process has died."""
        self._is_stopped = True
