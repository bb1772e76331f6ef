"""Services and their slices, told to whoever serves them: always all that is known of a service.

A change of a slice is a change of its service. Changes that come together are told once; those
that come meanwhile wait for their turn, so that connections and queries have the loop, too.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.types.core_v1 import Node, Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controller import key_of
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.network.plan import SERVICE_NAME

SLICE_SECONDS = 0.01  # of telling without letting others have the loop

_BY_SERVICE = "service"

logger = logging.getLogger(__name__)

OnService = Callable[[Key, Service | None, Sequence[EndpointSlice]], None]
"""Told a service as it is now; None: it is gone."""
OnNode = Callable[[str, Node | None], bool]
"""Told a node as it is now; whether all services need another look."""


class Feed:
    """What the caches hold, told to `subscribers` and to `on_node`."""

    def __init__(
        self, informers: Informers, registry: Registry, subscribers: Sequence[OnService]
    ) -> None:
        self._services = _resource(registry, "", "services")
        self._slices = _resource(registry, "discovery.k8s.io", "endpointslices")
        self._nodes = _resource(registry, "", "nodes")
        self._informers = informers
        self._subscribers = subscribers
        self._dirty: dict[Key, None] = {}
        self._is_dirty = asyncio.Event()
        slices = informers.of(self._slices)
        slices.indexer.add_index(_BY_SERVICE, lambda found: map(str, _services_of(found)))
        slices.add_handler(self._slice_changed)
        informers.of(self._services).add_handler(lambda key, old, new: self._mark(key))

    def watch_nodes(self, on_node: OnNode) -> None:
        """Tell of every node, and of its changes."""
        nodes = self._informers.of(self._nodes)

        def on_change(key: Key, old: Object | None, new: Object | None) -> None:
            if on_node(key.name, nodes.record(Node, key)):
                self.mark_all()

        nodes.add_handler(on_change)

    def service(self, key: Key) -> Object | None:
        """A service as the store has it."""
        return self._informers.of(self._services).indexer.get(key)

    def mark_all(self) -> None:
        """Every service needs another look."""
        for key in self._informers.of(self._services).indexer.sorted_keys():
            self._mark(key)

    async def run(self, on_current: Callable[[], None]) -> None:
        """Tell until cancelled; `on_current` is called once when everything was told."""
        await self._informers.until_synced()
        await self._tell_all()
        on_current()
        while True:
            await self._is_dirty.wait()
            await self._tell_all()

    async def _tell_all(self) -> None:
        now = asyncio.get_running_loop().time
        rested_at = now()
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            self._tell(key)
            if now() > rested_at + SLICE_SECONDS:
                await asyncio.sleep(0)
                rested_at = now()
        self._is_dirty.clear()

    def _tell(self, key: Key) -> None:
        """What a stranger wrote so that it cannot be read stays as it was, and stops nobody."""
        try:
            service = self._informers.of(self._services).record(Service, key)
        except msgspec.ValidationError as error:
            logger.warning("service %s cannot be read: %s", key, error)
            return
        slices = self._slices_of(key)
        for subscriber in self._subscribers:
            try:
                subscriber(key, service, slices)
            except Exception:
                logger.exception("service %s cannot be served as it is", key)

    def _slices_of(self, key: Key) -> list[EndpointSlice]:
        informer, found = self._informers.of(self._slices), []
        for one in informer.indexer.by_index(_BY_SERVICE, str(key)):
            try:
                record = informer.record(EndpointSlice, key_of(one))
            except msgspec.ValidationError as error:
                logger.warning("slice %s cannot be read: %s", key_of(one), error)
                continue
            if record is not None:
                found.append(record)
        return found

    def _slice_changed(self, key: Key, old: Object | None, new: Object | None) -> None:
        for found in (old, new):
            for service in _services_of(found) if found is not None else ():
                self._mark(service)

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._is_dirty.set()


def _services_of(found: Object) -> list[Key]:
    """The service of a slice, if it is one's."""
    metadata = found["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME)
    return [Key(metadata.get("namespace", ""), str(name))] if name else []


def _resource(registry: Registry, group: str, plural: str) -> Resource:
    found = registry.storage(group, plural)
    assert found is not None, f"there is no built-in {plural}"
    return found
