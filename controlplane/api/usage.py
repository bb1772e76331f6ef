"""What an object counts against quotas, and which quotas count it. PURE.

Source: Kubernetes' documentation, "Resource Quotas"; kube-behaviour 8.2.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from controlplane.api import qos, quantity
from controlplane.api.meta import seconds_of
from controlplane.api.resource import Object, Resource

Usage = Mapping[str, Fraction]

_PLAIN = frozenset(
    (
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    )
)
"""Core resources that have a count by their own name, besides `count/<plural>`."""

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_PAGES = "hugepages-"
_STATED = ("cpu", "memory")
"""What each container must state where a quota limits it; of nothing else (a rule that Kubernetes
keeps for these two only)."""
_OF_CLAIMS = ".storageclass.storage.k8s.io/"


def is_of(resource: Resource, name: str) -> bool:
    """Whether objects of a resource may use what a quota calls so."""
    if name == f"count/{_counted(resource)}":
        return True
    if resource.group:
        return False
    match resource.plural:
        case "services":
            return name.partition(".")[0] == "services"
        case "persistentvolumeclaims" as plural:
            return name in (plural, "requests.storage") or _OF_CLAIMS in name
        case "pods":
            is_asked = name.startswith(("requests.", "limits.", _PAGES))
            is_storage = name == "requests.storage" or _OF_CLAIMS in name
            return name in ("pods", *_COMPUTE) or (is_asked and not is_storage)
        case plural:
            return plural in _PLAIN and name == plural


def _counted(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def usage_of(resource: Resource, found: Object, *, now: float = 0.0) -> dict[str, Fraction]:
    """Quota resource -> how much an object uses; what it does not use is left out.

    now  seconds since 1970; 0: of what is written just now nothing can be overdue
    """
    usage = {f"count/{_counted(resource)}": Fraction(1)}
    if resource.group:
        return usage
    if resource.plural == "pods":
        is_over = _has_ended(found) or _is_overdue(found["metadata"], now)
        return usage if is_over else usage | _of_pod(found)
    if resource.plural in _PLAIN:
        usage[resource.plural] = Fraction(1)
    if resource.plural == "services":
        usage |= _of_service(found)
    elif resource.plural == "persistentvolumeclaims":
        usage |= _of_claim(found)
    return usage


def _has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_overdue(metadata: Mapping[str, Any], now: float) -> bool:
    """Whether a pod should have gone, and even its grace over again has passed since: its node is
    lost, it seems, and nobody is charged for it.
    """
    due = seconds_of(metadata.get("deletionTimestamp"))
    grace = metadata.get("deletionGracePeriodSeconds")
    return due is not None and grace is not None and bool(now - due > grace)


def pod_amounts(pod: Object, field: str) -> dict[str, Fraction]:
    """`requests` or `limits` of a whole pod: its containers together, or its greatest init step.

    Sidecars (init containers that restart) run beside both. Source: "Sidecar Containers",
    resource sharing within containers.
    """
    spec = pod.get("spec") or {}
    running: dict[str, Fraction] = {}
    greatest: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        own = _amounts(container, field)
        if container.get("restartPolicy") == "Always":
            running = _sum(running, own)
            step = running
        else:
            step = _sum(running, own)
        greatest = {name: max(greatest.get(name, Fraction(0)), step[name]) for name in step} | {
            name: amount for name, amount in greatest.items() if name not in step
        }
    for container in spec.get("containers") or ():
        running = _sum(running, _amounts(container, field))
    total = {
        name: max(running.get(name, Fraction(0)), greatest.get(name, Fraction(0)))
        for name in running.keys() | greatest.keys()
    }
    overhead = _parsed(spec.get("overhead") or {})
    if field == "limits":  # what has no limit gets none by its overhead
        overhead = {name: amount for name, amount in overhead.items() if total.get(name)}
    return _sum(total, overhead)


def _amounts(container: Mapping[str, Any], field: str) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    amounts = _parsed(resources.get(field) or {})
    if field == "requests":
        for name, limit in _parsed(resources.get("limits") or {}).items():
            amounts.setdefault(name, limit)
    return amounts


def _parsed(amounts: Mapping[str, Any]) -> dict[str, Fraction]:
    return {name: quantity.parse(value) for name, value in amounts.items()}


def _sum(one: Usage, other: Usage) -> dict[str, Fraction]:
    names = one.keys() | other.keys()
    return {name: one.get(name, Fraction(0)) + other.get(name, Fraction(0)) for name in names}


def _of_pod(pod: Object) -> dict[str, Fraction]:
    usage = {"pods": Fraction(1)}
    for name, amount in pod_amounts(pod, "requests").items():
        usage[f"requests.{name}"] = amount
        if name in _COMPUTE or name.startswith(_PAGES):
            usage[name] = amount
    for name, amount in pod_amounts(pod, "limits").items():
        if name in _COMPUTE:
            usage[f"limits.{name}"] = amount
    return usage


def _of_service(service: Object) -> dict[str, Fraction]:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or ()
    if kind == "NodePort":
        return {"services.nodeports": Fraction(len(ports))}
    if kind != "LoadBalancer":
        return {}
    if spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    return {"services.loadbalancers": Fraction(1), "services.nodeports": Fraction(len(ports))}


def _of_claim(claim: Object) -> dict[str, Fraction]:
    spec = claim.get("spec") or {}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    storage = quantity.parse(asked) if asked is not None else Fraction(0)
    usage = {"requests.storage": storage}
    storage_class = spec.get("storageClassName")
    if storage_class:
        prefix = f"{storage_class}{_OF_CLAIMS}"
        usage[f"{prefix}requests.storage"] = storage
        usage[f"{prefix}persistentvolumeclaims"] = Fraction(1)
    return usage


def missing_of_pod(pod: Object, hard: Iterable[str]) -> dict[str, list[str]]:
    """Quota resource -> containers that must state it and do not."""
    missing: dict[str, list[str]] = {}
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    for name in hard:
        kind, _, what = (name if "." in name else f"requests.{name}").partition(".")
        if kind not in ("requests", "limits") or what not in _STATED:
            continue
        silent = [str(one["name"]) for one in containers if what not in _amounts(one, kind)]
        if silent:
            missing[name] = silent
    return missing


def is_counted(quota: Object, resource: Resource, found: Object) -> bool:
    """Whether an object is in all the scopes of a quota. Only pods have any."""
    spec = quota.get("spec") or {}
    terms = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = [
        *((str(scope), "Exists", ()) for scope in spec.get("scopes") or ()),
        *((term["scopeName"], term["operator"], tuple(term.get("values") or ())) for term in terms),
    ]
    if not scopes:
        return True
    if (resource.group, resource.plural) != ("", "pods"):
        return False
    return all(_is_in_scope(found, *scope) for scope in scopes)


def _is_in_scope(pod: Object, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    spec = pod.get("spec") or {}
    match scope:
        case "BestEffort":
            return qos.qos_class(spec) == "BestEffort"
        case "NotBestEffort":
            return qos.qos_class(spec) != "BestEffort"
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "PriorityClass":
            return _has_class(str(spec.get("priorityClassName") or ""), operator, values)
        case "CrossNamespacePodAffinity":
            return any(map(_reaches_out, _affinity_terms(spec)))
        case _:
            return False


def _affinity_terms(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}


def _reaches_out(term: Mapping[str, Any]) -> bool:
    """Whether it is about pods of other namespaces."""
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None


def _has_class(name: str, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return name in values
        case "NotIn":
            return name not in values
        case "Exists":
            return bool(name)
        case _:
            return not name
