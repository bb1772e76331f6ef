"""The API server but for HTTP and rights: how users write, with its admission, and what it claims.

Cache, pipeline, turns, address allocation and evictions are the production ones. Who asks a server
that dies meanwhile does not know what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from controlplane.admission.review import Lister
from controlplane.api import errors, stored
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.allocation import Allocator
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call
from controlplane.apiserver.escalation import Escalation
from controlplane.apiserver.incoming import Answer, Incoming, Query, target_of
from controlplane.apiserver.options import WriteOptions
from controlplane.apiserver.pipeline import Pipeline
from controlplane.apiserver.pods import Pods
from controlplane.apiserver.server import REQUEST_SECONDS_MAX
from controlplane.apiserver.turns import Turns
from controlplane.apiserver.users import User
from controlplane.apiserver.writes import Step, Writes
from controlplane.simulation.world import Life

SERVICE_RANGE = "10.96.0.0/16"
NODE_PORTS = range(30_000, 32_768)
_ADMIN = User(name="admin", groups=("system:masters", "system:authenticated"))

T = TypeVar("T")


class _Server:
    """Its parts in one life."""

    def __init__(self, registry: Registry, life: Life) -> None:
        self.gone = asyncio.get_running_loop().create_future()
        self.wall = life.wall
        self.registry = registry
        self.cacher = Cacher(life.client, registry, stored.Identity())
        lister = Lister(get=self.cacher.get, list=self.cacher.list_of)
        turns = Turns(self.cacher.current, life.random)
        allocator = Allocator(
            SERVICE_RANGE, NODE_PORTS, lambda key: key in self.cacher.claims, life.random
        )
        quotas = registry.find("", "v1", "resourcequotas")
        assert quotas is not None
        self.writes = Writes(
            life.store,
            Pipeline(allocator.mutate, life.new_uid),
            lister,
            self.cacher.current,
            turns,
            Escalation(Authorizer(self.cacher)),
            quotas,
        )
        self.pods = Pods(life.store, self.writes, turns, registry, lister, self.cacher.current)


class ApiServer:
    """Over all its lives. Every method raises ApiError; 503 and 504 while it is away."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._server: _Server | None = None

    async def main(self, life: Life) -> None:
        """See `world.Main`."""
        server = _Server(self._registry, life)
        task = asyncio.ensure_future(server.cacher.run())
        ready = asyncio.ensure_future(server.cacher.is_ready.wait())
        try:
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            self._server = server
            await task
        finally:
            self._server = None
            server.gone.set_result(None)
            task.cancel()
            ready.cancel()
            await asyncio.wait([task, ready])

    async def create(self, resource: Resource, obj: Object) -> Object:
        """A new object."""
        namespace = str(obj["metadata"].get("namespace", ""))
        return await self._ask(
            lambda server: server.writes.create(_call(server, "POST", resource, namespace, obj))
        )

    async def update(self, resource: Resource, namespace: str, name: str, step: Step) -> Object:
        """What `step` makes of an object, whoever else writes it."""

        async def work(server: _Server) -> Answer:
            call = _call(server, "PUT", resource, namespace, {}, name)
            options = WriteOptions(manager="user")
            return _answer(await server.writes.updated(call, options, step))

        return await self._ask(work)

    async def delete(self, resource: Resource, namespace: str, name: str, policy: str) -> None:
        """`policy`: Background, Foreground or Orphan."""
        body = {"propagationPolicy": policy}
        await self._ask(
            lambda server: server.writes.delete(
                _call(server, "DELETE", resource, namespace, body, name)
            )
        )

    async def evict(self, pods: Resource, namespace: str, name: str) -> None:
        """Delete a pod if its budgets allow. Raises ApiError 429."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await self._ask(
            lambda server: server.pods.evict(
                _call(server, "POST", pods, namespace, body, name, "eviction")
            )
        )

    async def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        """What its cache has: it may be old."""
        server = self._server
        if server is None:
            raise errors.service_unavailable("the API server is away")
        return server.cacher.list_of(resource.group, resource.plural, namespace)

    async def _ask(self, work: "Callable[[_Server], Awaitable[Answer]]") -> Object:
        server = self._server
        if server is None:
            raise errors.service_unavailable("the API server is away")
        asked = asyncio.ensure_future(_bounded(work(server)))
        try:
            await asyncio.wait({asked, server.gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise errors.timeout("the API server has died")
        finally:
            asked.cancel()  # also where its client is gone
            await asyncio.wait([asked])
        found: Object = orjson.loads(asked.result().body)
        return found


async def _bounded(work: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            return await work
    except TimeoutError:
        raise errors.timeout("the request timed out") from None


def _answer(found: Object) -> Answer:
    return Answer(body=orjson.dumps(found))


def _call(
    server: _Server,
    method: str,
    resource: Resource,
    namespace: str,
    body: Mapping[str, Any],
    name: str = "",
    subresource: str = "",
) -> Call:
    base = f"apis/{resource.group}" if resource.group else "api"
    place = f"namespaces/{namespace}/" if namespace else ""
    parts = [f"/{base}/{resource.version}/{place}{resource.plural}", name, subresource]
    path = "/".join(part for part in parts if part)
    query = Query("")
    target = target_of(method, path, query)
    assert target is not None, path
    incoming = Incoming(
        method=method,
        path=path,
        query=query,
        headers={"content-type": "application/json", "user-agent": "user/1"},
        body=orjson.dumps(body),
    )
    return Call(
        incoming=incoming,
        target=target,
        resource=resource,
        user=_ADMIN,
        now=server.wall(),
        warnings=[],
    )
