"""Clients that do not read, half-sent requests, too many of either: what they cost is bounded
(rows 1.12, 2.4 and 2.23 of kube-behaviour.md)."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from controlplane.apiserver import connections, delivery, http, recent
from controlplane.apiserver.flow_control import FlowControl
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_http import address, put, raw, session, until, watchers

__all__ = ["session"]

WAIT_SECONDS_MAX = 30.0


class Client:
    """A connection whose receive buffer is small, and which reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(
        self, text: str, body: bytes = b"", *, user: str = "admin", version: str = "1.1"
    ) -> None:
        head = f"{text} HTTP/{version}\r\nHost: x\r\n"
        if user:
            head += f"Authorization: Bearer {user}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)

    async def rest(self) -> bytes:
        """All that still comes."""
        parts: list[bytes] = []
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            with contextlib.suppress(ConnectionError):
                while part := await self.reader.read(1 << 20):
                    parts.append(part)
        return b"".join(parts)


@contextlib.asynccontextmanager
async def connected(api: Api) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*address(api), limit=1_024)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


def measured(api: Api, name: str) -> float:
    """The sum of a metric's rows, as /metrics tells it."""
    text = api.assembly.metrics.text().decode()
    rows = re.findall(rf"^{name}(?:{{.*}})? (\d+)$", text, re.MULTILINE)
    assert rows, name
    return sum(map(float, rows))


def body_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def fill(api: Api, space: str, count: int, size: int) -> None:
    for number in range(count):
        await put(api, space, f"a{number:03}", size)
    await api.assembly.cacher.current()


# ----------------------------------------------------------------------------- watches


async def test_who_does_not_read_costs_nothing_and_others_are_told_all(
    api: Api, session: aiohttp.ClientSession
) -> None:
    """2.4. What a silent watch has not taken is not kept for it."""
    space = await api.new_namespace()
    await fill(api, space, 8, 500_000)
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1"
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            silent = await stack.enter_async_context(connected(api))
            silent.ask(f"GET {path}")
        await until(lambda: watchers(api) == 10)
        response = await stack.enter_async_context(session.get(f"{api.url}{path}"))
        seen = 0
        for number in range(40):
            await put(api, space, f"b{number % 4}", 300_000 + number)
        while seen < 8 + 40:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                seen += (await response.content.readany()).count(b"\n")
            # What one holds: the line that it did not take, and what is written ahead of it.
            assert measured(api, "apiserver_unsent_bytes") <= 11 * (64 * 1024 + 600_000)
        assert watchers(api) == 11
        assert measured(api, "apiserver_longrunning_requests") == 11


async def test_who_reads_late_gets_every_change_once(api: Api) -> None:
    """2.4. It catches up from what is remembered for all."""
    space = await api.new_namespace()
    await fill(api, space, 12, 700_000)
    path = f"/api/v1/namespaces/{space}/configmaps?watch=1&timeoutSeconds=5"
    async with connected(api) as late:
        late.ask(f"GET {path}")
        await until(lambda: watchers(api) == 1)
        for number in range(20):
            await put(api, space, f"b{number % 3}", 200_000 + number)
        found = await late.rest()
    lines = [json.loads(line) for line in re.findall(rb"^\{.*\}$", found, re.MULTILINE)]
    names = [line["object"]["metadata"]["name"] for line in lines]
    assert names == [f"a{n:03}" for n in range(12)] + [f"b{n % 3}" for n in range(20)]
    assert [line["type"] for line in lines] == ["ADDED"] * 15 + ["MODIFIED"] * 17
    versions = [int(line["object"]["metadata"]["resourceVersion"]) for line in lines[12:]]
    assert versions == sorted(set(versions))


async def test_who_lags_behind_what_is_remembered_is_told_to_list_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.7."""
    monkeypatch.setattr(recent, "RECENT_COUNT_MAX", 5)
    space = await api.new_namespace()
    await fill(api, space, 12, 700_000)
    async with connected(api) as late:
        late.ask(f"GET /api/v1/namespaces/{space}/configmaps?watch=1")
        await until(lambda: watchers(api) == 1)
        for number in range(20):
            await put(api, space, "b", 10 + number)
        found = await late.rest()
    last = json.loads(re.findall(rb"^\{.*\}$", found, re.MULTILINE)[-1])
    assert last["type"] == "ERROR"
    assert (last["object"]["code"], last["object"]["reason"]) == (410, "Expired")
    assert found.endswith(b"0\r\n\r\n")


async def test_a_watch_whose_client_takes_nothing_for_too_long_is_cut(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STALLED_SECONDS_MAX", 0.2)
    space = await api.new_namespace()
    await fill(api, space, 12, 900_000)
    async with connected(api) as silent, connected(api) as caught_up:
        caught_up.ask(
            f"GET /api/v1/namespaces/{space}/configmaps?watch=1&fieldSelector=metadata.name%3Dz"
        )
        silent.ask(f"GET /api/v1/namespaces/{space}/configmaps?watch=1")
        await until(lambda: measured(api, "apiserver_stalled_clients_total") == 1)
        assert watchers(api) == 1, "who has nothing to take is not cut"
        assert not (await silent.rest()).endswith(b"0\r\n\r\n")


async def test_a_watch_may_ask_for_any_time(api: Api, session: aiohttp.ClientSession) -> None:
    """2.4."""
    space = await api.new_namespace()
    path = f"{api.url}/api/v1/namespaces/{space}/configmaps?watch=1&timeoutSeconds={'9' * 18}"
    async with session.get(path) as response:
        await until(lambda: watchers(api) == 1)
        await put(api, space, "a")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert json.loads(await response.content.readline())["type"] == "ADDED"


async def test_who_speaks_http_1_0_may_watch(api: Api) -> None:
    """1.12. It knows no chunks: the end of the connection is the end of the watch."""
    space = await api.new_namespace()
    await put(api, space, "a")
    async with connected(api) as old:
        path = f"/api/v1/namespaces/{space}/configmaps?watch=1&timeoutSeconds=1"
        old.ask(f"GET {path}&allowWatchBookmarks=true", version="1.0")
        found = await old.rest()
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert b"chunked" not in head
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["type"] for line in lines] == ["ADDED", "BOOKMARK"]


async def test_requests_of_a_connection_are_answered_in_their_order(api: Api) -> None:
    """1.12: HTTP/1.1, also when they are sent before the answers have come."""
    async with connected(api) as client:
        for path in ("/version", "/api/v1/namespaces/default", "/nothing"):
            client.ask(f"GET {path}")
        client.writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = await client.rest()
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"200", b"404", b"200"]
    assert found.endswith(b"ok")


# ----------------------------------------------------------------------------- lists


async def test_a_long_list_is_made_as_its_client_takes_it(api: Api) -> None:
    space = await api.new_namespace()
    await fill(api, space, 20, 900_000)
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(api)) for _ in range(8)]
        for client in clients:
            client.ask(f"GET /api/v1/namespaces/{space}/configmaps")
        counted = 'verb="LIST",group="",version="v1",resource="configmaps"'
        await until(lambda: measured(api, "apiserver_unsent_bytes") > 0)
        assert measured(api, "apiserver_unsent_bytes") <= 8 * 4 * 64 * 1024
        assert counted not in api.assembly.metrics.text().decode(), "none is answered yet"
        clients[0].writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = await clients[0].rest()
    assert b"Transfer-Encoding: chunked" in found.partition(b"\r\n\r\n")[0]
    assert found.count(b'"name":"a0') >= 20


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    ],
)
async def test_a_list_in_pieces_is_the_same_list(
    api: Api, session: aiohttp.ClientSession, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = await api.new_namespace()
    await fill(api, space, 30, 20_000)
    now = time.time()
    monkeypatch.setattr(api.assembly.server, "_now", lambda: now)  # ages stand still
    path = f"/api/v1/namespaces/{space}/configmaps"
    whole = await api.good("GET", path, accept=accept)
    for limit in (7, 200):
        query = f"{path}?limit={limit}"
        short = await api.good("GET", query, accept=accept)
        async with session.get(api.url + query, headers={"Accept": accept}) as response:
            found = await response.json()
        assert found == short
    rows = "rows" if "Table" in accept else "items"
    assert found[rows] == whole[rows]
    assert len(found[rows]) == 30


async def test_an_answer_keeps_its_seat_until_its_client_has_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.23, 11.9: who does not read holds a turn of his own, and for a bounded time."""
    monkeypatch.setattr(delivery, "ANSWER_SECONDS_MAX", 1.0)
    monkeypatch.setattr(api.assembly.server, "_flow_control", FlowControl(reads=1, writes=1))
    flow = api.assembly.server._flow_control
    space = await api.new_namespace()
    await fill(api, space, 20, 900_000)
    await let_bob_view(api, space)

    def used() -> float:
        return sum(flow.readings(waiting=False).values())

    async with connected(api) as silent, connected(api) as other:
        silent.ask(f"GET /api/v1/namespaces/{space}/configmaps", user="bob")
        await until(lambda: used() == 1)
        other.ask(f"GET /api/v1/namespaces/{space}/configmaps/a000", user="bob")
        await until(lambda: sum(flow.readings(waiting=True).values()) == 1)
        # His time is over: the next one has its turn.
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert b" 200 " in await other.reader.readline()
        assert measured(api, "apiserver_stalled_clients_total") >= 1
    await until(lambda: used() == 0)
    monkeypatch.setattr(delivery, "ANSWER_SECONDS_MAX", 60.0)
    async with connected(api) as going:
        going.ask(f"GET /api/v1/namespaces/{space}/configmaps", user="bob")
        await until(lambda: used() == 1)
    await until(lambda: used() == 0)


async def let_bob_view(api: Api, space: str) -> None:
    group = "rbac.authorization.k8s.io"
    body = {
        "metadata": {"name": "bob-views"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "bob"}],
    }
    await api.good("POST", f"/apis/{group}/v1/namespaces/{space}/rolebindings", body)
    await api.assembly.cacher.current()


# ----------------------------------------------------------------------------- bodies


async def test_a_body_is_read_only_of_who_may_send_it(api: Api) -> None:
    """Anonymous clients, and those who may not, are refused by the head alone."""
    for user, code in (("", b"403"), ("nobody", b"401"), ("bob", b"403")):
        async with connected(api) as client:
            head = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n"
            if user:
                head += b"Authorization: Bearer %b\r\n" % user.encode()
            client.writer.write(head + b"Content-Length: 3000000\r\n\r\n" + b" " * 1_000)
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                assert (await client.reader.readline()).split()[1] == code
            assert measured(api, "apiserver_held_body_bytes") == 0


async def test_who_waits_for_a_word_hears_it_only_if_his_body_is_wanted(api: Api) -> None:
    """RFC 9110, 10.1.1: Expect: 100-continue."""
    space = await api.new_namespace()
    body = b'{"metadata":{"name":"a"}}'
    for user, first in ((b"admin", b"100"), (b"nobody", b"401")):
        async with connected(api) as client:
            client.writer.write(
                b"POST /api/v1/namespaces/%b/configmaps HTTP/1.1\r\nHost: x\r\n" % space.encode()
                + b"Authorization: Bearer %b\r\nExpect: 100-continue\r\n" % user
                + b"Content-Length: %d\r\n\r\n" % len(body)
            )
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                assert (await client.reader.readline()).split()[1] == first
                if first == b"100":
                    client.writer.write(body)
                    await client.reader.readline()
                    assert (await client.reader.readline()).split()[1] == b"201"


async def test_half_sent_bodies_are_given_up_and_what_they_hold_is_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.23. All together, and those of one user."""
    monkeypatch.setattr(http, "BODY_SECONDS_MAX", 3.0)
    monkeypatch.setattr(api.assembly.server._uploads, "_user_bytes_max", 100_000)
    space = await api.new_namespace()

    def half(size: int) -> bytes:
        head = b"POST /api/v1/namespaces/%b/configmaps HTTP/1.1\r\nHost: x\r\n" % space.encode()
        return head + b"Authorization: Bearer admin\r\nContent-Length: 90000\r\n\r\n" + b" " * size

    async with connected(api) as first, connected(api) as second:
        first.writer.write(half(60_000))
        await until(lambda: measured(api, "apiserver_held_body_bytes") == 60_000)
        second.writer.write(half(60_000))
        answer = await raw_line(second)
        assert answer.split()[1] == b"429", answer
        answer = await raw_line(first)
        assert answer.split()[1] == b"504", answer
    await until(lambda: measured(api, "apiserver_held_body_bytes") == 0)


async def raw_line(client: Client) -> bytes:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return await client.reader.readline()


async def test_a_body_whose_client_goes_is_nobodys_error(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n"
    head += b"Authorization: Bearer admin\r\n"
    for more in (b"Content-Length: 1000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"):
        async with connected(api) as client:
            client.writer.write(head + more)
            await until(lambda: measured(api, "apiserver_held_body_bytes") > 0)
    await until(lambda: measured(api, "apiserver_held_body_bytes") == 0)
    found = await raw(api, head + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n")
    assert found.split()[1] == b"400"
    assert "Traceback" not in caplog.text


# ----------------------------------------------------------------------- connections


async def test_a_head_that_does_not_end_is_bounded_in_bytes_and_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(api) as client:
        client.writer.write(b"GET /livez HTTP/1.1\r\n")
        for number in range(70):
            client.writer.write(b"X-%d: %b\r\n" % (number, b"x" * 1_000))
        assert (await client.rest()).split()[1] == b"431"
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.2)
    async with connected(api) as client:
        client.writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        assert await client.rest() == b""
    async with connected(api) as client:  # the next one on a connection as well
        client.ask("GET /livez")
        assert b" 200 " in await raw_line(client)
        client.writer.write(b"GET /liv")
        assert b"HTTP/1.1" not in await client.rest()


async def test_a_head_behind_a_request_that_is_not_answered_yet_is_bounded_as_well(
    api: Api,
) -> None:
    """A watch that lasts, or an answer that nobody takes, would let it grow."""
    async with connected(api) as client:
        client.ask("GET /api/v1/namespaces?watch=1&allowWatchBookmarks=true")
        assert b" 200 " in await raw_line(client)
        client.writer.write(b"GET /livez HTTP/1.1\r\n")
        field = b"x: " + b"x" * 12_000 + b"\r\n"
        client.writer.write(field * (1 + connections.HEAD_BYTES_MAX // len(field)))
        await client.rest()
    async with connected(api) as client:  # what is whole waits for its turn
        client.ask("GET /livez?verbose")
        for _ in range(200):
            client.ask("GET /livez")
        client.ask("GET /version")
        found = b""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while b"gitVersion" not in found:
                found = found[-100:] + await client.reader.read(1_000)


async def test_too_many_connections_are_refused_and_those_that_are_there_go_on(api: Api) -> None:
    front = api.assembly.http._connections
    assert front is not None
    front._connections_max = 3
    async with contextlib.AsyncExitStack() as stack:
        served = [await stack.enter_async_context(connected(api)) for _ in range(3)]
        await until(lambda: measured(api, "apiserver_connections") == 3)
        async with connected(api) as further:
            further.ask("GET /livez")
            assert await further.rest() == b""
        for client in served:
            client.ask("GET /livez")
            assert b" 200 " in await raw_line(client)
        assert measured(api, "apiserver_refused_connections") == 1
    await until(lambda: measured(api, "apiserver_connections") == 0)
    async with connected(api) as again:
        again.ask("GET /livez")
        assert b" 200 " in await raw_line(again)


# ------------------------------------------------------------------------- methods


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PROPFIND", "/api/v1/pods", 405),
        ("PROPFIND", "/api/v1/namespaces/default/pods/a", 405),
        ("OPTIONS", "/api/v1/pods", 405),
        ("POST", "/version", 405),
        ("DELETE", "/api", 405),
        ("POST", "/nothing", 404),
    ],
)
async def test_a_method_that_there_is_not_is_405(
    api: Api, method: str, path: str, code: int
) -> None:
    """2.18."""
    status = await api.fault(method, path)
    assert (status["code"], status["kind"]) == (code, "Status")
    assert status["reason"] == ("MethodNotAllowed" if code == 405 else "NotFound")


async def test_head_of_a_watch_is_an_answer(api: Api) -> None:
    """1.12. It has no body, so it cannot last."""
    async with connected(api) as client:
        client.ask("HEAD /api/v1/namespaces/default/configmaps?watch=1")
        client.writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = await client.rest()
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"200"]
