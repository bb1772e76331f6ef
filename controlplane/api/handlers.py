"""Validation of probes and life cycle hooks: what is called, and how often. PURE.

Source: Kubernetes, "Configure Liveness, Readiness and Startup Probes" (kube-behaviour 10.5),
"Container Lifecycle Hooks".
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api import syntaxes
from controlplane.api.causes import forbidden, invalid, required
from controlplane.api.checks import at_least, one_of_if_set, syntax
from controlplane.api.errors import Cause
from controlplane.api.resource import Object

_PROBES = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_SCHEMES = frozenset(("HTTP", "HTTPS"))
_PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds")
_THRESHOLDS = ("successThreshold", "failureThreshold")


def validate_probe(probe: Object, name: str, path: str) -> Iterator[Cause]:
    """A probe; `name` is livenessProbe, readinessProbe or startupProbe."""
    yield from _handler(probe, path, _PROBES)
    for field in (*_PROBE_NUMBERS, *_THRESHOLDS):
        yield from at_least(f"{path}.{field}", probe.get(field))
    grace = probe.get("terminationGracePeriodSeconds")
    if name == "readinessProbe":
        if grace is not None:
            why = "must not be set for readinessProbes"
            yield invalid(f"{path}.terminationGracePeriodSeconds", grace, why)
        return
    if grace is not None and grace <= 0:
        why = "must be greater than 0"
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, why)
    # Whoever is restarted at the first failure has nothing to count (10.5).
    successes = probe.get("successThreshold")
    if successes is not None and successes not in (0, 1):
        yield invalid(f"{path}.successThreshold", successes, "must be 1")


def validate_hook(hook: Object, path: str, grace_seconds: int | None) -> Iterator[Cause]:
    """postStart or preStop."""
    yield from _handler(hook, path, _HOOKS)
    seconds = (hook.get("sleep") or {}).get("seconds")
    if seconds is None or grace_seconds is None:
        return
    if not 0 <= seconds <= grace_seconds:
        why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
        yield invalid(f"{path}.sleep", seconds, why)


def _handler(handler: Object, path: str, kinds: tuple[str, ...]) -> Iterator[Cause]:
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for kind in given[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    for kind in given[:1]:
        yield from _CHECKS[kind](handler[kind], f"{path}.{kind}")


def _exec(action: Object, path: str) -> Iterator[Cause]:
    if not action.get("command"):
        yield required(f"{path}.command")


def _http_get(action: Object, path: str) -> Iterator[Cause]:
    if not action.get("path"):
        yield required(f"{path}.path")
    yield from port_or_name(f"{path}.port", action.get("port"))
    yield from one_of_if_set(f"{path}.scheme", action.get("scheme"), _SCHEMES)
    for position, header in enumerate(action.get("httpHeaders") or ()):
        at = f"{path}.httpHeaders[{position}].name"
        yield from syntax(at, header.get("name"), syntaxes.faults_of_http_header)


def _tcp_socket(action: Object, path: str) -> Iterator[Cause]:
    yield from port_or_name(f"{path}.port", action.get("port"))


def _grpc(action: Object, path: str) -> Iterator[Cause]:
    yield from port_or_name(f"{path}.port", action.get("port"))


def _sleep(action: Object, path: str) -> Iterator[Cause]:
    if action.get("seconds") is None:
        yield required(f"{path}.seconds")


_CHECKS = {
    "exec": _exec,
    "httpGet": _http_get,
    "tcpSocket": _tcp_socket,
    "grpc": _grpc,
    "sleep": _sleep,
}


def port_or_name(path: str, value: Any) -> Iterator[Cause]:
    """A port's number or name."""
    if isinstance(value, str):
        for why in syntaxes.faults_of_port_name(value):
            yield invalid(path, value, why)
    elif not 0 < (value or 0) <= 65535:
        yield invalid(path, value or 0, "must be between 1 and 65535, inclusive")
