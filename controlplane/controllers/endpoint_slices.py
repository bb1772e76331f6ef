"""EndpointSlices of services: the addresses of the pods that they select.

Source: Kubernetes' documentation, "EndpointSlices"; kube-behaviour 5.4. What they hold is planned
in `slices.py`, how it is packed in `packing.py`.
"""

from collections.abc import Mapping, Sequence

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod, Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers import backends, packing, slices
from controlplane.controllers.backends import Selectors
from controlplane.controllers.context import Context
from controlplane.controllers.readable import readable
from controlplane.controllers.slice_writes import write
from controlplane.controllers.zones import ZONE_LABEL
from controlplane.indexer import Key
from controlplane.objects import Claim, ObjectStore

WORKERS = 5  # kube-controller-manager's --concurrent-service-endpoint-syncs
NODE_SECONDS = 1.0  # until we look again for the node of a pod
_LABELS, _SERVICE = "endpoint slices: labels", "endpoint slices: service"


def controller(context: Context) -> Controller:
    """Of services."""
    endpoints = _Slices(context)
    return Controller(
        "endpointslice",
        endpoints.services,
        endpoints.reconcile,
        triggers=[
            Trigger(endpoints.pods, endpoints.selectors.matching, part=backends.concern),
            Trigger(endpoints.slices, _service_keys),
        ],
        reads=[endpoints.nodes],
        indexes={
            _LABELS: (endpoints.pods, backends.label_pairs),
            _SERVICE: (endpoints.slices, lambda obj: map(str, _service_keys(obj))),
        },
        workers=WORKERS,
    )


class _Slices:
    def __init__(self, context: Context) -> None:
        self.services = context.resource("", "services")
        self.pods, self.nodes = context.resource("", "pods"), context.resource("", "nodes")
        self.slices = context.resource("discovery.k8s.io", "endpointslices")
        self.selectors = Selectors()

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> float | None:
        service = lister.record(Service, self.services, key)
        if service is None or not backends.is_selecting(service):
            self.selectors.remove(key)
            return None  # its slices go with it (garbage collector), or are somebody else's
        self.selectors.put(key, service.spec.selector)
        if service.metadata.deletion_timestamp is not None:
            return None
        pods = self._pods(lister, service)
        zones = self._zones(lister, pods)
        there = lister.by_index(self.slices, _SERVICE, str(key))
        planned = slices.plan(
            service, pods, zones, readable(lister, EndpointSlice, self.slices, there)
        )
        await write(store, self.slices, planned, there, self._guard_of(service))
        is_lacking = any(pod.spec.node_name and pod.spec.node_name not in zones for pod in pods)
        return NODE_SECONDS if is_lacking else None

    def _pods(self, lister: Lister, service: Service) -> list[Pod]:
        found = lister.by_index(self.pods, _LABELS, backends.selector_pair(service))
        wanted = backends.selected(found, service.spec.selector)
        return readable(lister, Pod, self.pods, wanted)

    def _zones(self, lister: Lister, pods: Sequence[Pod]) -> Mapping[str, str]:
        """Of the nodes of these pods, as far as they are there."""
        names = {pod.spec.node_name for pod in pods if pod.spec.node_name}
        found = {name: lister.get(self.nodes, Key("", name)) for name in names}
        return {
            name: str((node["metadata"].get("labels") or {}).get(ZONE_LABEL, ""))
            for name, node in found.items()
            if node is not None
        }

    def _guard_of(self, service: Service) -> Claim:
        """Nothing is made of a service that is another meanwhile: it might be gone."""
        metadata = service.metadata
        place = self.services.key(metadata.namespace, metadata.name).encode()
        return Claim(place, None, int(metadata.resource_version))


def _service_keys(one: Object) -> list[Key]:
    """Whose a slice is, if it is one of ours."""
    metadata = one["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    name = labels.get(packing.SERVICE_LABEL)
    is_ours = labels.get(packing.MANAGED_BY_LABEL) == slices.MANAGER
    return [Key(metadata["namespace"], name)] if name and is_ours else []
