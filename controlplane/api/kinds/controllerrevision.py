"""Controller revisions: a state that never changes, and its number. PURE.

Source: Kubernetes' API reference of ControllerRevision; kube-behaviour 3.4.
"""

from controlplane.api.causes import invalid, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy


def _validate(revision: Object) -> list[Cause]:
    found = []
    if revision.get("data") is None:
        found.append(required("data", "data is mandatory"))
    if (revision.get("revision") or 0) < 0:
        why = "must be greater than or equal to 0"
        found.append(invalid("revision", revision["revision"], why))
    return found


def _controller(revision: Object, now: float) -> str:
    """`statefulset.apps/web`, as kubectl names resources of a group."""
    for owner in (revision.get("metadata") or {}).get("ownerReferences") or ():
        if owner.get("controller"):
            group = (owner.get("apiVersion") or "").rpartition("/")[0]
            kind = (owner.get("kind") or "") + (f".{group}" if group else "")
            return f"{kind.lower()}/{owner.get('name') or ''}"
    return "<none>"


def _revision(revision: Object, now: float) -> int:
    return int(revision.get("revision") or 0)


STRATEGY = Strategy(validate=_validate, cells={"controller": _controller, "revision": _revision})
