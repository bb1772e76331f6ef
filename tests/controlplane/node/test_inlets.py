"""What waits for a process that takes it as fast as it likes: bounded, in order, and dropped when
nobody takes it any more.
"""

import asyncio
import socket

import pytest

from controlplane.node.inlets import INLET_BYTES_MAX, Inlet
from controlplane.upgrades import Connection

WAIT_SECONDS_MAX = 30.0


async def taken(_: int) -> None:
    pass


async def pair() -> tuple[Connection, Connection]:
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


async def test_all_comes_in_its_order_and_then_its_end() -> None:
    (_, writer), (reader, _) = await pair()
    inlet, counts = Inlet(), []

    async def count(size: int) -> None:
        counts.append(size)

    feeding = asyncio.create_task(inlet.feed(writer, count))
    for number in range(100):
        inlet.put(b"%d\n" % number)
        await inlet.room()
    inlet.end()
    inlet.put(b"late")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await reader.read(-1) == b"".join(b"%d\n" % number for number in range(100))
        await feeding
    assert sum(counts) == 290
    writer.close()


async def test_whoever_puts_waits_for_whoever_does_not_take() -> None:
    (_, writer), (reader, other) = await pair()
    inlet = Inlet()
    feeding = asyncio.create_task(inlet.feed(writer, taken))
    put = 0

    async def fill() -> None:
        nonlocal put
        while True:
            inlet.put(bytes(65_536))
            put += 65_536
            await inlet.room()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fill(), 0.5)
    assert put < 20 * INLET_BYTES_MAX, "what the kernel holds, and so much"
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await reader.readexactly(put - INLET_BYTES_MAX // 2)
        await inlet.room()
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    other.close()
    writer.close()


@pytest.mark.parametrize("how", ["nobody", "gone"])
async def test_what_nobody_takes_is_dropped(how: str) -> None:
    """No reader of a client waits for ever for a command without stdin, or one that closed it."""
    inlet = Inlet()
    inlet.put(bytes(2 * INLET_BYTES_MAX))
    (_, writer), (_, other) = await pair()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        if how == "nobody":
            inlet.close()
        else:
            other.close()
            await inlet.feed(writer, taken)
        await inlet.room()
        inlet.put(bytes(2 * INLET_BYTES_MAX))
        await inlet.room()
    writer.close()
    other.close()
