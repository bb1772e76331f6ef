"""Clients of the Service: each request on a connection of its own, so that each is balanced."""

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Self

import aiohttp

_CLIENTS = 4
_PAUSE_SECONDS = 0.005
_REQUEST_SECONDS_MAX = 5.0


class Traffic:
    """A context manager: requests go to `url` until its end.

    done      how many were answered well
    failures  why others were not, and how many
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.done = 0
        self.failures: Counter[str] = Counter()
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession

    async def until_answered(self) -> None:
        """Return at the next good answer."""
        self._answered.clear()
        await self._answered.wait()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX),
        )
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(_CLIENTS)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._session.close()

    async def _ask(self) -> None:
        while True:
            began_at = time.monotonic()
            try:
                async with self._session.get(self._url) as answer:
                    await answer.read()
                    answer.raise_for_status()
            except (aiohttp.ClientError, TimeoutError) as error:
                after = time.monotonic() - began_at
                self.failures[f"{error or type(error).__name__} (after {after:.1f} s)"] += 1
            else:
                self.done += 1
                self._answered.set()
            await asyncio.sleep(_PAUSE_SECONDS)
