"""IngressClasses. PURE.

Source: Kubernetes' API reference of IngressClass; kube-behaviour 5.7.
"""

from collections.abc import Iterator

from controlplane.api import syntaxes
from controlplane.api.causes import forbidden, invalid, required, too_long
from controlplane.api.cells import NONE, at
from controlplane.api.checks import one_of, unchanged
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

_CONTROLLER_MAX = 250
_SCOPES = frozenset(("Cluster", "Namespace"))


def _validate(ingress_class: Object) -> list[Cause]:
    spec: Object = ingress_class.get("spec") or {}
    found = list(_controller(spec.get("controller") or ""))
    if spec.get("parameters") is not None:
        found += _parameters(spec["parameters"], "spec.parameters")
    return found


def _controller(name: str) -> Iterator[Cause]:
    path = "spec.controller"
    if not name:
        yield required(path)
        return
    if len(name) > _CONTROLLER_MAX:
        yield too_long(path, _CONTROLLER_MAX)
    domain, slash, rest = name.partition("/")
    if not slash or not domain or not rest:
        yield invalid(path, name, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for why in syntaxes.faults_of_subdomain(domain):
        yield invalid(path, domain, why)


def _parameters(parameters: Object, path: str) -> Iterator[Cause]:
    for field in ("kind", "name"):
        if not parameters.get(field):
            yield required(f"{path}.{field}")
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    yield from one_of(f"{path}.scope", scope, _SCOPES)
    if scope == "Namespace" and not namespace:
        why = "`parameters.scope` is set to 'Namespace'"
        yield required(f"{path}.namespace", why)
    if scope == "Cluster" and namespace:
        why = "`parameters.scope` is set to 'Cluster'"
        yield forbidden(f"{path}.namespace", why)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    name, was = at(new, "spec", "controller"), at(old, "spec", "controller")
    return list(unchanged("spec.controller", name, was))


def _told(ingress_class: Object, now: float) -> str:
    found = at(ingress_class, "spec", "parameters")
    if not found:
        return NONE
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found.get('kind')}{group}/{found.get('name')}"


STRATEGY = Strategy(
    validate=_validate, validate_update=_validate_update, cells={"parameters": _told}
)
