"""What is stored and cannot be read harms nobody else. Bytes are put past us, as by etcdctl."""

import asyncio
import logging

import pytest

from controlplane.api.errors import UnreadableError
from controlplane.encryption import Encryption
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.objects import Change, ObjectStore, ObjectWatch
from controlplane.pages import Page
from kvstore.client import Client
from tests.controlplane.kinds import WIDGETS, widget, with_size

WAIT_SECONDS_MAX = 30.0
PASSWORD = b"correct-horse"
UNREADABLE = {
    "no text": b"\xff\xfe" + PASSWORD,
    "no JSON": b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":' + PASSWORD,
    "cut short": b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"b"}',
    "no metadata": b'{"spec":"%b"}' % PASSWORD,
    "no object": b'["metadata", "%b"]' % PASSWORD,
    "metadata of no object": b'"\\"metadata\\":{%b"' % PASSWORD,
    "broken text": b'{"metadata":{"name":"b"},"spec":"\xff%b"}' % PASSWORD,
    "protobuf": b"k8s\x00\n\x0e\n\x02v1\x12\x08Widget" + PASSWORD,
    "a key that is gone": b"k8s:enc:aesgcm:v1:gone:" + bytes(28) + PASSWORD,
    "nothing": b"",
    "no name": b'{"metadata":{},"spec":"%b"}' % PASSWORD,
    "another's name": b'{"metadata":{"name":"a","namespace":"n"},"spec":"%b"}' % PASSWORD,
}
CASES = pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE.keys())


def _place(namespace: str, name: str = "b") -> str:
    return f"/registry/example.com/widgets/{namespace}/{name}"


@pytest.fixture
def store(client: Client) -> ObjectStore:
    """As a component that knows no key has it."""
    return ObjectStore(client, transform=Encryption([], [(WIDGETS.group, WIDGETS.plural)]))


def _names(page: Page) -> list[str]:
    return [item["metadata"]["name"] for item in page.items]


async def _until_told(watch: ObjectWatch, name: str) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not any(change.key.endswith(f"/{name}".encode()) for change in found):
            found += await anext(watch)
    return found


@CASES
async def test_get_update_and_delete_tell_it(
    store: ObjectStore, client: Client, namespace: str, value: bytes
) -> None:
    """2.18: 500 InternalError; nothing of the content is told."""
    await client.put(_place(namespace), value)
    calls = [
        store.get(WIDGETS, namespace, "b"),
        store.update(WIDGETS, namespace, "b", lambda old: old),
        store.delete(WIDGETS, namespace, "b"),
    ]
    for call in calls:
        with pytest.raises(UnreadableError) as caught:
            await call
        assert (caught.value.code, caught.value.reason) == (500, "InternalError")
        assert f"what is stored at {_place(namespace)} cannot be read" in caught.value.message
        assert PASSWORD.decode() not in caught.value.message
    kv = await client.get(_place(namespace))
    assert kv is not None
    assert kv.value == value


@CASES
async def test_list_leaves_it_out_and_says_where_it_is(
    store: ObjectStore,
    client: Client,
    namespace: str,
    value: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("a", "c"):
        await store.create(WIDGETS, widget(namespace, name))
    await client.put(_place(namespace), value)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            page = await store.list(WIDGETS, namespace)
            assert _names(page) == ["a", "c"]
            assert page.unreadable == [_place(namespace).encode()]
    assert len(caplog.messages) == 1, "said once of each revision, however often it is listed"
    assert _place(namespace) in caplog.messages[0]
    assert PASSWORD.decode() not in caplog.text


async def test_pages_go_on_behind_it(store: ObjectStore, client: Client, namespace: str) -> None:
    """2.8: also where a page ends with it, and where its key could stand in no token."""
    for name in ("a", "c", "d"):
        await store.create(WIDGETS, widget(namespace, name))
    await client.put(_place(namespace, "b"), b"x")
    await client.put(_place(namespace, "c").encode() + b"\xff", b"{}")
    names: list[str] = []
    left_out: list[bytes] = []
    token = ""
    while True:
        page = await store.list(WIDGETS, namespace, limit=1, continue_token=token)
        names += _names(page)
        left_out += page.unreadable
        token = page.continue_token
        if not token:
            break
    assert names == ["a", "c", "d"]
    assert left_out == [
        _place(namespace, "b").encode(),
        _place(namespace, "c").encode() + b"\xff",
    ]


@CASES
async def test_watch_leaves_it_out_and_goes_on(
    store: ObjectStore,
    client: Client,
    namespace: str,
    value: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = await store.create(WIDGETS, widget(namespace, "b"))
    async with store.watch(WIDGETS, namespace, await store.revision()) as watch:
        with caplog.at_level(logging.ERROR):
            await client.put(_place(namespace), value)
            await store.create(WIDGETS, widget(namespace, "c"))
            (told,) = await _until_told(watch, "c")
            assert (await store.list(WIDGETS, namespace)).unreadable
        assert told.key == _place(namespace, "c").encode()
        assert len(caplog.messages) == 1
        assert _place(namespace) in caplog.messages[0]
        assert PASSWORD.decode() not in caplog.text

        await client.delete(_place(namespace))
        (gone,) = await _until_told(watch, "b")
        assert (gone.type, gone.raw, gone.previous) == ("DELETE", b"", None)
        again = await store.create(WIDGETS, widget(namespace, "b"))
        (back,) = await _until_told(watch, "b")
        assert back.object(WIDGETS) == again != made


async def _until_equal(informers: Informers, key: Key, size: int | None) -> None:
    """Wait until the cache has an object of this size at a key (None: has none)."""
    informer = informers.of(WIDGETS)
    changed = asyncio.Event()
    informer.add_handler(lambda key, old, new: changed.set())

    def now() -> int | None:
        found = informer.indexer.get(key)
        return None if found is None else found["spec"]["size"]

    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while now() != size:
            changed.clear()
            await changed.wait()


@CASES
async def test_cache_keeps_what_it_knew_until_it_can_be_read_or_is_gone(
    store: ObjectStore, client: Client, namespace: str, value: bytes
) -> None:
    key, other = Key(namespace, "b"), Key(namespace, "c")
    kept = await store.create(WIDGETS, widget(namespace, "b", size=1))
    async with Informers(store) as informers:
        await _until_equal(informers, key, 1)
        await client.put(_place(namespace), value)
        await store.create(WIDGETS, widget(namespace, "c", size=1))
        await _until_equal(informers, other, 1)
        assert informers.of(WIDGETS).indexer.get(key) == kept

        readable = b'{"metadata":{"name":"b","namespace":"%b"},"spec":{"size":2}}'
        await client.put(_place(namespace), readable % namespace.encode())
        await _until_equal(informers, key, 2)
        await client.put(_place(namespace), value)
        await client.delete(_place(namespace))
        await _until_equal(informers, key, None)
        await store.update(WIDGETS, namespace, "c", lambda old: with_size(old, 3))
        await _until_equal(informers, other, 3)
