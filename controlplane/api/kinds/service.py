"""Services: defaults by type, what survives an update, and what kubectl prints. PURE.

Source: Kubernetes' API reference of Service; kube-behaviour 5.1-5.3. Addresses and ports of nodes
are allocated by the API server, together with the object. Validation is in `services.py`.
"""

from collections.abc import Callable
from typing import Any

from controlplane.api import cells
from controlplane.api.cells import NONE, at
from controlplane.api.resource import Object, Strategy
from controlplane.api.services import (
    EXTERNAL,
    has_cluster_ip,
    has_node_ports,
    validate_distribution,
    validate_service,
    validate_service_update,
)
from controlplane.api.templates import in_spec

_AFFINITY_SECONDS = 10_800


def _default(given: Object) -> Object:
    spec = dict(given)
    kind = spec.get("type")
    if ports := spec.get("ports"):
        spec["ports"] = [_default_port(port) for port in ports]
    if spec.get("sessionAffinity") == "ClientIP" and not spec.get("sessionAffinityConfig"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}
    elif spec.get("sessionAffinity") == "None":
        spec.pop("sessionAffinityConfig", None)
    more: dict[str, Any] = {}
    if has_cluster_ip(spec):
        more["internalTrafficPolicy"] = "Cluster"
    if kind in EXTERNAL or (kind == "ClusterIP" and spec.get("externalIPs")):
        more["externalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer":
        more["allocateLoadBalancerNodePorts"] = True
    return _both_cluster_ips(more | _present(spec))


def _present(spec: Object) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if value not in (None, "")}


def _default_port(port: Object) -> Object:
    if port.get("targetPort") in (None, "", 0) and port.get("port"):
        return {**port, "targetPort": port["port"]}
    return port


def _both_cluster_ips(spec: dict[str, Any]) -> dict[str, Any]:
    """Old clients write clusterIP, new ones clusterIPs: who writes one writes both."""
    one, several = spec.get("clusterIP"), spec.get("clusterIPs")
    if one and not several:
        spec["clusterIPs"] = [one]
    elif several and not one:
        spec["clusterIP"] = several[0]
    return spec


def _prepare_create(service: Object) -> Object:
    return {**service, "status": {"loadBalancer": {}}}


_Needs = Callable[[Object], bool]


def _is_load_balancer(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer"


def _is_external(spec: Object) -> bool:
    return has_node_ports(spec) or bool(has_cluster_ip(spec) and spec.get("externalIPs"))


def _needs_health_port(spec: Object) -> bool:
    return _is_load_balancer(spec) and spec.get("externalTrafficPolicy") == "Local"


_ALLOCATED: tuple[tuple[str, _Needs], ...] = (
    ("clusterIP", has_cluster_ip),
    ("clusterIPs", has_cluster_ip),
    ("healthCheckNodePort", _needs_health_port),
)
_DEPENDENT: tuple[tuple[str, _Needs], ...] = (
    *_ALLOCATED,
    ("ipFamilies", has_cluster_ip),
    ("ipFamilyPolicy", has_cluster_ip),
    ("internalTrafficPolicy", has_cluster_ip),
    ("externalTrafficPolicy", _is_external),
    ("allocateLoadBalancerNodePorts", _is_load_balancer),
    ("loadBalancerClass", _is_load_balancer),
)


def _prepare_update(new: Object, old: Object) -> Object:
    """Who leaves out what was allocated keeps it; what only the old type had goes away."""
    spec: dict[str, Any] = dict(new.get("spec") or {})
    before: Object = old.get("spec") or {}
    for field, is_needed in _ALLOCATED:
        if is_needed(spec) and is_needed(before) and not spec.get(field) and before.get(field):
            spec[field] = before[field]
    for field, is_needed in _DEPENDENT:
        if is_needed(before) and not is_needed(spec) and spec.get(field) == before.get(field):
            spec.pop(field, None)
    if spec.get("ports"):
        spec["ports"] = _node_ports(spec, before)
    return {**new, "spec": spec}


def _node_ports(spec: Object, before: Object) -> list[Object]:
    """By name, whatever else of a port is new; what only the old type had goes away.

    Source: Kubernetes' patchAllocatedValues and dropTypeDependentFields.
    """
    ports: list[Object] = spec["ports"]
    known = {port.get("name"): port.get("nodePort") for port in before.get("ports") or ()}
    asked = {port["nodePort"] for port in ports if port.get("nodePort")}
    if not has_node_ports(spec):
        if not asked <= set(known.values()):
            return ports  # somebody wants one, and is to be told
        return [{key: value for key, value in port.items() if key != "nodePort"} for port in ports]
    return [
        {**port, "nodePort": kept}
        if not port.get("nodePort") and (kept := known.get(port.get("name"))) and kept not in asked
        else port
        for port in ports
    ]


def _cluster_ip(service: Object, now: float) -> str:
    spec = service.get("spec") or {}
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return addresses[0] or NONE


def _external_ip(service: Object, now: float) -> str:
    spec: Object = service.get("spec") or {}
    addresses: list[str] = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return spec.get("externalName") or NONE
        case "LoadBalancer":
            given = [
                one.get("ip") or one.get("hostname") or ""
                for one in at(service, "status", "loadBalancer", "ingress") or ()
            ]
            return cells.joined((*dict.fromkeys(given), *addresses), "<pending>")
        case _:
            return cells.joined(addresses)


def _ports(service: Object, now: float) -> str:
    return cells.joined(_port(port) for port in at(service, "spec", "ports") or ())


def _port(port: Object) -> str:
    of_node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{of_node}/{port.get('protocol')}"


def _selector(service: Object, now: float) -> str:
    return cells.labels(at(service, "spec", "selector"))


STRATEGY = Strategy(
    default=in_spec(_default),
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=validate_service,
    validate_create=validate_distribution,
    validate_update=validate_service_update,
    name_rule="label-1035",  # it is one in DNS, where names may not start with a digit
    cells={
        "cluster_ip": _cluster_ip,
        "external_ip": _external_ip,
        "ports": _ports,
        "selector": _selector,
    },
)
