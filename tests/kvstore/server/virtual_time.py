"""Waiting in a simulated loop, where time costs nothing."""

import asyncio
from collections.abc import Callable

SECONDS_MAX = 30.0


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition is true; fail after half a minute."""
    deadline = asyncio.get_running_loop().time() + SECONDS_MAX
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.01)
