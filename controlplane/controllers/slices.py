"""The EndpointSlices that a service should have. PURE.

How endpoints are packed into slices is `packing.py`'s.

Source: Kubernetes' documentation, "EndpointSlices" ("Conditions", "Topology information",
"Management"); kube-behaviour 5.4.
"""

from collections.abc import Iterable, Mapping, Sequence

from controlplane.api import pods
from controlplane.api.types.core_v1 import Pod, Service
from controlplane.api.types.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from controlplane.controllers import backends, packing
from controlplane.controllers.packing import (
    ENDPOINTS_MAX,
    MANAGED_BY_LABEL,
    SERVICE_LABEL,
    Owner,
    Plan,
    Ports,
)

MANAGER = "endpointslice-controller.k8s.io"
_RESERVED = frozenset((SERVICE_LABEL, MANAGED_BY_LABEL, backends.HEADLESS_LABEL))


def plan(
    service: Service,
    found: Sequence[Pod],
    zones: Mapping[str, str],
    slices: Iterable[EndpointSlice],
    *,
    endpoints_max: int = ENDPOINTS_MAX,
) -> Plan:
    """The changes that a service's slices need.

    zones   of the nodes that there are; empty: in none. A pod on another is no endpoint yet
    slices  that say they are the service's, and ours; those that go already may be among them
    """
    groups = {
        family: _groups(service, found, zones, family) for family in backends.families_of(service)
    }
    owner = Owner("v1", "Service", service.metadata, labels_of(service), is_shown_empty=True)
    planned = packing.plan(owner, groups, slices, endpoints_max=endpoints_max)
    return _told(service, found, planned)


def _groups(
    service: Service, found: Sequence[Pod], zones: Mapping[str, str], family: str
) -> dict[Ports, dict[str, Endpoint]]:
    groups: dict[Ports, dict[str, Endpoint]] = {}
    varies = backends.has_named_ports(service)
    ports: Ports = ()
    for position, pod in enumerate(found):
        if varies or not position:
            ports = ports_of(service, pod)
        if not backends.is_backend(pod, with_terminating=True):
            continue
        is_placed = pod.spec.node_name in zones or not pod.spec.node_name
        if not is_placed and not service.spec.publish_not_ready_addresses:
            continue
        endpoint = endpoint_of(service, pod, zones.get(pod.spec.node_name, ""), family)
        if endpoint.addresses:
            groups.setdefault(ports, {})[packing.key_of(endpoint)] = endpoint
    return groups


def endpoint_of(service: Service, pod: Pod, zone: str, family: str) -> Endpoint:
    """A pod as an endpoint of a service."""
    serving, terminating = pods.is_ready(pod), pods.is_deleted(pod)
    published = service.spec.publish_not_ready_addresses
    return Endpoint(
        addresses=backends.addresses_of(pod, family),
        conditions=EndpointConditions(
            ready=published or (serving and not terminating),
            serving=serving,
            terminating=terminating,
        ),
        hostname=backends.hostname_of(pod, service) or None,
        node_name=pod.spec.node_name or None,
        target_ref=backends.reference_to(pod),
        zone=zone or None,
    )


def ports_of(service: Service, pod: Pod) -> Ports:
    """At which numbers a pod serves the ports of a service; those that it lacks are left out."""
    numbered = ((port, backends.port_of(pod, port)) for port in service.spec.ports)
    return packing.in_order(
        EndpointPort(
            app_protocol=port.app_protocol,
            name=port.name,
            port=number,
            protocol=backends.protocol_of(port),
        )
        for port, number in numbered
        if number is not None
    )


def labels_of(service: Service) -> dict[str, str]:
    """Those of the service, and who it is."""
    labels = {
        name: value for name, value in service.metadata.labels.items() if name not in _RESERVED
    }
    if backends.is_headless(service):
        labels[backends.HEADLESS_LABEL] = ""
    return {**labels, SERVICE_LABEL: service.metadata.name, MANAGED_BY_LABEL: MANAGER}


def _told(service: Service, found: Sequence[Pod], planned: Plan) -> Plan:
    """What is written says when what it tells of happened, for who measures how long it took."""
    by_uid = {pod.metadata.uid: pod for pod in found}
    before = {
        packing.key_of(endpoint): endpoint
        for one in (*(old for old, _ in planned.update), *planned.delete)
        for endpoint in one.endpoints
    }
    after = {
        packing.key_of(endpoint): endpoint
        for one in (*planned.create, *(new for _, new in planned.update))
        for endpoint in one.endpoints
    }
    changed = [by_uid[key] for key, endpoint in after.items() if before.get(key) != endpoint]
    is_new = bool(planned.create) and not planned.update and not planned.delete
    return packing.triggered(planned, backends.trigger_time(service, changed, is_new=is_new))
