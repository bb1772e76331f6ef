"""How the endpoints of a service are packed into EndpointSlices. PURE.

Every slice that changes is sent to every node, so as few of them change as can be: what is there
stays where it is, what is new fills slices that change anyway, then the slice that it fills best,
and only then a new one. Slices are never repacked for their own sake.

Source: Kubernetes' documentation, "EndpointSlices" ("Distribution of EndpointSlices",
"Conditions"), KEP-752; kube-behaviour 5.4.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from controlplane.api import pods
from controlplane.api.types.core_v1 import Pod, Service
from controlplane.api.types.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from controlplane.api.types.meta_v1 import ObjectMeta, OwnerReference
from controlplane.controllers import backends

ENDPOINTS_MAX = 100  # 5.4: of a slice; kube-controller-manager's --max-endpoints-per-slice
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
_RESERVED = frozenset((SERVICE_LABEL, MANAGED_BY_LABEL, backends.HEADLESS_LABEL))

Ports = tuple[EndpointPort, ...]
"""In the order of their names: pods that have the same share slices."""


class Plan(msgspec.Struct, frozen=True):
    """What makes the slices of a service as they should be; a change is a slice before and after.

    In this order: so a pod that moves is where it goes before it leaves, wherever that can be.
    """

    create: tuple[EndpointSlice, ...] = ()
    update: tuple[tuple[EndpointSlice, EndpointSlice], ...] = ()
    delete: tuple[EndpointSlice, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(
            self.create + other.create, self.update + other.update, self.delete + other.delete
        )


class _Group:
    """The slices of a service of one family and one set of ports, and what they should hold.

    wanted  by the uid of the pod
    """

    def __init__(self) -> None:
        self.wanted: dict[str, Endpoint] = {}
        self.slices: list[EndpointSlice] = []


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
    there = [one for one in slices if one.metadata.deletion_timestamp is None]
    planned = Plan(delete=tuple(one for one in there if not _is_usable(one, service)))
    usable = [one for one in there if _is_usable(one, service)]
    for family in backends.families_of(service):
        groups = _groups(service, found, zones, family)
        of_family = [one for one in usable if one.address_type == family]
        planned += _plan_family(service, family, groups, of_family, endpoints_max)
    return _told(service, found, planned)


def _is_usable(one: EndpointSlice, service: Service) -> bool:
    """Whether it is of this service, and not of one that had its name, or was of another family."""
    is_owned = any(owner.uid == service.metadata.uid for owner in one.metadata.owner_references)
    return is_owned and one.address_type in backends.families_of(service)


def _plan_family(
    service: Service,
    family: str,
    groups: Mapping[Ports, _Group],
    slices: Sequence[EndpointSlice],
    endpoints_max: int,
) -> Plan:
    strays = []
    for one in slices:
        group = groups.get(_sorted(one.ports))
        if group is not None:
            group.slices.append(one)
        else:
            strays.append(one)
    planned = Plan(delete=tuple(strays))
    for ports, group in groups.items():
        empty = _new_slice(service, family, ports)
        planned += _pack(group, empty, labels_of(service), endpoints_max)
    if len(planned.delete) == len(slices) and not planned.create:
        # Who looks for the service's slices finds one, which says that there is nobody.
        placeholder = _new_slice(service, family, ())
        if len(slices) == 1 and _is_same_content(slices[0], placeholder):
            return Plan()
        planned += Plan(create=(placeholder,))
    return _reused(planned)


def _groups(
    service: Service, found: Sequence[Pod], zones: Mapping[str, str], family: str
) -> dict[Ports, _Group]:
    groups: dict[Ports, _Group] = {}
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
            group = groups.setdefault(ports, _Group())
            group.wanted[pod.metadata.uid] = endpoint
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
    return _sorted(
        EndpointPort(
            app_protocol=port.app_protocol,
            name=port.name,
            port=number,
            protocol=backends.protocol_of(port),
        )
        for port, number in numbered
        if number is not None
    )


def _sorted(ports: Iterable[EndpointPort]) -> Ports:
    return tuple(sorted(ports, key=lambda one: (one.name or "", one.protocol or "", one.port or 0)))


# ------------------------------------------------------------------------ packing


class _Filling:
    """A slice that is there, and the endpoints that it is to have."""

    def __init__(self, before: EndpointSlice, endpoints: list[Endpoint]) -> None:
        self.before = before
        self.endpoints = endpoints

    def room(self, endpoints_max: int) -> int:
        """How many more it can take."""
        return endpoints_max - len(self.endpoints)

    def take(self, left: list[Endpoint], endpoints_max: int) -> None:
        """As many of what is left as it can take."""
        count = max(0, self.room(endpoints_max))
        self.endpoints += left[:count]
        del left[:count]

    def is_changed(self, labels: Mapping[str, str]) -> bool:
        """Whether it must be written."""
        before = self.before
        return tuple(self.endpoints) != before.endpoints or before.metadata.labels != labels


def _pack(
    group: _Group, empty: EndpointSlice, labels: Mapping[str, str], endpoints_max: int
) -> Plan:
    """Put what is wanted into slices; as few as can be are written."""
    rest = dict(group.wanted)
    fillings = [_Filling(one, _kept(one, rest, endpoints_max)) for one in group.slices]
    deleted = tuple(one.before for one in fillings if not one.endpoints)
    fillings = [one for one in fillings if one.endpoints]
    changed = [one for one in fillings if one.is_changed(labels)]
    unchanged = [one for one in fillings if not one.is_changed(labels)]
    left = list(rest.values())
    for one in sorted(changed, key=lambda one: one.room(endpoints_max)):
        one.take(left, endpoints_max)
    created = []
    while left:
        fits = [one for one in unchanged if one.room(endpoints_max) >= len(left)]
        if fits:
            best = min(fits, key=lambda one: one.room(endpoints_max))
            best.take(left, endpoints_max)
            changed.append(best)
        else:
            created.append(msgspec.structs.replace(empty, endpoints=tuple(left[:endpoints_max])))
            del left[:endpoints_max]
    updates = tuple((one.before, _changed(one, labels)) for one in changed)
    return Plan(tuple(created), updates, deleted)


def _kept(one: EndpointSlice, rest: dict[str, Endpoint], endpoints_max: int) -> list[Endpoint]:
    """What of a slice is wanted still, as it should be now; it is taken from the rest."""
    kept: list[Endpoint] = []
    for endpoint in one.endpoints:
        uid = endpoint.target_ref.uid if endpoint.target_ref is not None else ""
        wanted = rest.pop(uid, None) if len(kept) < endpoints_max else None
        if wanted is not None:
            kept.append(wanted)
    return kept


def _changed(one: _Filling, labels: Mapping[str, str]) -> EndpointSlice:
    metadata = msgspec.structs.replace(one.before.metadata, labels=labels)
    return msgspec.structs.replace(one.before, endpoints=tuple(one.endpoints), metadata=metadata)


def _reused(planned: Plan) -> Plan:
    """A slice that would be deleted becomes one that would be created: one write, not two."""
    pairs = list(zip(planned.delete, planned.create, strict=False))
    updates = [(old, _as(old, new)) for old, new in pairs]
    return Plan(
        planned.create[len(pairs) :],
        (*updates, *planned.update),
        planned.delete[len(pairs) :],
    )


def _as(old: EndpointSlice, new: EndpointSlice) -> EndpointSlice:
    metadata = msgspec.structs.replace(old.metadata, labels=new.metadata.labels)
    return msgspec.structs.replace(old, endpoints=new.endpoints, ports=new.ports, metadata=metadata)


def _is_same_content(one: EndpointSlice, other: EndpointSlice) -> bool:
    return (
        one.endpoints == other.endpoints
        and one.ports == other.ports
        and one.metadata.labels == other.metadata.labels
    )


# ------------------------------------------------------------------------ metadata


def labels_of(service: Service) -> dict[str, str]:
    """Those of the service, and who it is."""
    labels = {
        name: value for name, value in service.metadata.labels.items() if name not in _RESERVED
    }
    if backends.is_headless(service):
        labels[backends.HEADLESS_LABEL] = ""
    return {**labels, SERVICE_LABEL: service.metadata.name, MANAGED_BY_LABEL: MANAGER}


def _new_slice(service: Service, family: str, ports: Ports) -> EndpointSlice:
    metadata = service.metadata
    owner = OwnerReference(
        api_version="v1",
        kind="Service",
        name=metadata.name,
        uid=metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )
    return EndpointSlice(
        address_type=family,
        metadata=ObjectMeta(
            generate_name=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=labels_of(service),
            owner_references=(owner,),
        ),
        ports=ports,
    )


def _told(service: Service, found: Sequence[Pod], planned: Plan) -> Plan:
    """What is written says when what it tells of happened, for who measures how long it took."""
    by_uid = {pod.metadata.uid: pod for pod in found}
    before = {
        endpoint.target_ref.uid: endpoint
        for one in (*(old for old, _ in planned.update), *planned.delete)
        for endpoint in one.endpoints
        if endpoint.target_ref is not None
    }
    changed = [
        by_uid[endpoint.target_ref.uid]
        for one in (*planned.create, *(new for _, new in planned.update))
        for endpoint in one.endpoints
        if endpoint.target_ref is not None and before.get(endpoint.target_ref.uid) != endpoint
    ]
    is_new = bool(planned.create) and not planned.update and not planned.delete
    when = backends.trigger_time(service, changed, is_new=is_new)
    # A pod that moves is to be where it goes before it leaves.
    growing_first = sorted(planned.update, key=lambda pair: _growth(*pair), reverse=True)
    return Plan(
        tuple(_at(one, when) for one in planned.create),
        tuple((old, _at(new, when)) for old, new in growing_first),
        planned.delete,
    )


def _growth(old: EndpointSlice, new: EndpointSlice) -> int:
    """By how many endpoints a slice is larger than before."""
    return len(new.endpoints) - len(old.endpoints)


def _at(one: EndpointSlice, when: str) -> EndpointSlice:
    kept = {
        name: value
        for name, value in one.metadata.annotations.items()
        if name != backends.TRIGGER_TIME
    }
    annotations = {**kept, backends.TRIGGER_TIME: when} if when else kept
    metadata = msgspec.structs.replace(one.metadata, annotations=annotations)
    return msgspec.structs.replace(one, metadata=metadata)
