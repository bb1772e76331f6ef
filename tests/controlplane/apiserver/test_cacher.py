"""The cache at a real store: freshness, compaction, restarts, what is no object
(kube-behaviour 2.2, 2.7)."""

import asyncio
import contextlib
import gc
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.stored import Identity
from controlplane.apiserver import cacher as cacher_module
from controlplane.apiserver.cacher import Cacher
from controlplane.encryption import Encryption
from controlplane.objects import ObjectStore
from kvstore.client import Client, connect
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.asked import registry, resource
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_http import line_of, session, until

MAPS, SECRETS = resource("configmaps"), resource("secrets")

__all__ = ["session"]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "data": data}


class Followed:
    """A cacher that runs, and a store to write to."""

    def __init__(self, client: Client, transform: Any = None) -> None:
        self.cacher = Cacher(client, registry(), transform or Identity())
        self.store = ObjectStore(client, transform=transform)
        self.task = asyncio.create_task(self.cacher.run())

    def names(self, kind: Any = MAPS) -> list[str]:
        cache = self.cacher.cache.of(kind.group, kind.plural)
        return [entry.key.rpartition("/")[2] for entry in cache.scan("")]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def own_member(program: tuple[str, ...]) -> Iterator[ClusterProcesses]:
    """A store that a test may kill and fill with anything."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="cacher-", dir=memory) as folder,
        ClusterProcesses(program, Path(folder)) as cluster,
    ):
        yield cluster
        cluster.kill()


@pytest.fixture
async def own(own_member: ClusterProcesses) -> AsyncIterator[Client]:
    async with connect(own_member.endpoints) as connected:
        yield connected


@pytest.fixture
async def followed(own: Client) -> AsyncIterator[Followed]:
    made = Followed(own)
    await made.cacher.is_ready.wait()
    yield made
    await made.end()


# --------------------------------------------------------------------------- freshness


async def test_who_has_written_reads_what_he_wrote(followed: Followed) -> None:
    """2.2: without a resourceVersion a read sees all writes before it."""
    for number in range(30):
        await followed.store.create(MAPS, config_map(f"a{number:02}"))
        await followed.cacher.current()
        assert followed.names()[-1] == f"a{number:02}"


async def test_many_readers_at_once_see_what_was_written_before_them(followed: Followed) -> None:
    async def write_and_read(number: int) -> None:
        await followed.store.create(MAPS, config_map(f"a{number}"))
        await followed.cacher.current()
        assert f"a{number}" in followed.names()

    await asyncio.gather(*map(write_and_read, range(40)))


async def test_writes_of_others_do_not_hold_back_reads(own: Client) -> None:
    """Keys of other users of the store make revisions that no object has."""
    followed = Followed(own)
    await followed.store.create(MAPS, config_map("a"))
    for number in range(20):
        await own.put(f"/elsewhere/{number}", b"x")
        await followed.cacher.current()
    assert followed.names() == ["a"]
    assert followed.cacher.claims == set()
    # A newer server's answer, that this one has not come to.
    newest = (await own.put("/elsewhere/x", b"x")).header.revision
    await followed.cacher.at_least(newest)
    await followed.end()


async def test_who_asks_for_a_revision_of_the_future_makes_nobody_write(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cacher_module, "FRESH_SECONDS_MAX", 0.2)
    before = await followed.store.revision()
    with pytest.raises(ApiError):
        await followed.cacher.at_least(before + 1_000)
    assert await followed.store.revision() == before


async def test_a_revision_that_does_not_come_is_504(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.2: after 3 s; cause ResourceVersionTooLarge."""
    assert cacher_module.FRESH_SECONDS_MAX == 3.0
    monkeypatch.setattr(cacher_module, "FRESH_SECONDS_MAX", 0.2)
    with pytest.raises(ApiError) as caught:
        await followed.cacher.at_least(1_000_000)
    assert (caught.value.code, caught.value.reason) == (504, "Timeout")
    assert caught.value.causes[0].reason == "ResourceVersionTooLarge"
    await followed.cacher.at_least(1)


async def test_a_cancelled_reader_does_not_disturb_others(followed: Followed) -> None:
    for _ in range(20):
        first, second, third = (asyncio.create_task(followed.cacher.current()) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(second, third)
    await followed.cacher.current()


async def test_a_question_that_nobody_waits_for_any_more_fails_in_silence() -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    with socket.socket() as port:  # where nobody listens
        port.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{port.getsockname()[1]}"
        async with connect([endpoint], request_timeout_seconds=0.1) as client:
            cacher = Cacher(client, registry(), Identity())
            reader = asyncio.create_task(cacher.current())
            await until(lambda: cacher._asking is not None)
            reader.cancel()
            await until(lambda: cacher._asking is None)
    gc.collect()  # it is then that asyncio tells of an error that nobody has asked for
    await asyncio.sleep(0)
    assert reader.cancelled()
    assert complaints == []


# ------------------------------------------------------------------------ starting again


async def test_all_that_is_there_is_read_in_pages(
    followed: Followed, own: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cacher_module, "_PAGE_KEYS", 3)
    for number in range(10):
        await followed.store.create(MAPS, config_map(f"a{number}"))
    await own.put("/ranges/ip/10.96.0.7", b"shop/a")
    second = Followed(own)
    await second.cacher.is_ready.wait()
    assert second.names() == [f"a{number}" for number in range(10)]
    assert second.cacher.claims == {"/ranges/ip/10.96.0.7"}
    await own.delete("/ranges/ip/10.96.0.7")
    await second.cacher.current()
    assert second.cacher.claims == set()
    await second.end()


async def test_a_restart_of_the_store_loses_nothing(
    followed: Followed, own_member: ClusterProcesses
) -> None:
    await followed.store.create(MAPS, config_map("a"))
    await followed.cacher.current()
    told: list[str] = []
    cache = followed.cacher.cache.of("", "configmaps")
    cache.subscribe(lambda changes, at: told.extend(one.new.key[-1:] for one in changes))
    own_member.kill()
    own_member.start_member(own_member.members[0])
    while "b" not in followed.names():
        # The first one may leave by the connection that is cut: nobody knows what comes of it.
        with contextlib.suppress(ApiError):
            await followed.store.create(MAPS, config_map("b"))
            await until(lambda: followed.names() == ["a", "b"])
    assert told == ["b"]
    assert followed.cacher.generation == 1, "the watch went on where it was"


async def test_a_store_that_is_away_is_503_and_the_past_still_readable(
    followed: Followed, own_member: ClusterProcesses
) -> None:
    await followed.store.create(MAPS, config_map("a"))
    await followed.cacher.current()
    own_member.kill()
    with socket.socket() as port:  # held, or a store of somebody else's may have it, and be read
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind((own_member.members[0].address, own_member.members[0].client_port))
        with pytest.raises(ApiError) as caught:
            await followed.cacher.current()
        assert caught.value.code in (503, 504)
        await followed.cacher.at_least(0)
        assert followed.names() == ["a"]
    own_member.start_member(own_member.members[0])
    await until(lambda: not followed.task.done())
    await followed.cacher.current()


async def test_what_is_compacted_is_read_again_and_watches_are_told_at_once(
    api: Api, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.7. A cache that fell behind the compaction lists anew; its watches end with 410."""
    cacher = api.assembly.cacher
    path = f"{api.url}/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=1000000"
    async with session.get(path) as response:
        await until(lambda: len(cacher.cache.of("", "configmaps")._subscribers) == 1)
        await cacher._list()  # as it does when the store answers that it is compacted
        event = await line_of(response)
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        assert await line_of(response) is None, "and that is the end"
    # A revision from before that list is told to be too old.
    async with session.get(path.replace("1000000", "1")) as response:
        assert response.status == 410
        assert (await response.json())["message"].startswith("too old resource version: 1 (")


async def test_a_cache_behind_the_compaction_lists_again(own: Client) -> None:
    store = ObjectStore(own)
    for number in range(5):
        await store.create(MAPS, config_map(f"a{number}"))
    late = Followed(own)
    listed = late.cacher._list
    calls: list[int] = []

    async def old_at_first() -> int:
        revision = await listed()
        calls.append(revision)
        if len(calls) > 1:
            return revision
        await own.compact(revision)
        return 1  # it goes on from where nothing is any more

    late.cacher._list = old_at_first  # type: ignore[method-assign]
    await until(lambda: len(calls) == 2)
    await store.create(MAPS, config_map("b"))
    await late.cacher.current()
    assert late.names()[-1] == "b"
    assert late.cacher.generation == 2
    await late.end()


# ------------------------------------------------------------------------ strange bytes


async def test_bytes_that_are_no_objects_do_not_stop_the_server(
    followed: Followed, own: Client, caplog: pytest.LogCaptureFixture
) -> None:
    strange: dict[bytes, bytes] = {
        b"/registry/core/configmaps/shop/torn": b'{"metadata":{',
        b"/registry/core/configmaps/shop/list": b"[]",
        b"/registry/core/configmaps/shop/\xff\xfe": b"{}",
        b"/registry/nothing": b"x",
        b"/registry/": b"",
        b"/registry/core/pods": b"\x00",
        b"/ranges/\xff": b"",
    }
    for key, value in strange.items():
        await own.put(key, value)
    await followed.store.create(MAPS, config_map("good"))
    await followed.cacher.current()
    assert followed.names() == ["good"]
    assert "configmaps/shop/torn cannot be read" in caplog.text
    second = Followed(own)  # … nor keep one from starting
    await second.cacher.is_ready.wait()
    assert second.names() == ["good"]
    await second.end()
    for key in strange:
        await own.delete(key)
    await followed.cacher.current()
    assert followed.names() == ["good"]
    assert not followed.task.done()


async def test_a_secret_that_cannot_be_read_harms_no_other(own: Client) -> None:
    ours, theirs = Encryption([("one", b"1" * 32)]), Encryption([("two", b"2" * 32)])
    followed = Followed(own, ours)
    await followed.cacher.is_ready.wait()
    await ObjectStore(own, transform=theirs).create(SECRETS, config_map("theirs"))
    await followed.store.create(SECRETS, config_map("ours"))
    await followed.cacher.current()
    assert followed.names(SECRETS) == ["ours"]
    assert not followed.task.done()
    await followed.end()
