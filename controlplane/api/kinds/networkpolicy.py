"""NetworkPolicies. PURE.

Source: Kubernetes' API reference of NetworkPolicy; kube-behaviour 5.7.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from controlplane.api import cells, selectors, syntaxes
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.cells import at
from controlplane.api.checks import one_of_if_set, syntax
from controlplane.api.containers import PROTOCOLS
from controlplane.api.errors import Cause
from controlplane.api.handlers import port_or_name
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import in_spec

_TYPES = ("Egress", "Ingress")
_PEERS = ("podSelector", "namespaceSelector", "ipBlock")


def _default(spec: Object) -> Object:
    """Egress is limited only where a policy says something of it."""
    if spec.get("policyTypes"):
        return spec
    types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return {**spec, "policyTypes": types}


def _validate(policy: Object) -> list[Cause]:
    spec: Object = policy.get("spec") or {}
    found = list(selectors.validate_selector(spec.get("podSelector"), "spec.podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for position, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{position}]"
            found += _ports(rule.get("ports") or (), f"{path}.ports")
            found += _peers(rule.get(peers) or (), f"{path}.{peers}")
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        why = "may not specify more than two policyTypes"
        return [*found, invalid("spec.policyTypes", types, why)]
    for position, one in enumerate(types):
        if one not in _TYPES:
            found.append(not_supported(f"spec.policyTypes[{position}]", one, _TYPES))
    return found


def _ports(ports: Any, path: str) -> Iterator[Cause]:
    for position, port in enumerate(ports):
        at_port = f"{path}[{position}]"
        yield from one_of_if_set(f"{at_port}.protocol", port.get("protocol"), PROTOCOLS)
        first, last = port.get("port"), port.get("endPort")
        if first is not None:
            yield from port_or_name(f"{at_port}.port", first)
        if last is None:
            continue
        if first is None:
            yield required(f"{at_port}.port", "must be specified")
        elif isinstance(first, str):
            why = "may not be specified when `port` is non-numeric"
            yield forbidden(f"{at_port}.endPort", why)
        elif last < first:
            yield invalid(f"{at_port}.endPort", last, "must be greater than or equal to `port`")


def _peers(peers: Any, path: str) -> Iterator[Cause]:
    for position, peer in enumerate(peers):
        at_peer = f"{path}[{position}]"
        if all(peer.get(kind) is None for kind in _PEERS):
            yield required(at_peer, "must specify a peer")
        for kind in ("podSelector", "namespaceSelector"):
            yield from selectors.validate_selector(peer.get(kind), f"{at_peer}.{kind}")
        if peer.get("ipBlock") is not None:
            yield from _ip_block(peer["ipBlock"], f"{at_peer}.ipBlock")
            if peer.get("podSelector") is not None or peer.get("namespaceSelector") is not None:
                why = "may not specify both ipBlock and another peer"
                yield forbidden(at_peer, why)


def _ip_block(block: Object, path: str) -> Iterator[Cause]:
    whole = block.get("cidr") or ""
    faults = list(syntax(f"{path}.cidr", whole, syntaxes.faults_of_cidr))
    yield from faults
    for position, part in enumerate(block.get("except") or ()):
        at_part = f"{path}.except[{position}]"
        wrong = list(syntax(at_part, part, syntaxes.faults_of_cidr))
        yield from wrong
        if not faults and not wrong and not _is_inside(part, whole):
            yield invalid(at_part, part, "must be a strict subset of `cidr`")


def _is_inside(part: str, whole: str) -> bool:
    inner, outer = ip_network(part, strict=False), ip_network(whole, strict=False)
    same_family = inner.version == outer.version
    return same_family and inner.prefixlen > outer.prefixlen and inner.network_address in outer


def _pod_selector(policy: Object, now: float) -> str:
    return cells.selector(at(policy, "spec", "podSelector"))


STRATEGY = Strategy(
    default=in_spec(_default), validate=_validate, cells={"pod_selector": _pod_selector}
)
