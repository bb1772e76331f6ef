"""The API servers compact the store, one of them in an interval."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import msgspec
import pytest

from controlplane.apiserver.assembly import Assembly
from controlplane.apiserver.compaction import KEY, Compaction
from kvstore.client import Client, connect
from kvstore.errors import CompactedError, NoSpaceError
from kvstore.testing.processes import KEELSON, ClusterProcesses
from tests.controlplane.apiserver.conftest import settings

INTERVAL = 300.0


async def write(client: Client, value: str) -> int:
    return (await client.put("/registry/core/configmaps/x/y", value)).header.revision


async def fill(client: Client) -> None:
    with contextlib.suppress(NoSpaceError):
        while True:
            await write(client, "x" * 10_000)


async def is_compacted(client: Client, revision: int) -> bool:
    try:
        await client.get("/registry/core/configmaps/x/y", revision=revision)
    except CompactedError:
        return True
    return False


@pytest.fixture(autouse=True)
async def no_server_before(client: Client) -> None:
    await client.delete(KEY)


async def test_a_turn_compacts_to_what_the_turn_before_saw(client: Client) -> None:
    """So a list with a continue token, or a watch that resumes, has an interval's time."""
    server = Compaction(client, interval_seconds=INTERVAL)
    first = await write(client, "1")
    second = await write(client, "2")
    assert await server.step() == 0
    third = await write(client, "3")
    fourth = await write(client, "4")
    compacted = await server.step()
    assert second < compacted < third
    assert await is_compacted(client, first)
    assert not await is_compacted(client, third)
    assert third < await server.step()
    assert await is_compacted(client, third)
    assert not await is_compacted(client, fourth + 1)


async def test_of_several_servers_one_takes_a_turn(client: Client) -> None:
    servers = [Compaction(client, interval_seconds=INTERVAL) for _ in range(3)]
    assert [await server.step() for server in servers] == [0, 0, 0]
    for turn in range(4):
        written = await write(client, str(turn))
        turns = await asyncio.gather(*[server.step() for server in servers])
        (compacted,) = [revision for revision in turns if revision]
        assert compacted < written
        assert not await is_compacted(client, written)


async def test_who_comes_later_waits_an_interval_with_the_others(client: Client) -> None:
    early, late = (Compaction(client, interval_seconds=INTERVAL) for _ in range(2))
    await early.step()
    await write(client, "1")
    assert await late.step() == 0  # it has only just looked
    assert await early.step() > 0
    assert await late.step() == 0  # the other's turn was less than an interval ago
    assert await late.step() > 0
    assert await early.step() == 0


async def test_a_store_that_is_further_already_is_left(client: Client) -> None:
    server = Compaction(client, interval_seconds=INTERVAL)
    await server.step()
    await client.compact(await write(client, "1"))
    assert await server.step() == 0
    await write(client, "2")
    assert await server.step() > 0


async def test_it_runs_by_its_interval_until_it_is_cancelled(client: Client) -> None:
    written = await write(client, "1")
    await write(client, "2")
    running = asyncio.create_task(Compaction(client, interval_seconds=0.01).run())
    while not await is_compacted(client, written):
        assert not running.done()
        await write(client, "x")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_an_interval_of_zero_leaves_the_history_to_others(client: Client) -> None:
    await Compaction(client, interval_seconds=0).run()
    assert await client.get(KEY) is None


async def test_an_api_server_compacts_while_it_serves(
    client: Client, member: ClusterProcesses
) -> None:
    written = await write(client, '{"metadata": {"name": "y", "namespace": "x"}}')
    chosen = msgspec.structs.replace(settings(tuple(member.endpoints)), compaction_seconds=0.01)
    running = asyncio.create_task(Assembly(chosen, client).run(lambda url: None))
    while not await is_compacted(client, written):
        assert not running.done(), running.result()
        await write(client, "{}")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_store_that_takes_no_writes_any_more_is_compacted_all_the_same() -> None:
    """Else nothing would ever make room in it."""
    flags = ("--quota-backend-bytes=262144",)
    with (
        tempfile.TemporaryDirectory(prefix="compaction-") as folder,
        ClusterProcesses(KEELSON, Path(folder), flags=flags) as cluster,
    ):
        async with connect(cluster.endpoints) as client:
            server = Compaction(client, interval_seconds=INTERVAL)
            await server.step()
            old = await write(client, "1")
            await fill(client)
            await server.step()
            assert await server.step() > old
            assert await is_compacted(client, old)
        cluster.kill()
