"""Endpoints of services, for clients that do not know EndpointSlices.

Source: Kubernetes' API reference of Endpoints; kube-behaviour 5.4. What they hold is planned in
`subsets.py`.
"""

from collections.abc import Mapping

from controlplane.api import changes, record
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Endpoints, Pod, Service
from controlplane.controller import Controller, Lister, Trigger, key_of
from controlplane.controllers import backends, subsets
from controlplane.controllers.backends import Selectors
from controlplane.controllers.context import Context
from controlplane.controllers.readable import readable
from controlplane.indexer import Key
from controlplane.objects import Claim, DeleteOptions, ObjectStore

WORKERS = 5  # kube-controller-manager's --concurrent-endpoint-syncs
_LABELS = "endpoints: labels"


def controller(context: Context) -> Controller:
    """Of services."""
    legacy = _Endpoints(context)
    return Controller(
        "endpoint",
        legacy.services,
        legacy.reconcile,
        triggers=[
            Trigger(legacy.pods, legacy.selectors.matching, part=backends.concern),
            Trigger(legacy.endpoints, lambda found: [key_of(found)]),
        ],
        indexes={_LABELS: (legacy.pods, backends.label_pairs)},
        workers=WORKERS,
    )


class _Endpoints:
    """selectors: of all services that were there since this process leads"""

    def __init__(self, context: Context) -> None:
        self.services, self.pods = context.resource("", "services"), context.resource("", "pods")
        self.endpoints = context.resource("", "endpoints")
        self.selectors = Selectors()

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> None:
        found = lister.get(self.endpoints, key)
        service = lister.record(Service, self.services, key)
        if service is None:
            await self._delete(store, key, found)
            self.selectors.remove(key)
            return
        is_ours = backends.is_selecting(service)
        self.selectors.put(key, service.spec.selector if is_ours else {})
        if not is_ours or service.metadata.deletion_timestamp is not None:
            return
        before = lister.record(Endpoints, self.endpoints, key)
        wanted = subsets.plan(service, self._pods(lister, service), before)
        if wanted is None:
            return
        guard = self._guard_of(service)
        if before is None or found is None:
            await store.create(self.endpoints, record.to_object(wanted), also=[guard])
            return
        await store.update(
            self.endpoints,
            key.namespace,
            key.name,
            lambda current: changes.carry(current, before, wanted),
            resource_version=before.metadata.resource_version,
            also=[guard],
            known=found,
        )

    def _pods(self, lister: Lister, service: Service) -> list[Pod]:
        found = lister.by_index(self.pods, _LABELS, backends.selector_pair(service))
        wanted = backends.selected(found, service.spec.selector)
        return readable(lister, Pod, self.pods, wanted)

    def _guard_of(self, service: Service) -> Claim:
        """The service is still the one of which this is made."""
        metadata = service.metadata
        place = self.services.key(metadata.namespace, metadata.name).encode()
        return Claim(place, None, int(metadata.resource_version))

    async def _delete(self, store: ObjectStore, key: Key, found: Object | None) -> None:
        """Of a service that is gone. What somebody made before its service stays."""
        if found is None or not (key in self.selectors or _is_ours(found)):
            return
        options = DeleteOptions(uid=found["metadata"]["uid"])
        place = Claim(self.services.key(key.namespace, key.name).encode(), None)
        try:
            await store.delete(
                self.endpoints,
                key.namespace,
                key.name,
                options=options,
                also=[place],
                known=found,
            )
        except ApiError as error:
            if error.code != 404:
                raise


def _is_ours(found: Object) -> bool:
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return labels.get(subsets.MANAGED_BY_LABEL) == subsets.MANAGER
