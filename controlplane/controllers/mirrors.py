"""EndpointSlices of Endpoints that somebody made for a service without a selector. PURE.

Who routes by EndpointSlices finds these addresses, too.

Source: Kubernetes' documentation, "EndpointSlices" ("EndpointSlice mirroring"); kube-behaviour 5.4.
"""

from collections.abc import Iterable

from controlplane.api.types.core_v1 import EndpointAddress, Endpoints, EndpointSubset, Service
from controlplane.api.types.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from controlplane.controllers import backends, packing
from controlplane.controllers.packing import MANAGED_BY_LABEL, SERVICE_LABEL, Owner, Plan, Ports

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
_NOT_MIRRORED = (backends.TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration")
SUBSET_ADDRESSES_MAX = 1000  # of each set of ports; what is more is not mirrored


def is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    """Whether they are for a service, and not made by us."""
    metadata = endpoints.metadata
    if service is None or service.spec.selector or service.metadata.deletion_timestamp:
        return False
    return metadata.labels.get(SKIP_LABEL) != "true" and LEADER not in metadata.annotations


def plan(endpoints: Endpoints, slices: Iterable[EndpointSlice]) -> Plan:
    """The changes that make slices say what Endpoints do."""
    groups: dict[str, dict[Ports, dict[str, Endpoint]]] = {"IPv4": {}, "IPv6": {}}
    for subset in endpoints.subsets:
        ports = _ports(subset)
        told = [(one, True) for one in subset.addresses]
        told += [(one, False) for one in subset.not_ready_addresses]
        for address, is_ready in told:
            family, text = backends.spelled(address.ip)
            if not family:
                continue
            endpoint = _endpoint(address, text, is_ready=is_ready)
            group = groups[family].setdefault(ports, {})
            if len(group) < SUBSET_ADDRESSES_MAX:
                group.setdefault(packing.key_of(endpoint), endpoint)
    metadata = endpoints.metadata
    labels = {**metadata.labels, SERVICE_LABEL: metadata.name, MANAGED_BY_LABEL: MANAGER}
    annotations = {
        name: value for name, value in metadata.annotations.items() if name not in _NOT_MIRRORED
    }
    owner = Owner("v1", "Endpoints", metadata, labels, annotations)
    planned = packing.plan(owner, groups, slices)
    return packing.triggered(planned, metadata.annotations.get(backends.TRIGGER_TIME, ""))


def _ports(subset: EndpointSubset) -> Ports:
    return packing.in_order(
        EndpointPort(
            app_protocol=port.app_protocol,
            name=port.name,
            port=port.port,
            protocol=port.protocol or "TCP",
        )
        for port in subset.ports
    )


def _endpoint(address: EndpointAddress, text: str, *, is_ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(text,),
        conditions=EndpointConditions(ready=is_ready),
        hostname=address.hostname or None,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )
