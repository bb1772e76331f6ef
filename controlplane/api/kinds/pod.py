"""Pods: what the server sets, what may change, and what kubectl prints. PURE.

Source: Kubernetes' API reference of Pod; kube-behaviour 2.12, 2.19, 8.6, 10.1.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from controlplane.api import podcells, podspec
from controlplane.api.causes import forbidden, go_map, invalid, invalid_as
from controlplane.api.errors import Cause
from controlplane.api.lifecycle import pod_grace_seconds
from controlplane.api.qos import qos_class
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import drop_disabled, in_spec

_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def _default(spec: Object) -> Object:
    return podspec.default_requests(podspec.default_pod_spec(spec))


def _prepare_create(pod: Object) -> Object:
    pod = drop_disabled(pod, {})
    status = {"phase": "Pending", "qosClass": qos_class(pod.get("spec") or {})}
    return {**pod, "status": status}


def _prepare_update(new: Object, old: Object) -> Object:
    """Whoever writes a status may leave the class out; it never changes."""
    new = drop_disabled(new, old)
    known = (old.get("status") or {}).get("qosClass")
    status = new.get("status") or {}
    if not known or status.get("qosClass"):
        return new
    return {**new, "status": {**status, "qosClass": known}}


def _validate(pod: Object) -> list[Cause]:
    return list(podspec.validate_pod_spec(pod.get("spec") or {}, "spec"))


def _validate_update(new: Object, old: Object) -> list[Cause]:
    """Of changes by whichever path; `_status` sees only those of the status."""
    found: list[Cause] = []
    if new.get("spec") != old.get("spec"):
        found += _spec_update(new.get("spec") or {}, old.get("spec") or {})
    if new.get("status") != old.get("status"):
        found += _status_update(new, old)
    return found


def _spec_update(new: Object, old: Object) -> Iterator[Cause]:
    """2.19: images, a shorter deadline, more tolerations, fewer scheduling gates."""
    for field in ("containers", "initContainers"):
        if len(new.get(field) or ()) != len(old.get(field) or ()):
            # Which of them is which cannot be told: nothing else is worth saying.
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    yield from _deadline(new, old)
    yield from _tolerations(new.get("tolerations") or [], old.get("tolerations") or [])
    yield from _gates(new, old)
    if old.get("schedulingGates"):
        yield from _narrowed(new, old)
    if _frozen(new, old) != _frozen(old, old):
        yield forbidden("spec", _MAY_CHANGE)


def _deadline(new: Object, old: Object) -> Iterator[Cause]:
    path = "spec.activeDeadlineSeconds"
    seconds, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is None:
        return
    if seconds is None:
        why = "must not update from a positive integer to nil value"
        yield invalid(path, seconds, why)
    elif seconds > before:
        yield invalid(path, seconds, "must be less than or equal to previous value")


def _tolerations(new: list[Object], old: list[Object]) -> Iterator[Cause]:
    """None goes away and none changes, but for how long it holds."""
    kept = {_without_seconds(one) for one in new}
    if any(_without_seconds(one) not in kept for one in old):
        why = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", why)


def _without_seconds(toleration: Object) -> bytes:
    """All else that it says, as one text: thousands of them are looked up, and not compared."""
    told = {key: value for key, value in toleration.items() if key != "tolerationSeconds"}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _gates(new: Object, old: Object) -> Iterator[Cause]:
    before = {one.get("name") for one in old.get("schedulingGates") or ()}
    names = [one.get("name") for one in new.get("schedulingGates") or ()]
    added = [name for name in names if name and name not in before]
    if added:
        why = f"only deletion is allowed, but found new scheduling gate '{added[0]}'"
        yield forbidden("spec.schedulingGates", why)


def _narrowed(new: Object, old: Object) -> Iterator[Cause]:
    """Nobody has placed a gated pod yet: it may ask for more of its node, and for no less."""
    selector = new.get("nodeSelector") or {}
    if not (old.get("nodeSelector") or {}).items() <= selector.items():
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid_as("spec.nodeSelector", go_map(selector), why)
    terms, before = _node_terms(new), _node_terms(old)
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    path = f"{path}.nodeSelectorTerms"
    if before and len(terms) != len(before):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        yield invalid(path, terms, why)
        return
    for position, (term, was) in enumerate(zip(terms, before, strict=False)):
        if not _only_adds(term, was):
            why = "only additions are allowed (no mutations or deletions)"
            yield invalid(f"{path}[{position}]", term, why)


def _node_terms(spec: Object) -> list[Object]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return required.get("nodeSelectorTerms") or []


def _only_adds(term: Object, before: Object) -> bool:
    """Whether a term asks for all that it asked for. An empty one fits no node, and stays so."""
    asked = [(term.get(field) or [], before.get(field) or []) for field in _REQUIREMENTS]
    if not any(was for _, was in asked):
        return not any(now for now, _ in asked)
    return all(now[: len(was)] == was for now, was in asked)


_REQUIREMENTS = ("matchExpressions", "matchFields")
_FREE = frozenset(("activeDeadlineSeconds", "tolerations", "schedulingGates"))


def _frozen(spec: Object, old: Object) -> dict[str, Any]:
    """What may not change. How a gated pod narrows where it runs is judged by itself."""
    left: dict[str, Any] = {
        key: value for key, value in spec.items() if key not in _FREE and value not in (None, [])
    }
    for field in ("containers", "initContainers"):
        if field in left:
            left[field] = [
                {key: value for key, value in one.items() if key != "image"} for one in left[field]
            ]
    grace = old.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        left["terminationGracePeriodSeconds"] = grace
    if old.get("schedulingGates"):
        left.pop("nodeSelector", None)
        affinity = left.pop("affinity", None) or {}
        left["affinity"] = {
            kind: terms for kind, terms in affinity.items() if kind != "nodeAffinity" and terms
        }
    return left


def _status_update(new: Object, old: Object) -> Iterator[Cause]:
    """10.1: what has ended does not come back."""
    status, before = new.get("status") or {}, old.get("status") or {}
    policy = (new.get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        return
    ended = {
        one.get("name"): one["state"]["terminated"]
        for one in before.get("containerStatuses") or ()
        if (one.get("state") or {}).get("terminated")
    }
    for position, one in enumerate(status.get("containerStatuses") or ()):
        end = ended.get(one.get("name"))
        if end is None or (one.get("state") or {}).get("terminated"):
            continue
        if policy == "Never" or end.get("exitCode") == 0:
            path = f"status.containerStatuses[{position}].state"
            yield forbidden(path, "may not be transitioned to non-terminated state")


def _validate_create(pod: Object) -> list[Cause]:
    """Ephemeral containers come to a pod that runs, through a sub-resource."""
    if not (pod.get("spec") or {}).get("ephemeralContainers"):
        return []
    return [forbidden("spec.ephemeralContainers", "cannot be set on create")]


def _validate_debugging(new: Object, old: Object) -> list[Cause]:
    """Through `/ephemeralcontainers`: some are added, and none changes."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found: list[Cause] = []
    later = {one.get("name"): one for one in spec.get("ephemeralContainers") or ()}
    for one in before.get("ephemeralContainers") or ():
        path = "spec.ephemeralContainers"
        if one.get("name") not in later:
            why = f'existing ephemeral containers "{one.get("name")}" may not be removed'
            found.append(forbidden(path, why))
        elif later[one.get("name")] != one:
            why = f'existing ephemeral containers "{one.get("name")}" may not be changed'
            found.append(forbidden(path, why))
    return found


def _validate_binding(new: Object, old: Object) -> list[Cause]:
    """Through `/binding`, which itself says who may be bound: a node is given (7.2)."""
    return []


STRATEGY = Strategy(
    default=in_spec(_default),
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    validate_create=_validate_create,
    validate_through={
        "ephemeralcontainers": _validate_debugging,
        "binding": _validate_binding,
    },
    grace_seconds=pod_grace_seconds,
    cells=podcells.CELLS,
    glance=podcells.GLANCE,
)
