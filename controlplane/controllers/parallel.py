"""Many objects, some of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 20


async def each(found: Sequence[T], look: Callable[[T], Awaitable[None]]) -> None:
    """AT_ONCE at a time. Raises the first error after all were looked at."""
    failed: list[BaseException] = []
    for start in range(0, len(found), AT_ONCE):
        looks = (look(one) for one in found[start : start + AT_ONCE])
        done = await asyncio.gather(*looks, return_exceptions=True)
        failed += [error for error in done if error is not None]
    if failed:
        raise failed[0]
