"""Types of `discovery_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import core_v1, meta_v1


class EndpointConditions(Record, frozen=True, kw_only=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForNode(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""


class ForZone(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""


class EndpointHints(Record, frozen=True, kw_only=True):
    for_nodes: tuple[ForNode, ...] = ()
    for_zones: tuple[ForZone, ...] = ()


class Endpoint(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"addresses"})
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    deprecated_topology: Mapping[str, str] = {}
    hints: EndpointHints | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: core_v1.ObjectReference | None = None
    zone: str | None = None


class EndpointPort(Record, frozen=True, kw_only=True):
    app_protocol: str | None = None
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointSlice(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"addressType", "apiVersion", "endpoints", "kind", "ports"}
    )
    address_type: str = ""
    api_version: str = "discovery.k8s.io/v1"
    endpoints: tuple[Endpoint, ...] = ()
    kind: str = "EndpointSlice"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    ports: tuple[EndpointPort, ...] = ()
