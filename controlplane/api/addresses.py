"""Keys that a Service claims with its addresses and ports, and gives back when it goes. PURE.

Each ClusterIP and each node port is a key of its own: it is written in the Txn of the Service that
takes it, and deleted in the Txn that removes that (kube-behaviour 5.2, 5.3). Whoever removes
Services needs to know, not the API server only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.resource import Object, Resource

IP_PREFIX, PORT_PREFIX = "/ranges/ip/", "/ranges/port/"
HEADLESS = "None"


def releases(resource: Resource, found: Object) -> Sequence[bytes]:
    """What goes with an object that is removed."""
    if (resource.group, resource.plural) != ("", "services"):
        return ()
    return [key.encode() for key in keys_of(found)]


def keys_of(service: Object) -> list[str]:
    """What a service has claimed."""
    spec = service.get("spec") or {}
    addresses = [one for one in (spec.get("clusterIP"),) if one and one != HEADLESS]
    keys = [IP_PREFIX + address for address in addresses]
    return keys + [port_key(protocol(port), port["nodePort"]) for port in with_node_port(spec)]


def port_key(name: str, port: int) -> str:
    """Of a port of a protocol, such as `TCP`."""
    return f"{PORT_PREFIX}{name.lower()}/{port}"


def with_node_port(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The ports of a service that every node has."""
    return [port for port in spec.get("ports") or () if port.get("nodePort")]


def protocol(port: Mapping[str, Any]) -> str:
    """Of a port; TCP where it does not say."""
    return str(port.get("protocol") or "TCP")
