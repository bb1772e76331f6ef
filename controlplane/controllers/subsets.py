"""The addresses of a service as Endpoints have them: all in one object, by sets of ports. PURE.

Source: Kubernetes' API reference of Endpoints; documentation, "Service" ("Over-capacity
endpoints"); kube-behaviour 5.4.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from controlplane.api import pods
from controlplane.api.types.core_v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Pod,
    Service,
)
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.controllers import backends

ADDRESSES_MAX = 1000  # 5.4
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
TRUNCATED = "truncated"
MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"

Ports = tuple[EndpointPort, ...]


def plan(service: Service, found: Sequence[Pod], before: Endpoints | None) -> Endpoints | None:
    """The Endpoints of a service; None: they are as they should be."""
    whole = subsets_of(service, found)
    subsets = truncated(whole)
    labels = labels_of(service)
    if before is not None and before.subsets == subsets and before.metadata.labels == labels:
        was_cut = OVER_CAPACITY in before.metadata.annotations
        if was_cut == (subsets != whole):
            return None
    metadata = before.metadata if before is not None else _new_metadata(service)
    there = set(_addresses(before.subsets)) if before is not None else set()
    uids = {_uid(address) for address, _ in set(_addresses(subsets)) - there}
    changed = [pod for pod in found if pod.metadata.uid in uids]
    annotations = _annotations(
        metadata.annotations,
        {
            backends.TRIGGER_TIME: backends.trigger_time(service, changed, is_new=before is None),
            OVER_CAPACITY: TRUNCATED if subsets != whole else "",
        },
    )
    metadata = msgspec.structs.replace(metadata, labels=labels, annotations=annotations)
    return msgspec.structs.replace(before or Endpoints(), metadata=metadata, subsets=subsets)


def subsets_of(service: Service, found: Iterable[Pod]) -> tuple[EndpointSubset, ...]:
    """All addresses, each once under the ports that it has; in an order that is always the same."""
    family = backends.families_of(service)[0]
    published = service.spec.publish_not_ready_addresses
    groups: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
    varies = backends.has_named_ports(service)
    ports: Ports = ()
    for position, pod in enumerate(found):
        if varies or not position:
            ports = _ports(service, pod)
        address = _address(service, pod, family)
        if address is None or not backends.is_backend(pod, with_terminating=published):
            continue
        if not ports and service.spec.ports:
            continue  # it serves nothing of this service
        ready, not_ready = groups.setdefault(ports, ([], []))
        (ready if published or pods.is_ready(pod) else not_ready).append(address)
    return tuple(
        EndpointSubset(
            addresses=tuple(sorted(ready, key=_rank)),
            not_ready_addresses=tuple(sorted(not_ready, key=_rank)),
            ports=ports,
        )
        for ports, (ready, not_ready) in sorted(groups.items(), key=lambda one: repr(one[0]))
    )


def truncated(
    subsets: tuple[EndpointSubset, ...], addresses_max: int = ADDRESSES_MAX
) -> tuple[EndpointSubset, ...]:
    """As many addresses as may be, ready ones first, of each subset its share."""
    ready = sum(len(one.addresses) for one in subsets)
    not_ready = sum(len(one.not_ready_addresses) for one in subsets)
    if ready + not_ready <= addresses_max:
        return subsets
    ready_max = min(ready, addresses_max)
    ready_shares = _shares([len(one.addresses) for one in subsets], ready_max)
    others = _shares([len(one.not_ready_addresses) for one in subsets], addresses_max - ready_max)
    cut = (
        msgspec.structs.replace(
            one,
            addresses=one.addresses[:ready_count],
            not_ready_addresses=one.not_ready_addresses[:other_count],
        )
        for one, ready_count, other_count in zip(subsets, ready_shares, others, strict=True)
    )
    return tuple(one for one in cut if one.addresses or one.not_ready_addresses)


def _shares(counts: Sequence[int], count_max: int) -> list[int]:
    """Of each its share of `count_max`, rounded up as long as there is something left."""
    total, left = sum(counts), min(count_max, sum(counts))
    shares = []
    for count in counts:
        share = min(-(-count * count_max // total), count, left) if total else 0
        shares.append(share)
        left -= share
    return shares


def _address(service: Service, pod: Pod, family: str) -> EndpointAddress | None:
    addresses = backends.addresses_of(pod, family)
    if not addresses:
        return None
    return EndpointAddress(
        hostname=backends.hostname_of(pod, service),
        ip=addresses[0],
        node_name=pod.spec.node_name or None,
        target_ref=backends.reference_to(pod),
    )


def _ports(service: Service, pod: Pod) -> Ports:
    numbered = ((port, backends.port_of(pod, port)) for port in service.spec.ports)
    ports = (
        EndpointPort(
            app_protocol=port.app_protocol,
            name=port.name,
            port=number,
            protocol=backends.protocol_of(port),
        )
        for port, number in numbered
        if number is not None
    )
    return tuple(sorted(ports, key=lambda one: (one.name, one.protocol, one.port)))


def _rank(address: EndpointAddress) -> tuple[str, str]:
    return address.ip, _uid(address)


def _uid(address: EndpointAddress) -> str:
    return address.target_ref.uid if address.target_ref is not None else ""


def _addresses(subsets: Iterable[EndpointSubset]) -> Iterator[tuple[EndpointAddress, bool]]:
    """Each with whether it is ready."""
    for one in subsets:
        yield from ((address, True) for address in one.addresses)
        yield from ((address, False) for address in one.not_ready_addresses)


def labels_of(service: Service) -> dict[str, str]:
    """Those of the service, and who made them."""
    labels = {**service.metadata.labels, MANAGED_BY_LABEL: MANAGER}
    labels.pop(backends.HEADLESS_LABEL, None)
    return {**labels, backends.HEADLESS_LABEL: ""} if backends.is_headless(service) else labels


def _new_metadata(service: Service) -> ObjectMeta:
    return ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace)


def _annotations(before: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in before.items() if name not in said}
    return kept | {name: value for name, value in said.items() if value}
