"""Endpoints: addresses and ports behind a service, as old clients know them. PURE.

Source: Kubernetes' API reference of Endpoints; kube-behaviour 5.4.
"""

from collections.abc import Iterator

from controlplane.api import syntaxes
from controlplane.api.causes import required
from controlplane.api.cells import NONE
from controlplane.api.checks import one_of, syntax, syntax_if_set
from controlplane.api.containers import PROTOCOLS, port_number
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

_SHOWN = 3
_LISTS = ("addresses", "notReadyAddresses")


def _validate(endpoints: Object) -> list[Cause]:
    return [
        cause
        for position, subset in enumerate(endpoints.get("subsets") or ())
        for cause in _subset(subset, f"subsets[{position}]")
    ]


def _subset(subset: Object, path: str) -> Iterator[Cause]:
    if not any(subset.get(field) for field in _LISTS):
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for field in _LISTS:
        for position, address in enumerate(subset.get(field) or ()):
            at = f"{path}.{field}[{position}]"
            yield from syntax(f"{at}.ip", address.get("ip"), syntaxes.faults_of_endpoint_ip)
            host = address.get("hostname")
            yield from syntax_if_set(f"{at}.hostname", host, syntaxes.faults_of_label)
    ports = subset.get("ports") or ()
    for position, port in enumerate(ports):
        at = f"{path}.ports[{position}]"
        if port.get("name"):
            yield from syntax(f"{at}.name", port["name"], syntaxes.faults_of_label)
        elif len(ports) > 1:
            yield required(f"{at}.name")
        yield from port_number(f"{at}.port", port.get("port") or 0)
        yield from one_of(f"{at}.protocol", port.get("protocol"), PROTOCOLS)


def _told(endpoints: Object, now: float) -> str:
    """The first few that are ready: `10.0.0.1:80,10.0.0.2:80 + 5 more...`."""
    found = [place for subset in endpoints.get("subsets") or () for place in _places(subset)]
    if not endpoints.get("subsets"):
        return NONE
    text = ",".join(found[:_SHOWN])
    more = len(found) - _SHOWN
    return f"{text} + {more} more..." if more > 0 else text


def _places(subset: Object) -> Iterator[str]:
    addresses = [one.get("ip", "") for one in subset.get("addresses") or ()]
    ports = subset.get("ports") or ()
    if not ports:
        yield from addresses
    for port in ports:
        for address in addresses:
            host = f"[{address}]" if ":" in address else address
            yield f"{host}:{port.get('port')}"


STRATEGY = Strategy(validate=_validate, cells={"endpoints": _told})
