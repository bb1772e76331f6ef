"""Large bodies are read in a thread: while that takes, others are served.

What is no JSON is read by Python, a thousand times as slowly: one of those at a time, for more of
them would only take turns with the event loop more often.
"""

import asyncio

from controlplane.api import decoding
from controlplane.apiserver.incoming import Incoming

LARGE_BYTES = 64 * 1024
"""From here on: a tenth of a second of YAML."""


class LargeBodies:
    """`read` is for every request whose body has come."""

    def __init__(self) -> None:
        self._slow = asyncio.Semaphore(1)

    async def read(self, incoming: Incoming) -> None:
        """Read an object that is large, for whoever handles it. Raises ApiError 400 and 415."""
        if len(incoming.body) <= LARGE_BYTES or not incoming.is_of_object:
            return
        if incoming.media_type in ("", decoding.JSON):
            await asyncio.to_thread(incoming.decoded)
            return
        async with self._slow:
            await asyncio.to_thread(incoming.decoded)
