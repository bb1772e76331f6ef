"""The HTTP front over a real store: hostile bytes, slow and vanishing watchers (row 2.4)."""

import asyncio
import contextlib
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from controlplane.apiserver import following, http
from tests.controlplane.apiserver.conftest import Api

ADMIN = {"Authorization": "Bearer admin"}
WAIT_SECONDS_MAX = 30.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=ADMIN) as made:
        yield made


async def until(condition: Any) -> None:
    """Wait for a condition; it fails if it does not come."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 (what it asks about tells nobody)
            await asyncio.sleep(0.01)


def watchers(api: Api) -> int:
    """How many are told of changes of ConfigMaps."""
    return len(api.assembly.cacher.cache.of("", "configmaps")._subscribers)


async def put(api: Api, space: str, name: str, size: int = 1) -> None:
    body = {"metadata": {"name": name}, "data": {"x": "x" * size}}
    path = f"/api/v1/namespaces/{space}/configmaps"
    answered = await api.ask("PUT", f"{path}/{name}", body)
    if answered.code == 404:
        await api.good("POST", path, body)


async def line_of(response: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        line = await response.content.readline()
    return json.loads(line) if line else None


def address(api: Api) -> tuple[str, int]:
    host, _, port = api.url.removeprefix("http://").partition(":")
    return host, int(port)


async def raw(api: Api, data: bytes) -> bytes:
    """What comes back for some bytes, up to the end of its head."""
    reader, writer = await asyncio.open_connection(*address(api))
    writer.write(data)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        found = await reader.read(65_536)
    writer.close()
    return found


# --------------------------------------------------------------------------- requests


async def test_requests_and_answers(api: Api, session: aiohttp.ClientSession) -> None:
    space = await api.new_namespace()
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps"
    async with session.post(path, json={"metadata": {"name": "ä"}}) as response:
        assert response.status == 422
        assert response.content_type == "application/json"
        assert (await response.json())["reason"] == "Invalid"
    async with session.post(path, json={"metadata": {"name": "a"}}) as response:
        assert response.status == 201
    async with session.get(f"{path}/a") as response:
        assert (await response.json())["metadata"]["name"] == "a"
    async with session.head(f"{path}/a") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with session.get(path, headers={"Authorization": "Bearer no"}) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_warnings_are_headers(api: Api, session: aiohttp.ClientSession) -> None:
    """2.11."""
    space = await api.new_namespace()
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps"
    async with session.post(path, json={"metadata": {"name": "a"}, "odd": 1}) as response:
        assert response.headers["Warning"] == r'299 - "unknown field \"odd\""'


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_large_is_413(
    api: Api, session: aiohttp.ClientSession, is_chunked: bool
) -> None:
    """2.12: 3 MiB."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    data: Any = chunks() if is_chunked else b" " * (4 * 1024 * 1024)
    with contextlib.suppress(aiohttp.ClientOSError):  # it may be told while we still send
        async with session.post(f"{api.url}/api/v1/namespaces", data=data) as response:
            assert response.status == 413
            assert (await response.json())["reason"] == "RequestEntityTooLarge"
    assert (await api.ask("GET", "/livez")).code == 200


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET /api/v1/pods?%s HTTP/1.1\r\n" % b"&".join([b"a=1"] * 1_500), b"400"),
        (b"GET /livez HTTP/1.1\r\nUser-Agent: \xff\xfe/1\r\n", b"200"),
        (b"GET /api/v1/pods HTTP/1.1\r\nImpersonate-User: \xff\r\n", b"403"),
        (b"GET /api/v1/pods HTTP/1.1\r\nAuthorization: Bearer \xff\xff\r\n", b"401"),
        (
            b"GET /api/v1/pods HTTP/1.1\r\nAuthorization: Bearer %s.e30.x\r\n" % (b"W1tb" * 1500),
            b"401",
        ),
        (b"GET /%ff%fe HTTP/1.1\r\n", b"403"),
        (b"GET /api/v1/namespaces/%00/pods HTTP/1.1\r\n", b"403"),
        (b"PROPFIND /api/v1/pods HTTP/1.1\r\n", b"403"),
    ],
    ids=["parameters", "agent", "impersonate", "token", "deep token", "path", "zero", "method"],
)
async def test_hostile_bytes_are_answered_and_no_error_of_ours(
    api: Api, head: bytes, code: bytes
) -> None:
    found = await raw(api, head + b"Host: x\r\nConnection: close\r\n\r\n")
    assert found.split()[1] == code, found[:300]


async def test_a_body_in_pieces_of_a_few_bytes_takes_no_more_than_is_counted() -> None:
    """Who sends two bytes at a time would have twenty times as much kept for him."""

    class Pieces:
        async def iter_any(self) -> AsyncIterator[bytes]:
            for number in range(500_000):
                yield b"%02d" % (number % 100)

    counted: list[int] = []
    tracemalloc.start()
    try:
        request: Any = SimpleNamespace(content=Pieces())
        body = await http._body(request, counted.append)
        counts = sys.getsizeof(counted)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == sum(counted) == 1_000_000
    assert peak - counts < 4 * len(body)


async def test_a_program_of_any_name_may_write(api: Api) -> None:
    """Its name becomes a manager of fields, which must be text."""
    space = await api.new_namespace()
    body = b'{"metadata":{"name":"a"}}'
    head = b"POST /api/v1/namespaces/%b/configmaps HTTP/1.1\r\nHost: x\r\n" % space.encode()
    head += b"Authorization: Bearer admin\r\nUser-Agent: k\xff\x01x/1\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    found = await raw(api, head + body)
    assert found.split()[1] in (b"201", b"400"), found[:300]
    head = head.replace(b"\x01", b"")
    found = await raw(api, head + body)
    assert found.split()[1] in (b"201", b"409"), found[:300]


# ----------------------------------------------------------------------------- watches


async def test_a_watch_tells_changes_as_they_come(api: Api, session: aiohttp.ClientSession) -> None:
    """2.4."""
    space = await api.new_namespace()
    await put(api, space, "a")
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?watch=true"
    async with session.get(path) as response:
        assert response.status == 200
        first = await line_of(response)
        assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
        await put(api, space, "a", 2)
        await put(api, space, "b")
        await api.good("DELETE", f"/api/v1/namespaces/{space}/configmaps/a")
        told = [await line_of(response) for _ in range(3)]
        assert [event["type"] for event in told] == ["MODIFIED", "ADDED", "DELETED"]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in told]
        assert versions == sorted(versions)
        middle = versions[0]
    # From a revision on: what came after it, once.
    async with session.get(f"{path}&resourceVersion={middle}&timeoutSeconds=1") as response:
        rest = [json.loads(line) async for line in response.content]
    assert [event["type"] for event in rest] == ["ADDED", "DELETED"]


async def test_what_a_client_that_waits_asks_for(api: Api, session: aiohttp.ClientSession) -> None:
    """1.9, 2.4: a watch of 0 begins with what there is, one of a list with what came after it."""
    space = await api.new_namespace()
    await put(api, space, "a")
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?allowWatchBookmarks=true"
    async with session.get(f"{path}&resourceVersion=0") as response:
        version = (await response.json())["metadata"]["resourceVersion"]
    told = {}
    for begin in ("0", version):
        watch = f"{path}&watch=true&timeoutSeconds=1&resourceVersion={begin}"
        async with session.get(watch) as response:
            told[begin] = [json.loads(line)["type"] async for line in response.content]
    assert told == {"0": ["ADDED", "BOOKMARK"], version: ["BOOKMARK"]}


async def test_a_watch_ends_after_its_time_with_a_bookmark(
    api: Api, session: aiohttp.ClientSession
) -> None:
    """2.5: the last thing that is told is how far it has come."""
    space = await api.new_namespace()
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?watch=true"
    async with session.get(f"{path}&timeoutSeconds=1&allowWatchBookmarks=true") as response:
        await put(api, space, "a")
        lines = [json.loads(line) async for line in response.content]
    assert [event["type"] for event in lines] == ["ADDED", "BOOKMARK"]
    version = int(lines[1]["object"]["metadata"]["resourceVersion"])
    assert version >= int(lines[0]["object"]["metadata"]["resourceVersion"])


async def test_bookmarks_come_about_each_minute(
    api: Api, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.5: also where nothing happens."""
    assert following.BOOKMARK_SECONDS == 60.0
    monkeypatch.setattr(following, "BOOKMARK_SECONDS", 0.02)
    space = await api.new_namespace()
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?watch=true&timeoutSeconds=600"
    async with session.get(f"{path}&allowWatchBookmarks=true") as response:
        told = [await line_of(response) for _ in range(3)]
    assert [event["type"] for event in told] == ["BOOKMARK"] * 3
    assert {frozenset(event["object"]["metadata"]) for event in told} == {
        frozenset(("resourceVersion",))
    }


async def test_a_streaming_list_is_marked_where_it_ends(
    api: Api, session: aiohttp.ClientSession
) -> None:
    """2.6."""
    space = await api.new_namespace()
    await put(api, space, "a")
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1"
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?{query}"
    async with session.get(path) as response:
        assert response.status == 422
    async with session.get(f"{path}&resourceVersionMatch=NotOlderThan") as response:
        first, mark = await line_of(response), await line_of(response)
    assert (first["type"], mark["type"]) == ("ADDED", "BOOKMARK")
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_who_vanishes_is_forgotten_at_once(api: Api) -> None:
    space = await api.new_namespace()
    writers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection(*address(api))
        path = f"/api/v1/namespaces/{space}/configmaps?watch=1"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode())
        writer.write(b"Authorization: Bearer admin\r\n\r\n")
        writers.append(writer)
    await until(lambda: watchers(api) == 5)
    for writer in writers:
        writer.transport.abort()
    await until(lambda: watchers(api) == 0)


async def test_a_write_goes_on_when_its_client_goes(api: Api) -> None:
    space = await api.new_namespace()
    body = b'{"metadata":{"name":"a"}}'
    head = b"POST /api/v1/namespaces/%b/configmaps HTTP/1.1\r\nHost: x\r\n" % space.encode()
    head += b"Authorization: Bearer admin\r\nContent-Length: %d\r\n\r\n" % len(body)
    _, writer = await asyncio.open_connection(*address(api))
    writer.write(head + body)
    served = api.assembly.metrics.text
    await until(lambda: b'verb="CREATE",group="",version="v1",resource="configmaps"' in served())
    writer.transport.abort()
    assert (await api.ask("GET", f"/api/v1/namespaces/{space}/configmaps/a")).code == 200


async def test_the_server_ends_though_somebody_watches(
    api: Api, session: aiohttp.ClientSession
) -> None:
    path = f"{api.url}/api/v1/configmaps?watch=1&resourceVersion=1000000"
    async with session.get(path) as response:
        await until(lambda: watchers(api) == 1)
        api.running.cancel()
        assert await line_of(response) is None, "its watch came to an end"
    async with asyncio.timeout(4.0):  # less than what requests under way would have
        await asyncio.gather(api.running, return_exceptions=True)
