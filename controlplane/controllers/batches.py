"""Many writes that may all fail for one reason: a few at first, and none after a failure.

Source: kube-behaviour 4.1 (slow start of creations).
"""

import asyncio
from collections.abc import Awaitable, Callable

from controlplane.api.errors import ApiError

FIRST = 1
AT_ONCE = 64  # of a batch: the store writes them together, and others have their turn, too


async def in_batches(count: int, act: Callable[[], Awaitable[object]]) -> ApiError | None:
    """Act `count` times, 1, 2, 4 … at a time; the first failure, after whose batch it stops."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with turns:
            await act()

    batch = FIRST
    while count > 0:
        batch = min(batch, count)
        done = await asyncio.gather(*(one() for _ in range(batch)), return_exceptions=True)
        failed = [error for error in done if error is not None]
        for error in failed:
            if not isinstance(error, ApiError):
                raise error
            return error
        count -= batch
        batch *= 2
    return None
