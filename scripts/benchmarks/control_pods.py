"""Pods and Deployments as a user makes them, and who watches what becomes of them.

What is waited for is told by a watch on a field selector: an object that comes into the selection
is ADDED, one that leaves it is DELETED, each once, so that only events need be counted.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.http_client import BadAnswerError, HttpAnswer, HttpConnection, Site

BOUND = ("spec.nodeName=", b'"type":"DELETED"')
RUNNING = ("status.phase=Running", b'"type":"ADDED"')
WAIT_SECONDS_MAX = 300.0
_POLL_SECONDS = 0.1
_NOW = b'{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}'


def pod(name: str, image: str) -> bytes:
    """Small ones, as the pods of a whole cluster must fit on a few nodes."""
    spec = _spec(image)
    return _json({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def deployment(name: str, replicas: int, image: str) -> bytes:
    """Of the same pods."""
    labels = {"app": name}
    return _json(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _spec(image)},
            },
        }
    )


def _spec(image: str) -> dict[str, Any]:
    requests = {"cpu": "10m", "memory": "16Mi"}
    container = {"name": "main", "image": image, "resources": {"requests": requests}}
    return {"containers": [container], "terminationGracePeriodSeconds": 1}


class Arrivals:
    """When events came, in seconds of perf_counter."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self._came = asyncio.Event()

    def came(self, events: int) -> None:
        """So many more."""
        self.at += itertools.repeat(time.perf_counter(), events)
        self._came.set()

    async def until(self, count: int) -> None:
        """Wait for so many in all. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(self.at) < count:
                self._came.clear()
                await self._came.wait()


class Namespace:
    """One of its own for a load, on a connection of its own."""

    def __init__(self, site: Site, name: str, connection: HttpConnection) -> None:
        self.pods = f"/api/v1/namespaces/{name}/pods"
        self.deployments = f"/apis/apps/v1/namespaces/{name}/deployments"
        self._site = site
        self._name = name
        self._connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def made(cls, site: Site, name: str) -> AsyncIterator["Namespace"]:
        """Once pods can be made there: its account is a controller's work."""
        connection = await site.connect()
        made = cls(site, name, connection)
        try:
            await made.post("/api/v1/namespaces", _json({"metadata": {"name": name}}))
            await made.until(f"/api/v1/namespaces/{name}/serviceaccounts/default", 200)
            yield made
        finally:
            made._connection.close()

    async def post(self, path: str, body: bytes) -> None:
        """Make an object. Raises ConnectionError, BadAnswerError."""
        await self._surely(self._site.request("POST", path, body))

    async def until(self, path: str, code: int) -> None:
        """Ask until this is the answer's status. Raises ConnectionError, TimeoutError."""
        request = self._site.request("GET", path)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                if (await self._ask(request)).code == code:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def make_all(self, bodies: Sequence[bytes], clients: int) -> None:
        """Pods, by several clients at once. Raises ConnectionError, BadAnswerError."""
        left = iter(bodies)
        connections = [await self._site.connect() for _ in range(clients)]

        async def work(connection: HttpConnection) -> None:
            for body in left:
                answer = await connection.ask(self._site.request("POST", self.pods, body))
                _check(answer)

        try:
            await asyncio.gather(*map(work, connections))
        finally:
            for connection in connections:
                connection.close()

    @contextlib.asynccontextmanager
    async def watched(self, path: str, selector: str, mark: bytes) -> AsyncIterator[Arrivals]:
        """Events from now on that have a mark. Raises ConnectionError, BadAnswerError."""
        listed = await self._surely(self._site.request("GET", f"{path}?limit=1"))
        revision = json.loads(listed.body)["metadata"]["resourceVersion"]
        asked = f"{path}?watch=true&resourceVersion={revision}&fieldSelector={selector}"
        arrivals = Arrivals()
        request = self._site.request("GET", f"{asked}&timeoutSeconds=1200")
        stream = await self._site.stream(request, mark, arrivals.came)
        try:
            yield arrivals
        finally:
            stream.close()

    async def clear(self) -> None:
        """Take all away at once, and return when the namespace is gone."""
        for path in (self.deployments, self.pods):
            await self._surely(self._site.request("DELETE", path, _NOW))
        path = f"/api/v1/namespaces/{self._name}"
        await self._surely(self._site.request("DELETE", path))
        await self.until(path, 404)

    async def _surely(self, request: bytes) -> HttpAnswer:
        answer = await self._ask(request)
        _check(answer)
        return answer

    async def _ask(self, request: bytes) -> HttpAnswer:
        """On a new connection where the server has closed the one before, as it was idle."""
        if self._connection.is_lost:
            self._connection = await self._site.connect()
        return await self._connection.ask(request)


def _check(answer: HttpAnswer) -> None:
    if not answer.is_success:
        raise BadAnswerError(f"{answer.code} {answer.body[:400]!r}")


def _json(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()
