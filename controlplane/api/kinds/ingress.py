"""Ingresses: hosts and paths, and the services behind them. PURE.

Source: Kubernetes' API reference of Ingress; kube-behaviour 5.7.
"""

from collections.abc import Iterator

from controlplane.api import cells, syntaxes
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.cells import NONE, at
from controlplane.api.checks import syntax, syntax_if_set
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_CLASS = "kubernetes.io/ingress.class"
_HOSTS_SHOWN = 3
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_END = ("/..", "/.")


def _validate(ingress: Object) -> list[Cause]:
    spec: Object = ingress.get("spec") or {}
    found: list[Cause] = []
    backend, rules = spec.get("defaultBackend"), spec.get("rules") or []
    if not rules and backend is None:
        why = "either `defaultBackend` or `rules` must be specified"
        found.append(invalid("spec", dict(spec), why))
    if backend is not None:
        found += _backend(backend, "spec.defaultBackend")
    for position, rule in enumerate(rules):
        found += _rule(rule, f"spec.rules[{position}]")
    for position, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            path = f"spec.tls[{position}].hosts[{number}]"
            found += syntax(path, host, _faults_of_host)
    name = spec.get("ingressClassName")
    found += syntax_if_set("spec.ingressClassName", name, syntaxes.faults_of_subdomain)
    return found


def _validate_create(ingress: Object) -> list[Cause]:
    """The class stood in an annotation once; both may be said, as long as they agree."""
    name = (ingress.get("spec") or {}).get("ingressClassName")
    noted = (ingress["metadata"].get("annotations") or {}).get(_CLASS)
    if None in (name, noted) or name == noted:
        return []
    why = "must match `ingressClassName` when both are specified"
    return [invalid(f"annotations.{_CLASS}", noted, why)]


def _faults_of_host(host: str) -> list[str]:
    if "*" in host:
        return syntaxes.faults_of_wildcard_subdomain(host)
    return syntaxes.faults_of_subdomain(host)


def _rule(rule: Object, path: str) -> Iterator[Cause]:
    host = rule.get("host")
    if host:
        if syntaxes.address(host) is not None:
            why = "must be a DNS name, not an IP address"
            yield invalid(f"{path}.host", host, why)
        yield from syntax(f"{path}.host", host, _faults_of_host)
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or ()
    if not paths:
        yield required(f"{path}.http.paths")
    for position, one in enumerate(paths):
        yield from _path(one, f"{path}.http.paths[{position}]")


def _path(one: Object, path: str) -> Iterator[Cause]:
    kind, text = one.get("pathType"), one.get("path") or ""
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        yield not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    elif kind != "ImplementationSpecific":
        yield from _absolute(text, f"{path}.path")
    elif text and not text.startswith("/"):
        yield invalid(f"{path}.path", text, "must be an absolute path")
    yield from _backend(one.get("backend") or {}, f"{path}.backend")


def _absolute(text: str, path: str) -> Iterator[Cause]:
    if not text.startswith("/"):
        yield invalid(path, text, "must be an absolute path")
    for part in _NOT_IN_PATHS:
        if part in text:
            yield invalid(path, text, f"must not contain '{part}'")
    for part in _NOT_AT_END:
        if text.endswith(part):
            yield invalid(path, text, f"cannot end with '{part}'")


def _backend(backend: Object, path: str) -> Iterator[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        why = "cannot set both resource and service backends"
        yield invalid(path, "", why)
    elif resource is not None:
        for field in ("kind", "name"):
            if not resource.get(field):
                yield required(f"{path}.resource.{field}")
    elif service is None:
        yield required(path, "resource or service backend is required")
    else:
        yield from _service(service, f"{path}.service")


def _service(service: Object, path: str) -> Iterator[Cause]:
    yield from syntax(f"{path}.name", service.get("name"), syntaxes.faults_of_label_1035)
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        yield forbidden(f"{path}.port.number", "cannot set both port name & port number")
    elif name:
        yield from syntax(f"{path}.port.name", name, syntaxes.faults_of_port_name)
    elif not number:
        yield required(f"{path}.port", "port name or number is required")
    elif not 0 < number <= 65535:
        yield invalid(f"{path}.port.number", number, "must be between 1 and 65535, inclusive")


def _hosts(ingress: Object, now: float) -> str:
    hosts = [one["host"] for one in at(ingress, "spec", "rules") or () if one.get("host")]
    text = ",".join(hosts[:_HOSTS_SHOWN]) or "*"
    more = len(hosts) - _HOSTS_SHOWN
    return f"{text} + {more} more..." if more > 0 else text


def _address(ingress: Object, now: float) -> str:
    given = at(ingress, "status", "loadBalancer", "ingress") or ()
    found = dict.fromkeys(one.get("ip") or one.get("hostname") or "" for one in given)
    return ",".join(one for one in found if one)


def _ports(ingress: Object, now: float) -> str:
    return "80, 443" if at(ingress, "spec", "tls") else "80"


def _prepare_create(ingress: Object) -> Object:
    return {**ingress, "status": {"loadBalancer": {}}}


STRATEGY = Strategy(
    prepare_create=_prepare_create,
    validate=_validate,
    validate_create=_validate_create,
    cells={
        "class": cells.text("spec", "ingressClassName", otherwise=NONE),
        "hosts": _hosts,
        "address": _address,
        "ports": _ports,
    },
)
