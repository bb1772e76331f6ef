"""Work that goes on beside a test, and is killed with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def killed_at_end(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have it done until the context is left. Raises what it has failed with: nobody ended it."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
