"""The client's real clock: time of the running event loop.

Only the Clock seam's real half. The client may not import the server, so it has its own.
"""

import asyncio
from collections.abc import Callable

from kvstore.seams import Timer


class AsyncioClock:
    """Clock on the running asyncio loop."""

    def now(self) -> float:
        """Monotonic seconds of the loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let others run for `seconds`."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, after `seconds`."""
        return asyncio.get_running_loop().call_later(seconds, callback)
