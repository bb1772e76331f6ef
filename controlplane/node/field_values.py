"""What a container may be told of its own pod: fields, and what it asked for. PURE.

Source: Kubernetes' documentation, "Downward API".
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from controlplane.api import quantity
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import Pod, ResourceFieldSelector
from controlplane.node.view import specs


class FieldError(Exception):
    """There is no such field; the message says so."""


def field_value(pod: Pod, path: str, *, host_ip: str, address: str) -> str:
    """A field of a pod by `fieldRef.fieldPath`. Raises FieldError.

    host_ip, address  of the node and the pod: the object does not say them yet
    """
    meta = pod.metadata
    plain = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": address,
        "status.podIPs": address,
    }
    if path in plain:
        return plain[path]
    for name, values in (
        ("metadata.labels", meta.labels),
        ("metadata.annotations", meta.annotations),
    ):
        if path == name:
            return _listed(values)
        if path.startswith(f"{name}['") and path.endswith("']"):
            return values.get(path[len(name) + 2 : -2], "")
    raise FieldError(f"unsupported fieldPath: {path}")


def _listed(values: Mapping[str, str]) -> str:
    """One a line, as Go quotes strings."""
    return "\n".join(f"{key}={_quoted(values[key])}" for key in sorted(values))


_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPED.get(one, one) for one in text) + '"'


def resource_value(
    pod: Pod, reference: ResourceFieldSelector, container: str, allocatable: Mapping[str, str]
) -> str:
    """A request or limit by `resourceFieldRef`, in units of its divisor, rounded up.

    container    whose it is where the reference does not say it
    allocatable  of the node: what is not limited may use as much

    Raises FieldError.
    """
    name = reference.container_name or container
    spec = specs(pod).get(name)
    if spec is None:
        raise FieldError(f"container {name} not found")
    kind, _, resource = reference.resource.partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise FieldError(f"unsupported container resource: {reference.resource}")
    amount = _amount(spec, kind, resource, allocatable)
    try:
        divisor = quantity.parse(reference.divisor or "1") or Fraction(1)
    except ValueError:
        divisor = Fraction(1)
    return str(math.ceil(amount / divisor))


def _amount(spec: Spec, kind: str, resource: str, allocatable: Mapping[str, str]) -> Fraction:
    resources = spec.resources
    told: Any = (resources.limits if kind == "limits" else resources.requests).get(resource)
    if told is None and kind == "limits":
        told = allocatable.get(resource)
    try:
        return quantity.parse(told) if told is not None else Fraction(0)
    except ValueError:
        return Fraction(0)
