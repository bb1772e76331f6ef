"""The requests of `scripts/bench control`, and who sends them."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

from benchmarks import closed_loop
from benchmarks.control_bars import Figures
from benchmarks.control_servers import Servers
from benchmarks.http_client import BadAnswerError, HttpAnswer, HttpConnection, HttpStream
from benchmarks.outcome import Meter, Outcome, Target

PODS = 5_000
NAMESPACES = ("filled", "made", "watched")
PAGE = 500
DELETING_ROWS = 2  # which share the filled pods
FILL_CLIENTS = 16
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
STRATEGIC = "application/strategic-merge-patch+json"
_DELIVERY_SECONDS_MAX = 30.0
_CONNECTING_MAX = 50  # at once: more would only wait in the server's backlog
_ADDED = b'"type":"ADDED"'

Request = Callable[[int], bytes]


def pod(name: str) -> bytes:
    """As a user writes one: the server fills in the rest."""
    container = {
        "name": "main",
        "image": "registry.example/team/service:1.2.3",
        "args": ["--listen=0.0.0.0:8080", "--verbose"],
        "env": [{"name": "MODE", "value": "production"}],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
    }
    labels = {"app": "service", "tier": "backend"}
    tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container]},
    }
    return json.dumps(tree, separators=(",", ":")).encode()


def _status(number: int) -> bytes:
    """What a node reports; each time another address, so that each is a write."""
    started = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    status = {"phase": "Running", "podIP": address, "conditions": [started]}
    return json.dumps({"status": status}, separators=(",", ":")).encode()


class ControlLoads:
    """Loads against one pair of servers; names go on counting, so that none comes twice.

    pods  so many are there to be read
    """

    def __init__(self, servers: Servers, pods: int = PODS) -> None:
        self._pods = pods
        self._servers = servers
        self._site = servers.site
        self._numbers = itertools.count()
        self._doomed = itertools.count()  # of the filled pods, which deletions take

    # ------------------------------------------------------------------ preparing

    async def prepare(self) -> None:
        """Namespaces whose default accounts no controller makes here."""
        async with self._connected(1) as [connection]:
            for name in NAMESPACES:
                metadata = {"metadata": {"name": name}}
                await _surely(connection, self._post("/api/v1/namespaces", metadata))
                account = {"metadata": {"name": "default"}}
                path = f"/api/v1/namespaces/{name}/serviceaccounts"
                await _surely(connection, self._post(path, account))

    async def fill(self) -> None:
        """The pods that reads find."""
        numbers = iter(range(self._pods))

        async def work(connection: HttpConnection) -> None:
            for number in numbers:
                await _surely(connection, self._create("filled", _filled(number)))

        async with self._connected(FILL_CLIENTS) as connections:
            await asyncio.gather(*map(work, connections))

    # ------------------------------------------------------------------ closed loops

    async def create(self, clients: int, seconds: float) -> Figures:
        """Pods without end."""
        return await self._closed(
            lambda _: self._create("made", f"p-{next(self._numbers):09}"), clients, seconds
        )

    async def get(self, clients: int, seconds: float) -> Figures:
        """One filled pod after the other."""
        return await self._closed(
            lambda n: self._site.request("GET", _path(_filled(n % self._pods))), clients, seconds
        )

    async def patch_status(self, clients: int, seconds: float) -> Figures:
        """As a node does."""

        def request(number: int) -> bytes:
            path = _path(_filled(number % self._pods)) + "/status"
            body = _status(next(self._numbers))
            return self._site.request("PATCH", path, body, content_type=STRATEGIC)

        return await self._closed(request, clients, seconds)

    async def delete(self, clients: int, seconds: float) -> Figures:
        """Filled pods, which are gone at once, for they are on no node."""
        return await self._closed(
            lambda _: self._site.request("DELETE", _path(_filled(next(self._doomed)))),
            clients,
            seconds,
            count_max=self._pods // DELETING_ROWS,
        )

    async def list_all(self, accept: str, count: int) -> Figures:
        """All filled pods in one answer, so many times."""
        request = self._site.request("GET", "/api/v1/namespaces/filled/pods", accept=accept)
        return await self._closed(lambda _: request, 1, 60.0, count_max=count)

    async def _closed(
        self, request: Request, clients: int, seconds: float, *, count_max: int | None = None
    ) -> Figures:
        numbers = itertools.count()
        async with self._connected(clients) as connections:
            calls = [_call(connection, request, numbers) for connection in connections]
            outcome = await closed_loop.run(self._target(), calls, seconds, count_max=count_max)
        return _figures(outcome)

    # ------------------------------------------------------------------ pages

    async def list_pages(self, count: int) -> Figures:
        """All filled pods in pages; latencies are of the whole list."""
        meter = Meter(self._target())
        async with self._connected(1) as [connection]:
            for _ in range(count):
                began = time.perf_counter()
                pods = await self._pages(connection)
                meter.latencies.append(time.perf_counter() - began)
                meter.failures += pods != self._pods
        return _figures(meter.outcome())

    async def _pages(self, connection: HttpConnection) -> int:
        token, pods = "", 0
        while True:
            path = f"/api/v1/namespaces/filled/pods?limit={PAGE}"
            path += f"&continue={quote(token)}" if token else ""
            answer = await _surely(connection, self._site.request("GET", path))
            page = json.loads(answer.body)
            pods += len(page["items"])
            token = page["metadata"].get("continue", "")
            if not token:
                return pods

    # ------------------------------------------------------------------ watches

    async def watch(self, watchers: int, count: int) -> Figures:
        """From the sending of a create until the last of the watchers has its event."""
        meter = Meter(self._target())
        hub = _Deliveries(watchers)
        async with self._connected(1) as [connection], self._watching(hub, connection):
            meter = Meter(self._target())  # to connect is not what is measured
            for _ in range(count):
                request = self._create("watched", f"w-{next(self._numbers):09}")
                began = time.perf_counter()
                hub.expect()
                await _surely(connection, request)
                try:
                    async with asyncio.timeout(_DELIVERY_SECONDS_MAX):
                        ended = await hub.all_have_it()
                    meter.latencies.append(ended - began)
                except TimeoutError:
                    meter.failures += 1
        return _figures(meter.outcome())

    @contextlib.asynccontextmanager
    async def _watching(
        self, hub: "_Deliveries", connection: HttpConnection
    ) -> AsyncIterator[None]:
        base = "/api/v1/namespaces/watched/pods"
        listed = await _surely(connection, self._site.request("GET", f"{base}?limit=1"))
        revision = json.loads(listed.body)["metadata"]["resourceVersion"]
        path = f"{base}?watch=true&resourceVersion={revision}&timeoutSeconds=600"
        request = self._site.request("GET", path)
        gate = asyncio.Semaphore(_CONNECTING_MAX)

        async def begin() -> HttpStream:
            async with gate:
                return await self._site.stream(request, _ADDED, hub.came)

        streams = await asyncio.gather(*(begin() for _ in range(hub.watchers)))
        try:
            yield
        finally:
            for stream in streams:
                stream.close()

    # ------------------------------------------------------------------ requests

    def _target(self) -> Target:
        """The API server's CPU is what counts; the store has a benchmark of its own."""
        return Target([], [self._servers.api_pid])

    @contextlib.asynccontextmanager
    async def _connected(self, count: int) -> AsyncIterator[list[HttpConnection]]:
        connections = [await self._site.connect() for _ in range(count)]
        try:
            yield connections
        finally:
            for connection in connections:
                connection.close()

    def _create(self, namespace: str, name: str) -> bytes:
        return self._site.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod(name))

    def _post(self, path: str, tree: dict[str, Any]) -> bytes:
        return self._site.request("POST", path, json.dumps(tree).encode())


class _Deliveries:
    """Counts one event at all watchers."""

    def __init__(self, watchers: int) -> None:
        self.watchers = watchers
        self._missing = 0
        self._ended: asyncio.Future[float] | None = None

    def expect(self) -> None:
        self._missing = self.watchers
        self._ended = asyncio.get_running_loop().create_future()

    def came(self, events: int) -> None:
        self._missing -= events
        if self._missing == 0 and self._ended is not None and not self._ended.done():
            self._ended.set_result(time.perf_counter())

    async def all_have_it(self) -> float:
        """When the last one had it, seconds of perf_counter."""
        assert self._ended is not None, "nothing is expected"
        return await self._ended


def _filled(number: int) -> str:
    return f"filled-{number:05}"


def _path(name: str) -> str:
    return f"/api/v1/namespaces/filled/pods/{name}"


def _call(connection: HttpConnection, request: Request, numbers: Iterator[int]) -> closed_loop.Call:
    def call(on_end: Callable[[bool], None]) -> None:
        connection.send(
            request(next(numbers)),
            lambda answer: on_end(answer is not None and answer.is_success),
        )

    return call


async def _surely(connection: HttpConnection, request: bytes) -> HttpAnswer:
    """Raises ConnectionError, BadAnswerError."""
    answer = await connection.ask(request)
    if not answer.is_success:
        raise BadAnswerError(f"{request[:80]!r}: {answer.code} {answer.body[:400]!r}")
    return answer


def _figures(outcome: Outcome) -> Figures:
    return Figures(
        rate=outcome.rate,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        failures=outcome.failures,
        cpu_us=outcome.cpu_us,
        generator_cpu=outcome.generator_cpu,
    )
