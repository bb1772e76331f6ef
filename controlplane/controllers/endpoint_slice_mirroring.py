"""Endpoints that somebody made become EndpointSlices; who they are is planned in `mirrors.py`.

Source: Kubernetes' documentation, "EndpointSlices" ("EndpointSlice mirroring"); kube-behaviour 5.4.
"""

from collections.abc import Mapping

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Endpoints, Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controller import Controller, Lister, Trigger, key_of
from controlplane.controllers import mirrors, packing
from controlplane.controllers.context import Context
from controlplane.controllers.readable import readable
from controlplane.controllers.slice_writes import write
from controlplane.indexer import Key
from controlplane.objects import Claim, ObjectStore

WORKERS = 5  # kube-controller-manager's --mirroring-concurrent-service-endpoint-syncs
_ENDPOINTS = "endpoint slice mirroring: endpoints"


def controller(context: Context) -> Controller:
    """Of Endpoints."""
    services, legacy = context.resource("", "services"), context.resource("", "endpoints")
    slices = context.resource("discovery.k8s.io", "endpointslices")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        endpoints = lister.record(Endpoints, legacy, key)
        if endpoints is None or endpoints.metadata.deletion_timestamp is not None:
            return  # their slices go with them (garbage collector)
        found = lister.by_index(slices, _ENDPOINTS, str(key))
        there = readable(lister, EndpointSlice, slices, found)
        service = lister.record(Service, services, key)
        if mirrors.is_mirrored(endpoints, service):
            planned = mirrors.plan(endpoints, there)
        else:
            planned = packing.Plan(delete=tuple(there))
        place = legacy.key(key.namespace, key.name).encode()
        guard = Claim(place, None, int(endpoints.metadata.resource_version))
        await write(store, slices, planned, found, guard)

    return Controller(
        "endpointslicemirroring",
        legacy,
        reconcile,
        triggers=[
            Trigger(services, lambda found: [key_of(found)]),
            Trigger(slices, _endpoints_keys),
        ],
        indexes={_ENDPOINTS: (slices, lambda found: map(str, _endpoints_keys(found)))},
        workers=WORKERS,
    )


def _endpoints_keys(one: Object) -> list[Key]:
    """Of which Endpoints a slice is, if it is one of ours."""
    metadata = one["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    name = labels.get(packing.SERVICE_LABEL)
    is_ours = labels.get(packing.MANAGED_BY_LABEL) == mirrors.MANAGER
    return [Key(metadata["namespace"], name)] if name and is_ours else []
