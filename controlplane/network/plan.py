"""What of a service is listened on, and where each connection may go. PURE.

Sources: Kubernetes' documentation, "Virtual IPs and Service Proxies" and the API references of
Service and EndpointSlice; kube-behaviour 5.1, 5.6. What is told nowhere is done as kube-proxy does.

Not served: SCTP, and services without an address of their own (headless, ExternalName), which are
DNS's alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

import msgspec

from controlplane.api.services import EXTERNAL, HEADLESS
from controlplane.api.types.core_v1 import Service, ServicePort
from controlplane.api.types.discovery_v1 import Endpoint as SliceEndpoint
from controlplane.api.types.discovery_v1 import EndpointPort, EndpointSlice
from controlplane.indexer import Key

SERVICE_NAME = "kubernetes.io/service-name"
"""The label of a slice: whose endpoints it has."""
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
"""The label of a service that another proxy serves."""
AFFINITY_SECONDS = 10_800
"""sessionAffinity ClientIP where nothing else is said (5.1)."""
PROTOCOLS = ("TCP", "UDP")
NOT_LISTENING = "FailedToListen"
"""The reason of an event of a service, or a pod, one of whose places cannot be opened."""
LOCAL = "Local"


class Place(NamedTuple):
    """What is listened on. `protocol`: TCP or UDP."""

    address: str
    port: int
    protocol: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.protocol}"


class Endpoint(NamedTuple):
    """Where a connection may go."""

    address: str
    port: int


class Port(NamedTuple):
    """A port of a service, or of a pod; all places that lead to it share the memory of its clients.

    owner  the service, or the pod
    """

    owner: Key
    name: str
    protocol: str


Network = IPv4Network | IPv6Network


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """Where the connections of a place go: to each endpoint with the same probability.

    endpoints         sorted, none twice; empty: connections are refused
    affinity_seconds  a client goes where it went last, for so long after it; 0: anywhere
    source_ranges     networks whose clients are let in; empty: all are
    """

    port: Port
    endpoints: tuple[Endpoint, ...]
    affinity_seconds: int = 0
    source_ranges: tuple[Network, ...] = ()


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Whose traffic is served.

    nodes                names of the nodes that are on this machine; None: all are
    node_port_addresses  address -> nodes that it is one of; None: all of this machine
    """

    nodes: frozenset[str] | None = None
    node_port_addresses: Mapping[str, frozenset[str] | None] = {}


Wanted = Mapping[Place, Backend]


def wanted(service: Service, slices: Sequence[EndpointSlice], machine: Machine) -> Wanted:
    """All places of a service.

    slices  those with its label

    Raises ValueError where an address is none, as a stranger may write it past the API server.
    """
    spec = service.spec
    is_served = spec.type != "ExternalName" and spec.cluster_ip not in ("", HEADLESS)
    if not is_served or OTHER_PROXY in service.metadata.labels:
        return {}
    found: dict[Place, Backend] = {}
    for port in spec.ports:
        if (port.protocol or "TCP") in PROTOCOLS:
            found |= _PortPlan(service, port, slices, machine).places()
    return found


class _PortPlan:
    """One port of a service."""

    def __init__(
        self,
        service: Service,
        port: ServicePort,
        slices: Sequence[EndpointSlice],
        machine: Machine,
    ) -> None:
        metadata = service.metadata
        self._service = service
        self._port = port
        self._slices = slices
        self._machine = machine
        self._name = Port(Key(metadata.namespace, metadata.name), port.name, port.protocol or "TCP")

    def places(self) -> dict[Place, Backend]:
        """The first who names a place has it: an external address may be the cluster's own."""
        spec, found = self._service.spec, dict[Place, Backend]()
        inside = self._machine.nodes if spec.internal_traffic_policy == LOCAL else None
        for address in spec.cluster_ips or (spec.cluster_ip,):
            self._add(found, address, self._port.port, inside)
        outside = self._machine.nodes if self._is_local_outside else None
        for address in spec.external_ips:
            self._add(found, address, self._port.port, outside)
        told = spec.load_balancer_source_ranges
        ranges = tuple(ip_network(one.strip(), strict=False) for one in told)
        for address in self._ingress_addresses():
            self._add(found, address, self._port.port, outside, ranges)
        if spec.type in EXTERNAL and self._port.node_port:
            for address, nodes in self._machine.node_port_addresses.items():
                mine = self._machine.nodes if nodes is None else nodes
                nearby = mine if self._is_local_outside else None
                self._add(found, address, self._port.node_port, nearby)
        return found

    @property
    def _is_local_outside(self) -> bool:
        return self._service.spec.external_traffic_policy == LOCAL

    def _ingress_addresses(self) -> Iterable[str]:
        """Those of a load balancer that sends packets on as they are."""
        if self._service.spec.type == "LoadBalancer":
            for ingress in self._service.status.load_balancer.ingress:
                if ingress.ip and ingress.ip_mode != "Proxy":
                    yield ingress.ip

    def _add(
        self,
        found: dict[Place, Backend],
        address: str,
        port: int,
        nodes: frozenset[str] | None,
        ranges: tuple[Network, ...] = (),
    ) -> None:
        """nodes  only their endpoints; None: all"""
        place = Place(address, port, self._name.protocol)
        if place in found:
            return
        family = "IPv6" if ip_address(address).version == 6 else "IPv4"
        endpoints = endpoints_of(self._name, self._slices, family, nodes)
        affinity = _affinity_seconds(self._service)
        found[place] = Backend(
            port=self._name,
            endpoints=endpoints,
            affinity_seconds=affinity,
            source_ranges=ranges,
        )


def _affinity_seconds(service: Service) -> int:
    if service.spec.session_affinity != "ClientIP":
        return 0
    config = service.spec.session_affinity_config
    told = None if config is None or config.client_ip is None else config.client_ip.timeout_seconds
    return AFFINITY_SECONDS if told is None else told


def endpoints_of(
    port: Port, slices: Iterable[EndpointSlice], family: str, nodes: frozenset[str] | None
) -> tuple[Endpoint, ...]:
    """The ready ones; where none is ready, those that still serve while they end (5.6).

    family  IPv4 or IPv6
    nodes   only of these; None: of all
    """
    here = [
        (endpoint, number)
        for one in slices
        if one.address_type == family
        for number in _numbers(one.ports, port)
        for endpoint in one.endpoints
        if endpoint.addresses and (nodes is None or endpoint.node_name in nodes)
    ]
    return _chosen(here, is_ready) or _chosen(here, _is_ending)


def _numbers(ports: Iterable[EndpointPort], port: Port) -> list[int]:
    """Of the slice's port of this name; the number of none means all, which leads nowhere."""
    return [
        one.port
        for one in ports
        if one.port is not None
        and (one.name or "") == port.name
        and (one.protocol or "TCP") == port.protocol
    ]


def _chosen(
    found: Iterable[tuple[SliceEndpoint, int]], is_wanted: Callable[[SliceEndpoint], bool]
) -> tuple[Endpoint, ...]:
    # All addresses of an endpoint are the same pod: only the first is used.
    chosen = {Endpoint(one.addresses[0], number) for one, number in found if is_wanted(one)}
    return tuple(sorted(chosen))


def is_ready(endpoint: SliceEndpoint) -> bool:
    """It may be sent requests; who does not say is."""
    return endpoint.conditions.ready is not False


def _is_ending(endpoint: SliceEndpoint) -> bool:
    said = endpoint.conditions
    return said.serving is not False and said.terminating is True
