"""Lists in pages, and watches. Numbers are rows of kube-behaviour.md."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controlplane import objects, pages
from controlplane.api.errors import ApiError
from controlplane.api.resource import Resource
from controlplane.objects import Change, ObjectStore, ObjectWatch
from kvstore.client import Client
from tests.controlplane.kinds import WIDGETS, widget, with_size

WAIT_SECONDS_MAX = 30.0


async def _make(store: ObjectStore, namespace: str, count: int) -> list[str]:
    names = [f"w{number:03}" for number in range(count)]
    for name in names:
        await store.create(WIDGETS, widget(namespace, name))
    return names


def _names(page: objects.Page) -> list[str]:
    return [item["metadata"]["name"] for item in page.items]


async def _changes(watch: ObjectWatch, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while len(found) < count:
            found += await anext(watch)
    return found


async def test_list_is_one_namespace_at_one_revision(store: ObjectStore, namespace: str) -> None:
    """2.2: the list's resourceVersion is the revision it was read at."""
    names = await _make(store, namespace, 3)
    await store.create(WIDGETS, widget(f"{namespace}-other"))
    page = await store.list(WIDGETS, namespace)
    assert _names(page) == names
    assert page.items[1] == await store.get(WIDGETS, namespace, names[1])
    assert (page.continue_token, page.remaining) == ("", None)
    assert page.revision == await store.revision()
    everywhere = [item["metadata"]["namespace"] for item in (await store.list(WIDGETS)).items]
    assert everywhere.count(namespace) == 3
    assert everywhere.count(f"{namespace}-other") == 1


async def test_pages_are_consistent(store: ObjectStore, namespace: str) -> None:
    """2.8: chunks are of the first page's revision; remainingItemCount."""
    names = await _make(store, namespace, 5)
    first = await store.list(WIDGETS, namespace, limit=2)
    assert (_names(first), first.remaining) == (names[:2], 3)
    await store.delete(WIDGETS, namespace, names[3])
    await store.create(WIDGETS, widget(namespace, "w002x"))
    second = await store.list(WIDGETS, namespace, limit=2, continue_token=first.continue_token)
    assert (_names(second), second.remaining) == (names[2:4], 1)
    third = await store.list(WIDGETS, namespace, limit=2, continue_token=second.continue_token)
    assert (_names(third), third.remaining, third.continue_token) == (names[4:], None, "")
    assert first.revision == second.revision == third.revision


async def test_token_older_than_the_compaction_is_expired_and_can_go_on(
    store: ObjectStore, client: Client, namespace: str
) -> None:
    """2.8: 410 Expired, with a fresh token whose list is not consistent."""
    names = await _make(store, namespace, 4)
    first = await store.list(WIDGETS, namespace, limit=2)
    await store.create(WIDGETS, widget(namespace, "w003x"))
    await client.compact(await store.revision())
    with pytest.raises(ApiError) as caught:
        await store.list(WIDGETS, namespace, limit=2, continue_token=first.continue_token)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    metadata = caught.value.status["metadata"]
    assert isinstance(metadata, dict)
    rest = await store.list(WIDGETS, namespace, continue_token=metadata["continue"])
    assert _names(rest) == [*names[2:], "w003x"]
    assert rest.revision >= first.revision


async def test_list_at_a_revision(store: ObjectStore, client: Client, namespace: str) -> None:
    """2.2: resourceVersionMatch=Exact; 2.7: compacted → 410; not reached → 504 with its cause."""
    names = await _make(store, namespace, 2)
    before = await store.revision()
    await store.delete(WIDGETS, namespace, names[0])
    assert _names(await store.list(WIDGETS, namespace, revision=before)) == names
    await client.compact(await store.revision())
    with pytest.raises(ApiError) as caught:
        await store.list(WIDGETS, namespace, revision=before)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    with pytest.raises(ApiError) as caught:
        await store.list(WIDGETS, namespace, revision=10**9)
    assert (caught.value.code, caught.value.causes[0].reason) == (504, "ResourceVersionTooLarge")


@pytest.mark.parametrize(
    "token", ["x", "!", "e30", base64.b64encode(b'{"v":"meta.k8s.io/v1","rv":0,"start":"a"}')]
)
async def test_malformed_token_is_a_bad_request(
    store: ObjectStore, namespace: str, token: str | bytes
) -> None:
    """2.8, 2.18."""
    text = token if isinstance(token, str) else token.decode()
    with pytest.raises(ApiError) as caught:
        await store.list(WIDGETS, namespace, continue_token=text)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


async def test_list_without_limit_comes_in_chunks_of_one_revision(
    store: ObjectStore, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await _make(store, namespace, 5)
    monkeypatch.setattr(pages, "CHUNK_OBJECTS", 2)
    assert _names(await store.list(WIDGETS, namespace)) == names


# --------------------------------------------------------------------------- watches


@asynccontextmanager
async def _watching(store: ObjectStore, namespace: str) -> AsyncIterator[ObjectWatch]:
    revision = (await store.list(WIDGETS, namespace)).revision
    async with store.watch(WIDGETS, namespace, revision) as watch:
        yield watch


async def test_watch_tells_every_change_once_and_in_order(
    store: ObjectStore, namespace: str
) -> None:
    """2.4: DELETED carries the final state with the revision of the deletion."""
    async with _watching(store, namespace) as watch:
        made = await store.create(WIDGETS, widget(namespace))
        await store.create(WIDGETS, widget(f"{namespace}-other"))
        resized = await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
        await store.delete(WIDGETS, namespace, "a")
        gone = await store.revision()
        first, second, third = await _changes(watch, 3)
    assert (first.type, first.object(WIDGETS), first.previous) == ("PUT", made, None)
    assert (second.type, second.object(WIDGETS)) == ("PUT", resized)
    assert second.previous == first.raw
    last = third.object(WIDGETS)
    assert last is not None
    assert (third.type, last["spec"]["size"], third.previous) == ("DELETE", 2, second.raw)
    assert third.revision == gone == int(last["metadata"]["resourceVersion"])


async def test_watch_of_the_past(store: ObjectStore, namespace: str) -> None:
    """2.4: every change after N."""
    await store.create(WIDGETS, widget(namespace, "before"))
    revision = await store.revision()
    await store.create(WIDGETS, widget(namespace, "after"))
    async with store.watch(WIDGETS, namespace, revision) as watch:
        (change,) = await _changes(watch, 1)
    assert change.key.endswith(b"/after")


async def test_watch_from_a_compacted_revision_is_expired(
    store: ObjectStore, client: Client, namespace: str
) -> None:
    """2.7: 410 Expired "too old resource version: N (M)"."""
    revision = await store.revision()
    await _make(store, namespace, 3)
    compacted = await store.revision()
    await client.compact(compacted)
    async with store.watch(WIDGETS, namespace, revision) as watch:
        with pytest.raises(ApiError) as caught:
            await _changes(watch, 1)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    assert caught.value.message == f"too old resource version: {revision} ({compacted})"


async def test_idle_watch_shows_signs_of_life(store: ObjectStore, namespace: str) -> None:
    """2.5: what bookmarks are made of."""
    async with _watching(store, namespace) as watch:
        before = await watch.created()
        await store.create(WIDGETS, widget(f"{namespace}-other"))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while watch.revision <= before:
                assert await anext(watch) == []


async def test_answer_to_a_question_does_not_move_where_to_go_on(
    store: ObjectStore, namespace: str
) -> None:
    """etcd before 3.4.25 may answer ahead of events that are under way."""
    async with _watching(store, namespace) as watch:
        watch.request_progress()
        before = await watch.created()
        await store.create(WIDGETS, widget(f"{namespace}-other"))
        now = await store.revision()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while watch.progress < now:
                watch.request_progress()
                assert await anext(watch) == []
        assert watch.revision == before
        await store.create(WIDGETS, widget(namespace))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not await anext(watch):
                pass
        assert watch.revision == await store.revision()


class _Reversed:
    """A transform that anyone could break, and which notes who asked."""

    prefix = b"rev1:"

    def encode(self, resource: Resource, key: bytes, plain: bytes) -> bytes:
        return self.prefix + key[::-1] + plain[::-1]

    def decode(self, resource: Resource, key: bytes, stored: bytes) -> bytes:
        _, _, body = stored.partition(b":")
        assert body.startswith(key[::-1]), "moved from another key"
        return body[len(key) :][::-1]

    def is_stale(self, resource: Resource, stored: bytes) -> bool:
        return not stored.startswith(self.prefix)


async def test_bytes_go_through_the_transform(client: Client, namespace: str) -> None:
    """9.3: what encryption at rest needs: no way past it, and a new key by an equal write."""
    transform = _Reversed()
    store = ObjectStore(client, transform=transform)
    key = f"/registry/example.com/widgets/{namespace}/a"
    async with store.watch(WIDGETS, namespace, await store.revision()) as watch:
        made = await store.create(WIDGETS, widget(namespace))
        kv = await client.get(key)
        assert kv is not None
        assert kv.value.startswith(b"rev1:")
        assert b"example.com/v1" not in kv.value
        assert await store.get(WIDGETS, namespace, "a") == made
        assert (await store.list(WIDGETS, namespace)).items == [made]
        assert [change.object(WIDGETS) for change in await _changes(watch, 1)] == [made]

    assert await store.update(WIDGETS, namespace, "a", lambda old: old) == made
    transform.prefix = b"rev2:"
    moved = await store.update(WIDGETS, namespace, "a", lambda old: old)
    assert moved["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert (await client.get(key)).value.startswith(b"rev2:")  # type: ignore[union-attr]
    await client.delete(key)
