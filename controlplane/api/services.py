"""Validation of services. PURE.

Source: Kubernetes' API reference of Service and what its API server answers; kube-behaviour
5.1-5.3.
"""

from collections.abc import Iterator

from controlplane.api import syntaxes
from controlplane.api.causes import (
    duplicate,
    forbidden,
    go_strings,
    invalid,
    invalid_as,
    not_supported,
    required,
)
from controlplane.api.checks import one_of, one_of_if_set, syntax
from controlplane.api.containers import PROTOCOLS
from controlplane.api.errors import Cause
from controlplane.api.handlers import port_or_name
from controlplane.api.meta import validate_labels
from controlplane.api.resource import Object

TYPES = frozenset(("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
EXTERNAL = ("LoadBalancer", "NodePort")
HEADLESS = "None"
_AFFINITIES = frozenset(("ClientIP", "None"))
_TRAFFIC = frozenset(("Cluster", "Local"))
_DISTRIBUTIONS = ("PreferClose",)
_FAMILIES = frozenset(("IPv4", "IPv6"))
_FAMILY_POLICIES = frozenset(("SingleStack", "PreferDualStack", "RequireDualStack"))
_AFFINITY_SECONDS_MAX = 86_400
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_OTHER_TYPE = "may not be used when `type` is '{}'"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def has_cluster_ip(spec: Object) -> bool:
    """Whether its type is one that has an address (or says that it wants none)."""
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def has_node_ports(spec: Object) -> bool:
    """Whether its type is one that opens ports on nodes."""
    return spec.get("type") in EXTERNAL


def validate_service(service: Object) -> list[Cause]:
    """All that is wrong with it."""
    spec: Object = service.get("spec") or {}
    return [
        *one_of("spec.type", spec.get("type"), TYPES),
        *_by_type(spec),
        *_ports(spec),
        *validate_labels(spec.get("selector") or {}, "spec.selector"),
        *_affinity(spec),
        *_addresses(spec),
        *_families(spec),
        *_traffic(spec),
        *_load_balancer(spec),
    ]


def _by_type(spec: Object) -> Iterator[Cause]:
    kind, is_headless = spec.get("type"), spec.get("clusterIP") == HEADLESS
    if kind in EXTERNAL and is_headless:
        why = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", HEADLESS, why)
    if kind == "ExternalName":
        for field in ("clusterIP", "clusterIPs"):
            if spec.get(field):
                yield forbidden(f"spec.{field}", "may not be set when `type` is 'ExternalName'")
        name = (spec.get("externalName") or "").removesuffix(".")
        yield from syntax("spec.externalName", name, syntaxes.faults_of_subdomain)


def _ports(spec: Object) -> Iterator[Cause]:
    ports: list[Object] = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != HEADLESS and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    names: set[str] = set()
    for position, port in enumerate(ports):
        path = f"spec.ports[{position}]"
        yield from _port_name(port, path, names, is_needed=len(ports) > 1)
        yield from _port(port, path, spec)
    yield from _port_duplicates(ports)


def _port_name(port: Object, path: str, names: set[str], *, is_needed: bool) -> Iterator[Cause]:
    name = port.get("name")
    if not name:
        if is_needed:
            yield required(f"{path}.name")
        return
    yield from syntax(f"{path}.name", name, syntaxes.faults_of_label)
    if name in names:
        yield duplicate(f"{path}.name", name)
    names.add(name)


def _port(port: Object, path: str, spec: Object) -> Iterator[Cause]:
    number = port.get("port") or 0
    if not 0 < number <= 65535:
        yield invalid(f"{path}.port", number, _PORT_RANGE)
    yield from one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    target = port.get("targetPort")
    if target is not None or number:
        yield from port_or_name(f"{path}.targetPort", target)
    if port.get("nodePort") and not has_node_ports(spec):
        yield forbidden(f"{path}.nodePort", _OTHER_TYPE.format(spec.get("type")))


def _port_duplicates(ports: list[Object]) -> Iterator[Cause]:
    places: set[tuple[str | None, int | None]] = set()
    nodes: set[tuple[str | None, int]] = set()
    for position, port in enumerate(ports):
        path = f"spec.ports[{position}]"
        protocol, number, node = port.get("protocol"), port.get("port"), port.get("nodePort")
        if (protocol, number) in places:
            yield duplicate(path, {"protocol": protocol, "port": number})
        places.add((protocol, number))
        if node:
            if (protocol, node) in nodes:
                yield duplicate(path, {"protocol": protocol, "nodePort": node})
            nodes.add((protocol, node))


def _affinity(spec: Object) -> Iterator[Cause]:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    yield from one_of("spec.sessionAffinity", affinity, _AFFINITIES)
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            why = "when session affinity type is ClientIP"
            yield required(f"{path}.clientIP.timeoutSeconds", why)
        elif not 0 < seconds <= _AFFINITY_SECONDS_MAX:
            why = f"must be greater than 0 and less than {_AFFINITY_SECONDS_MAX}"
            yield invalid(f"{path}.clientIP.timeoutSeconds", seconds, why)


def _addresses(spec: Object) -> Iterator[Cause]:
    cluster: list[str] = spec.get("clusterIPs") or []
    for position, address in enumerate(cluster):
        path = f"spec.clusterIPs[{position}]"
        if address == HEADLESS:
            if len(cluster) > 1:
                yield invalid(path, address, "'None' must be the first and only value")
            continue
        for why in syntaxes.faults_of_ip(address):
            yield invalid(path, address, why)
    if cluster and cluster[0] != spec.get("clusterIP"):
        yield invalid("spec.clusterIPs", cluster, "first value must match `clusterIP`")
    for position, address in enumerate(spec.get("externalIPs") or ()):
        for why in syntaxes.faults_of_special_ip(address):
            yield invalid(f"spec.externalIPs[{position}]", address, why)


def _families(spec: Object) -> Iterator[Cause]:
    families: list[str] = spec.get("ipFamilies") or []
    seen: set[str] = set()
    for position, family in enumerate(families):
        path = f"spec.ipFamilies[{position}]"
        yield from one_of(path, family, _FAMILIES)
        if family in seen:
            yield duplicate(path, family)
        seen.add(family)
    policy = spec.get("ipFamilyPolicy")
    yield from one_of_if_set("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)


def _traffic(spec: Object) -> Iterator[Cause]:
    path = "spec.externalTrafficPolicy"
    is_external = spec.get("type") in EXTERNAL or bool(spec.get("externalIPs"))
    policy = spec.get("externalTrafficPolicy")
    if policy and not is_external:
        yield invalid(path, policy, "may only be set for externally-accessible services")
    elif is_external:
        yield from one_of(path, policy, _TRAFFIC)
    inside = spec.get("internalTrafficPolicy")
    yield from one_of_if_set("spec.internalTrafficPolicy", inside, _TRAFFIC)
    health = spec.get("healthCheckNodePort")
    if health and not (spec.get("type") == "LoadBalancer" and policy == "Local"):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", health, why)


def _load_balancer(spec: Object) -> Iterator[Cause]:
    is_one = spec.get("type") == "LoadBalancer"
    ranges = spec.get("loadBalancerSourceRanges") or ()
    path = "spec.loadBalancerSourceRanges"
    if ranges and not is_one:
        yield forbidden(path, _ONLY_LOAD_BALANCER)
    for position, one in enumerate(ranges):
        for why in syntaxes.faults_of_cidr(one.strip()):
            yield invalid(f"{path}[{position}]", one, why)
    for field in ("loadBalancerClass", "allocateLoadBalancerNodePorts"):
        if spec.get(field) is not None and not is_one:
            yield forbidden(f"spec.{field}", _ONLY_LOAD_BALANCER)


def validate_distribution(service: Object) -> list[Cause]:
    """Of a service whose traffic was distributed otherwise before, or that is new."""
    told = (service.get("spec") or {}).get("trafficDistribution")
    if told is None or told in _DISTRIBUTIONS:
        return []
    return [not_supported("spec.trafficDistribution", told, _DISTRIBUTIONS)]


def validate_service_update(new: Object, old: Object) -> list[Cause]:
    """5.2: the address stays as long as the type has one."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found: list[Cause] = []
    if has_cluster_ip(spec) and has_cluster_ip(before) and before.get("clusterIP"):
        addresses = spec.get("clusterIPs") or []
        if not addresses:
            why = "primary clusterIP can not be unset"
            found.append(invalid_as("spec.clusterIPs[0]", go_strings(addresses), why))
        elif addresses[0] != (before.get("clusterIPs") or [before["clusterIP"]])[0]:
            why = "may not change once set"
            found.append(invalid_as("spec.clusterIPs[0]", go_strings(addresses), why))
    if spec.get("trafficDistribution") != before.get("trafficDistribution"):
        found += validate_distribution(new)
    kept = spec.get("type") == before.get("type") == "LoadBalancer"
    was, now = before.get("loadBalancerClass"), spec.get("loadBalancerClass")
    if kept and was != now:
        found.append(invalid("spec.loadBalancerClass", now, "may not change once set"))
    return found
