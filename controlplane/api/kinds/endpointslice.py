"""EndpointSlices: a part of the addresses behind a service. PURE.

Source: Kubernetes' API reference of EndpointSlice; kube-behaviour 5.4.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api import syntaxes
from controlplane.api.causes import duplicate, invalid, required, too_many
from controlplane.api.cells import UNSET
from controlplane.api.checks import one_of, syntax, syntax_if_set
from controlplane.api.containers import PROTOCOLS
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

_TYPES = frozenset(("FQDN", "IPv4", "IPv6"))
_VERSIONS = {"IPv4": 4, "IPv6": 6}
_ENDPOINTS_MAX = 1000
_ADDRESSES_MAX = 100
_PORTS_MAX = 20_000
_SHOWN = 3


def _validate(endpoint_slice: Object) -> list[Cause]:
    kind = endpoint_slice.get("addressType")
    return [
        *one_of("addressType", kind, _TYPES),
        *_ports(endpoint_slice.get("ports") or []),
        *_endpoints(endpoint_slice.get("endpoints") or [], kind),
    ]


def _endpoints(endpoints: list[Object], kind: Any) -> Iterator[Cause]:
    if len(endpoints) > _ENDPOINTS_MAX:
        yield too_many("endpoints", len(endpoints), _ENDPOINTS_MAX)
        return
    for position, endpoint in enumerate(endpoints):
        path = f"endpoints[{position}]"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(f"{path}.addresses", "must contain at least 1 address")
        elif len(addresses) > _ADDRESSES_MAX:
            yield too_many(f"{path}.addresses", len(addresses), _ADDRESSES_MAX)
        for number, address in enumerate(addresses):
            yield from _address(address, kind, f"{path}.addresses[{number}]")
        for field in ("nodeName", "hostname"):
            check = (
                syntaxes.faults_of_subdomain if field == "nodeName" else syntaxes.faults_of_label
            )
            yield from syntax_if_set(f"{path}.{field}", endpoint.get(field), check)


def _address(address: str, kind: Any, path: str) -> Iterator[Cause]:
    if kind == "FQDN":
        yield from syntax(path, address.removesuffix("."), syntaxes.faults_of_subdomain)
    elif kind in _VERSIONS:
        ip = syntaxes.address(address)
        if ip is None or ip.version != _VERSIONS[kind]:
            yield invalid(path, address, f"must be a valid {kind} address")
        else:
            yield from syntax(path, address, syntaxes.faults_of_endpoint_ip)


def _ports(ports: list[Object]) -> Iterator[Cause]:
    if len(ports) > _PORTS_MAX:
        yield too_many("ports", len(ports), _PORTS_MAX)
        return
    names: set[str] = set()
    for position, port in enumerate(ports):
        path = f"ports[{position}]"
        name = port.get("name") or ""
        yield from syntax_if_set(f"{path}.name", name, syntaxes.faults_of_label)
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name)
        yield from one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)


def _told_ports(endpoint_slice: Object, now: float) -> str:
    ports = endpoint_slice.get("ports") or ()
    return _some([str(port.get("port") or "*") for port in ports])


def _told_endpoints(endpoint_slice: Object, now: float) -> str:
    endpoints = endpoint_slice.get("endpoints") or ()
    return _some([one for endpoint in endpoints for one in endpoint.get("addresses") or ()])


def _some(found: list[str]) -> str:
    if not found:
        return UNSET
    text = ",".join(found[:_SHOWN])
    more = len(found) - _SHOWN
    return f"{text} + {more} more..." if more > 0 else text


STRATEGY = Strategy(validate=_validate, cells={"ports": _told_ports, "endpoints": _told_endpoints})
