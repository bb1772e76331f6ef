"""The real clock: the running event loop's monotonic time."""

import asyncio
from collections.abc import Callable

from kvstore.seams import Timer


class LoopClock:
    """Clock seam on the running asyncio loop."""

    def now(self) -> float:
        """Monotonic seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, after `seconds`."""
        return asyncio.get_running_loop().call_later(seconds, callback)
