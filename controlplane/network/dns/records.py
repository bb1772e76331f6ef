"""The records of a service: its names, and those of its endpoints. PURE.

Sources: "Kubernetes DNS-Based Service Discovery" (version 1.1.0), and Kubernetes' documentation,
"DNS for Services and Pods"; kube-behaviour 5.1, 5.5. Where they leave it open, as CoreDNS does.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from controlplane.api.services import HEADLESS
from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from controlplane.network.dns.messages import (
    CNAME,
    PTR,
    SRV,
    Name,
    Record,
    Srv,
    address_data,
    name_of,
)
from controlplane.network.plan import is_ready

TTL = 30
"""Seconds: an address of a service stays as long as the service."""
ENDPOINT_TTL = 5
"""Seconds: endpoints come and go."""
_SRV_WEIGHT = 100  # of a service; its endpoints share it
_FAMILIES = ("IPv4", "IPv6")

Address = IPv4Address | IPv6Address


def service_name(service: Service, zone: Name) -> Name:
    """`web.default.svc.cluster.local`"""
    metadata = service.metadata
    return (metadata.name.encode(), metadata.namespace.encode(), b"svc", *zone)


def records_of(service: Service, slices: Sequence[EndpointSlice], zone: Name) -> list[Record]:
    """All records that are there because of a service.

    Raises ValueError where an address is none, BadMessageError where an external name is none.
    """
    name = service_name(service, zone)
    spec = service.spec
    if spec.type == "ExternalName":
        return [Record(name, CNAME, TTL, name_of(spec.external_name))]
    if spec.cluster_ip == HEADLESS:
        return _headless(service, slices, name)
    if not spec.cluster_ip:
        return []  # it has not been given one yet
    return _with_address(service, name)


def _with_address(service: Service, name: Name) -> list[Record]:
    addresses = [ip_address(one) for one in service.spec.cluster_ips or (service.spec.cluster_ip,)]
    found = [Record(name, kind, TTL, data) for kind, data in map(address_data, addresses)]
    found += [Record(reverse_name(address), PTR, TTL, name) for address in addresses]
    for port in service.spec.ports:
        if port.name:
            data = Srv(0, _SRV_WEIGHT, port.port, name)
            found.append(Record(_port_name(port.name, port.protocol, name), SRV, TTL, data))
    return found


def _headless(service: Service, slices: Sequence[EndpointSlice], name: Name) -> list[Record]:
    """A name for each endpoint, and all their addresses under the service's."""
    found: dict[Record, None] = {}
    targets: dict[tuple[str, str, int], dict[Name, None]] = {}
    for one in slices:
        for endpoint in _published(service, one):
            address = ip_address(endpoint.addresses[0])
            host = (_host(endpoint, address), *name)
            kind, data = address_data(address)
            found[Record(name, kind, ENDPOINT_TTL, data)] = None
            found[Record(host, kind, ENDPOINT_TTL, data)] = None
            found[Record(reverse_name(address), PTR, ENDPOINT_TTL, host)] = None
            for port in _named(one.ports):
                targets.setdefault(port, {})[host] = None
    for (port_name, protocol, number), hosts in targets.items():
        owner = _port_name(port_name, protocol, name)
        weight = max(_SRV_WEIGHT // len(hosts), 1)
        for host in hosts:
            found[Record(owner, SRV, ENDPOINT_TTL, Srv(0, weight, number, host))] = None
    return list(found)


def _published(service: Service, one: EndpointSlice) -> Iterable[Endpoint]:
    """The ready ones, unless the service wants all to be known (5.1)."""
    is_all = service.spec.publish_not_ready_addresses
    if one.address_type not in _FAMILIES:
        return []
    return [each for each in one.endpoints if each.addresses and (is_all or is_ready(each))]


def _named(ports: Iterable[EndpointPort]) -> Iterable[tuple[str, str, int]]:
    for port in ports:
        if port.name and port.port is not None:
            yield port.name, port.protocol or "TCP", port.port


def _host(endpoint: Endpoint, address: Address) -> bytes:
    """The label of an endpoint: its pod's hostname, or its address."""
    return (endpoint.hostname or dashed(address)).encode()


def dashed(address: Address) -> str:
    """An address as a label: 10-0-0-1."""
    return str(address).replace(".", "-").replace(":", "-")


def of_dashed(label: str) -> Address | None:
    """The address that a label tells; None: none."""
    for separator in (".", ":"):
        try:
            return ip_address(label.replace("-", separator))
        except ValueError:
            continue
    return None


def reverse_name(address: Address) -> Name:
    """`1.0.0.10.in-addr.arpa`"""
    return name_of(address.reverse_pointer)


def _port_name(port: str, protocol: str, name: Name) -> Name:
    return (b"_" + port.encode(), b"_" + (protocol or "TCP").lower().encode(), *name)
