"""DefaultTolerationSeconds: a pod stays 300 s on a node that is not ready or reached. PURE.

kube-behaviour 6.3.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.admission.review import CREATE, UPDATE, Review
from controlplane.api.resource import Object

SECONDS = 300
_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def mutate(review: Review, found: Object) -> Object:
    """Adds the tolerations that a pod lacks."""
    if not review.is_of("pods", "", CREATE, UPDATE):
        return found
    spec = found.get("spec") or {}
    tolerations = spec.get("tolerations") or []
    missing = [key for key in _KEYS if not any(_tolerates(one, key) for one in tolerations)]
    if not missing:
        return found
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
        for key in missing
    ]
    return {**found, "spec": {**spec, "tolerations": [*tolerations, *added]}}


def _tolerates(toleration: Mapping[str, Any], key: str) -> bool:
    is_effect = toleration.get("effect", "") in ("", "NoExecute")
    return is_effect and toleration.get("key", "") in ("", key)
