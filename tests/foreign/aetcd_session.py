"""A session with PyPI's `aetcd`, run by the Python of a virtual environment that has it.

PYTHON aetcd_session.py HOST PORT
"""

import asyncio
import sys

import aetcd


async def main() -> None:
    async with aetcd.Client(host=sys.argv[1], port=int(sys.argv[2])) as client:
        await client.put(b"foreign2/a", b"1")
        found = await client.get(b"foreign2/a")
        assert found.value == b"1"
        assert await client.replace(b"foreign2/a", b"1", b"2")
        assert not await client.replace(b"foreign2/a", b"1", b"3")
        await client.put(b"foreign2/b", b"4")
        assert [kv.value async for kv in _each(client, b"foreign2/")] == [b"2", b"4"]

        lease = await client.lease(30)
        await client.put(b"foreign2/leased", b"x", lease=lease)
        assert 0 < await lease.remaining_ttl() <= 30
        await lease.refresh()
        await lease.revoke()
        assert await client.get(b"foreign2/leased") is None

        watch = await client.watch(b"foreign2/watched")
        await client.put(b"foreign2/watched", b"seen")
        async for event in watch:
            assert event.kv.value == b"seen"
            break
        await watch.cancel()
        assert await client.delete(b"foreign2/a")
        assert (await client.status()).version
    print("aetcd: all calls answered as expected")


async def _each(client: aetcd.Client, prefix: bytes):
    for kv in await client.get_prefix(prefix):
        yield kv


asyncio.run(main())
