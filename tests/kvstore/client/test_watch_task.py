"""A watch task that breaks: whoever watches hears of it, and may watch again."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from kvstore.client.client import Client
from kvstore.client.clock import AsyncioClock
from kvstore.client.connection import Connection
from kvstore.errors import UnavailableError
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcStream

WAIT_SECONDS_MAX = 10.0


class _Stream:
    """Confirms each watch, or breaks in a way that no channel promises."""

    def __init__(self, breaks: BaseException | None) -> None:
        self._breaks = breaks
        self._responses: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, request: Any) -> None:
        if request.HasField("create_request"):
            header = rpc_pb2.ResponseHeader(revision=7)
            self._responses.put_nowait(
                rpc_pb2.WatchResponse(
                    header=header, created=True, watch_id=request.create_request.watch_id
                )
            )

    async def receive(self) -> Any:
        if self._breaks is not None:
            raise self._breaks
        return await self._responses.get()

    def cancel(self) -> None:
        pass


class _Channel:
    """Its first stream breaks."""

    def __init__(self, breaks: BaseException) -> None:
        self._breaks: BaseException | None = breaks

    async def unary(self, method: str, request: Any, response_type: Any, **how: Any) -> Any:
        raise AssertionError("nobody asks here")

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> RpcStream:
        breaks, self._breaks = self._breaks, None
        return _Stream(breaks)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("breaks", [ZeroDivisionError(), asyncio.CancelledError()], ids=repr)
async def test_watch_whose_task_breaks_fails_and_the_next_one_works(
    breaks: BaseException,
) -> None:
    """Or a whole process would wait for ever, and never watch anything again."""
    channel = _Channel(breaks)
    connection = Connection(
        ["a"],
        open_channel=lambda endpoint: channel,
        clock=AsyncioClock(),
        random=random.Random(1),
    )
    async with asyncio.timeout(WAIT_SECONDS_MAX), Client(connection) as client:
        async with client.watch("k") as broken:
            with pytest.raises(
                UnavailableError, match=f"the watch task broke: {type(breaks).__name__}"
            ):
                await anext(broken)
        async with client.watch("k") as watch:
            assert await watch.created() == 8
