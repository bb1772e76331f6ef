"""Watches, against a real member and through a proxy that is cut."""

import asyncio

import pytest

from kvstore.client import Client, EventType, Filter, Watch, watch_state
from kvstore.errors import CompactedError, UnavailableError, WatchCanceledError
from kvstore.testing.processes import ClusterProcesses
from tests.kvstore.client.channels import connect
from tests.kvstore.client.proxy import Proxy

pytestmark = pytest.mark.usefixtures("channel")


async def values(watch: Watch, last: bytes) -> list[bytes]:
    """Values of the events until the one with the value `last`."""
    seen: list[bytes] = []
    async with asyncio.timeout(30):
        async for batch in watch:
            seen += [event.kv.value for event in batch.events]
            if seen and seen[-1] == last:
                break
    return seen


async def test_a_watch_sees_what_comes_after_created(client: Client, key: str) -> None:
    await client.put(key, "before")
    async with client.watch(key, prev_kv=True) as watch:
        start = await watch.created()
        put = await client.put(key, "after")
        gone = await client.delete(key)
        batches = [await anext(watch), await anext(watch)]
    assert start == put.header.revision
    assert [batch.revision for batch in batches] == [put.header.revision, gone.header.revision]
    (written,), (deleted,) = (batch.events for batch in batches)
    assert (written.type, written.kv.value) == (EventType.PUT, b"after")
    assert written.prev_kv is not None
    assert written.prev_kv.value == b"before"
    assert (deleted.type, deleted.kv.key) == (EventType.DELETE, key.encode())


async def test_a_watch_reads_history(client: Client, key: str) -> None:
    first = await client.put(key, "1")
    for n in range(2, 40):
        await client.put(key, str(n))
    async with client.watch(key, start_revision=first.header.revision) as watch:
        assert await watch.created() == first.header.revision
        assert await values(watch, b"39") == [str(n).encode() for n in range(1, 40)]


async def test_a_cancelled_watch_ends(client: Client, key: str) -> None:
    watch = client.watch(key)
    await watch.created()
    watch.cancel()
    assert [batch async for batch in watch] == []
    watch.cancel()
    unconfirmed = client.watch(key)
    unconfirmed.cancel()
    with pytest.raises(UnavailableError):
        await unconfirmed.created()


async def test_many_watches_share_a_stream_and_none_sees_another(
    single: ClusterProcesses, key: str
) -> None:
    async with Proxy(single.endpoints[0]) as proxy, connect([proxy.endpoint]) as client:
        watches = [client.watch(f"{key}{n}") for n in range(50)]
        await asyncio.gather(*(watch.created() for watch in watches))
        for n in range(50):
            await client.put(f"{key}{n}", str(n))
        for n, watch in enumerate(watches):
            assert await values(watch, str(n).encode()) == [str(n).encode()]
        assert proxy.connection_count == 1


async def test_filters_leave_events_out(client: Client, key: str) -> None:
    async with (
        client.watch(key, filters=[Filter.NODELETE]) as puts,
        client.watch(key, filters=[Filter.NOPUT]) as deletes,
    ):
        await asyncio.gather(puts.created(), deletes.created())
        await client.put(key, "1")
        await client.delete(key)
        await client.put(key, "2")
        assert await values(puts, b"2") == [b"1", b"2"]
        assert [event.type for event in (await anext(deletes)).events] == [EventType.DELETE]


async def test_progress_notifications_come_to_those_who_ask(client: Client, key: str) -> None:
    async with client.watch(key, progress_notify=True) as watch:
        await watch.created()
        revision = (await client.put(f"other-{key}", "v")).header.revision
        async with asyncio.timeout(20):
            async for batch in watch:
                assert batch.events == ()
                if batch.revision >= revision:
                    break
        assert batch.revision >= revision


async def test_progress_can_be_requested(client: Client, key: str) -> None:
    async with client.watch(key) as watch:
        await watch.created()
        revision = (await client.put(f"other-{key}", "v")).header.revision
        watch.request_progress()
        async with asyncio.timeout(20):
            batch = await anext(watch)
        assert (batch.events, batch.revision >= revision) == ((), True)


async def test_large_transactions_arrive_whole_though_fragmented(client: Client, key: str) -> None:
    revision = 0
    for n in range(8):
        revision = (await client.put(f"{key}{n}", bytes([n]) * 700_000)).header.revision
    async with (
        client.watch(key, prefix=True, start_revision=revision - 7, fragment=True) as watch,
        asyncio.timeout(30),
    ):
        seen: list[int] = []
        while len(seen) < 8:
            seen += [event.kv.value[0] for event in (await anext(watch)).events]
    assert seen == list(range(8))
    await client.delete(key, prefix=True)


async def test_a_compacted_start_is_a_compacted_error(client: Client, key: str) -> None:
    old = (await client.put(key, "1")).header.revision
    newest = (await client.put(key, "2")).header.revision
    await client.compact(newest)
    watch = client.watch(key, start_revision=old)
    with pytest.raises(CompactedError) as raised:
        await anext(watch)
    assert (raised.value.requested, raised.value.compacted) == (old, newest)
    with pytest.raises(CompactedError):
        await anext(watch)


async def test_a_watch_of_an_empty_range_is_refused(client: Client) -> None:
    with pytest.raises(WatchCanceledError):
        await client.watch("b", "a").created()


async def test_a_watch_from_now_misses_nothing_while_its_connection_is_down(
    single: ClusterProcesses, client: Client, key: str
) -> None:
    async with Proxy(single.endpoints[0]) as proxy, connect([proxy.endpoint]) as watching:
        watch = watching.watch(key)
        await watch.created()
        proxy.cut()
        for n in range(20):
            await client.put(key, str(n))
        proxy.open()
        assert await values(watch, b"19") == [str(n).encode() for n in range(20)]


async def test_a_watch_survives_ever_new_cuts_without_loss_or_duplicate(
    single: ClusterProcesses, client: Client, key: str
) -> None:
    count = 300
    async with Proxy(single.endpoints[0]) as proxy, connect([proxy.endpoint]) as watching:
        watches = [watching.watch(key, prefix=True) for _ in range(3)]
        await asyncio.gather(*(watch.created() for watch in watches))

        async def write() -> None:
            for n in range(count):
                await client.put(f"{key}{n % 7}", str(n))
                if n % 40 == 20:
                    proxy.break_connections()

        last = str(count - 1).encode()
        seen, *_ = await asyncio.gather(
            asyncio.gather(*(values(watch, last) for watch in watches)), write()
        )
        assert seen == [[str(n).encode() for n in range(count)]] * 3
        assert proxy.connection_count > 1


async def test_a_cut_watch_whose_next_revision_is_compacted_says_so(
    single: ClusterProcesses, client: Client, key: str
) -> None:
    async with Proxy(single.endpoints[0]) as proxy, connect([proxy.endpoint]) as watching:
        watch = watching.watch(key)
        await watch.created()
        proxy.cut()
        await client.put(key, "missed")
        newest = (await client.put(key, "newest")).header.revision
        await client.compact(newest)
        proxy.open()
        async with asyncio.timeout(30):
            with pytest.raises(CompactedError) as raised:
                await anext(watch)
        assert raised.value.compacted == newest


async def test_a_slow_consumer_bounds_its_memory_and_loses_nothing(
    client: Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "BUFFER_EVENTS_MAX", 16)
    count = 200
    async with client.watch(f"{key}slow") as slow, client.watch(f"{key}slow") as fast:
        await asyncio.gather(slow.created(), fast.created())

        async def write() -> None:
            for n in range(count):
                await client.put(f"{key}slow", str(n))

        last = str(count - 1).encode()
        seen, _ = await asyncio.gather(values(fast, last), write())
        assert len(seen) == count  # while the slow one has not read at all
        assert slow.watcher.is_full
        assert slow.watcher.buffered_event_count <= 16 + 16
        assert await values(slow, last) == [str(n).encode() for n in range(count)]


async def test_closing_the_client_ends_its_watches(single: ClusterProcesses, key: str) -> None:
    client = connect(single.endpoints)
    watch = client.watch(key)
    await watch.created()
    await client.close()
    with pytest.raises(UnavailableError):
        await anext(watch)
