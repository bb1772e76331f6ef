"""A client that writes values so large that a watch's responses come in fragments.

A response with `prev_kv` has what was there before as well: a large value over another is more than
a response may hold, if anything is told together with it.
"""

import asyncio
import time

import msgspec

from kvstore import client
from kvstore.errors import UnavailableError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.recorder import Recorder

PADDING = b"."
_BYTES = 1_400_000  # a request may have 1.5 MiB
_WRITES = 3  # all but the first surely over another
_PROCESS = 20_000  # for telling: nobody else has such a number


class LargeClient:
    """Writes one key over and over."""

    def __init__(self, recorder: Recorder, prefix: bytes) -> None:
        self._recorder = recorder
        self._key = prefix + b"large"
        self._count = 0

    async def next(self, store: client.Client) -> None:
        """Write a few times."""
        for _ in range(_WRITES):
            self._count += 1
            value = (b"%d.%d" % (_PROCESS, self._count)).ljust(_BYTES, PADDING)
            await self._put(store, value)

    async def _put(self, store: client.Client, value: bytes) -> None:
        put = Operation(
            process=_PROCESS, kind="put", key=self._key, value=value, invoked=time.monotonic()
        )
        try:
            header = (await store.put(self._key, value)).header
        except UnavailableError as error:
            if error.may_have_been_applied:
                self._recorder.record(put)
            else:
                self._recorder.refused.add(value)
            return
        except asyncio.CancelledError:
            self._recorder.record(put)
            raise
        answered = msgspec.structs.replace(
            put, completed=time.monotonic(), revision=header.revision
        )
        self._recorder.record(answered, term=header.raft_term)
