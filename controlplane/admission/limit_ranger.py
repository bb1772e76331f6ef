"""LimitRanger: containers get a namespace's defaults, and stay in its bounds. PURE.

Source: Kubernetes' documentation, "Limit Ranges"; kube-behaviour 8.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec

from controlplane.admission.review import CREATE, UPDATE, Review
from controlplane.api import errors, quantity, usage
from controlplane.api.resource import Object

_ANNOTATION = "kubernetes.io/limit-ranger"
_FIELDS = (("initContainers", "init container"), ("containers", "container"))


class _Asked(msgspec.Struct, frozen=True):
    """What a thing of some kind asks for."""

    kind: str
    requests: Mapping[str, Fraction]
    limits: Mapping[str, Fraction]


def mutate(review: Review, found: Object) -> Object:
    """Fills in the defaults of a new pod's containers, and notes which."""
    if not review.is_of("pods", "", CREATE):
        return found
    defaults = _items(review, "Container")
    if not defaults:
        return found
    spec, notes = dict(found.get("spec") or {}), []
    for field, word in _FIELDS:
        containers = []
        for stated in spec.get(field) or ():
            filled = stated
            for item in defaults:
                filled, told = _with_defaults(filled, item, word)
                notes += told
            containers.append(filled)
        if containers:
            spec[field] = containers
    if not notes:
        return found
    metadata = found["metadata"]
    annotations = {
        **(metadata.get("annotations") or {}),
        _ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}",
    }
    return {**found, "metadata": {**metadata, "annotations": annotations}, "spec": spec}


def _with_defaults(
    container: Mapping[str, Any], item: Mapping[str, Any], word: str
) -> tuple[Mapping[str, Any], list[str]]:
    resources = container.get("resources") or {}
    notes = []
    filled: dict[str, Any] = {}
    for field, source in (("limits", "default"), ("requests", "defaultRequest")):
        stated = resources.get(field) or {}
        missing = {
            name: amount
            for name, amount in (item.get(source) or {}).items()
            # Who states a limit asks for as much, unless he says otherwise.
            if name not in stated
            and not (field == "requests" and name in (resources.get("limits") or {}))
        }
        if missing:
            filled[field] = {**stated, **missing}
            names = ", ".join(sorted(missing))
            notes.append(f"{names} {field[:-1]} for {word} {container.get('name')}")
    if not filled:
        return container, []
    return {**container, "resources": {**resources, **filled}}, notes


def validate(review: Review, found: Object) -> None:
    """Raises ApiError 403 with all bounds that are broken."""
    faults: list[str] = []
    # What containers need does not change with an update: a pod that was there before the bounds
    # could not even be labelled, or let go, if it were looked at again.
    if (review.old or {}).get("metadata", {}).get("deletionTimestamp"):
        return
    if review.is_of("pods", "", CREATE):
        faults = list(_faults_of_pod(review, found))
    elif review.is_of("persistentvolumeclaims", "", CREATE, UPDATE):
        requests = ((found.get("spec") or {}).get("resources") or {}).get("requests") or {}
        asked = {name: quantity.parse(amount) for name, amount in requests.items()}
        for item in _items(review, "PersistentVolumeClaim"):
            faults += _faults(item, _Asked("PersistentVolumeClaim", asked, asked))
    if faults:
        resource = review.resource
        why = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
        raise errors.forbidden(resource.plural, resource.group, review.name, why)


def _faults_of_pod(review: Review, pod: Object) -> Iterator[str]:
    spec = pod.get("spec") or {}
    for item in _items(review, "Container"):
        for field, _ in _FIELDS:
            for container in spec.get(field) or ():
                alone = {"spec": {"containers": [container]}}
                limits = usage.pod_amounts(alone, "limits")
                asked = _Asked("Container", _stated(container, "requests"), limits)
                yield from _faults(item, asked)
    for item in _items(review, "Pod"):
        requests, limits = (usage.pod_amounts(pod, field) for field in ("requests", "limits"))
        yield from _faults(item, _Asked("Pod", requests, limits))


def _stated(container: Mapping[str, Any], field: str) -> dict[str, Fraction]:
    amounts = (container.get("resources") or {}).get(field) or {}
    return {name: quantity.parse(amount) for name, amount in amounts.items()}


def _faults(item: Mapping[str, Any], asked: _Asked) -> Iterator[str]:
    for name, text in (item.get("min") or {}).items():
        yield from _below(name, text, asked)
    for name, text in (item.get("max") or {}).items():
        yield from _above(name, text, asked)
    for name, text in (item.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(name, text, asked)


def _below(name: str, text: Any, asked: _Asked) -> Iterator[str]:
    bound, told = quantity.parse(text), f"minimum {name} usage per {asked.kind} is {text}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if request is None:
        yield f"{told}.  No request is specified"
    elif request < bound:
        yield f"{told}, but request is {_told(request, text)}"
    elif limit is not None and limit < bound:
        yield f"{told}, but limit is {_told(limit, text)}"


def _above(name: str, text: Any, asked: _Asked) -> Iterator[str]:
    bound, told = quantity.parse(text), f"maximum {name} usage per {asked.kind} is {text}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if limit is None:
        yield f"{told}.  No limit is specified"
    elif limit > bound:
        yield f"{told}, but limit is {_told(limit, text)}"
    elif request is not None and request > bound:
        yield f"{told}, but request is {_told(request, text)}"


def _ratio(name: str, text: Any, asked: _Asked) -> Iterator[str]:
    told = f"{name} max limit to request ratio per {asked.kind} is {text}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if not request:
        yield f"{told}, but no request is specified or request is 0"
    elif not limit:
        yield f"{told}, but no limit is specified or limit is 0"
    elif limit / request > quantity.parse(text):
        yield f"{told}, but provided ratio is {float(limit / request):.6f}"


def _told(amount: Fraction, like: Any) -> str:
    return quantity.render(amount, quantity.format_of(like))


def _items(review: Review, kind: str) -> Sequence[Mapping[str, Any]]:
    found = review.lister.list("", "limitranges", review.namespace)
    return [
        item
        for one in found
        for item in (one.get("spec") or {}).get("limits") or ()
        if item.get("type") == kind
    ]
