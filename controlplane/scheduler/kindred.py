"""Which pods are of one kind with a pod: those of its services and of its owner. PURE.

Pods that say nothing of spread are spread with these.
Source: Kubernetes, "Pod Topology Spread Constraints" (cluster-level defaults); kube-behaviour 7.5.
"""

from collections.abc import Mapping

from controlplane.api.resource import Object
from controlplane.api.selectors import LabelSelector, Requirement, from_labels
from controlplane.api.types import meta_v1
from controlplane.api.types.core_v1 import Pod
from controlplane.scheduler.terms import selector_of

_KNOWN_MAX = 4096


class Kindred:
    """Selectors of services, and of what owns pods. `version` grows with each change."""

    def __init__(self) -> None:
        self.version = 0
        self._services: dict[str, dict[str, LabelSelector]] = {}
        self._owners: dict[tuple[str, str, str], LabelSelector] = {}
        self._known: dict[object, LabelSelector | None] = {}

    def set_service(self, namespace: str, name: str, selector: Mapping[str, str] | None) -> None:
        """What a service selects; one without a selector, or that is gone, selects nothing."""
        services = self._services.setdefault(namespace, {})
        found = from_labels(selector) if selector else None
        if services.get(name) != found:
            if found is None:
                del services[name]
            else:
                services[name] = found
            self._changed()
        if not services:
            del self._services[namespace]

    def set_owner(
        self, kind: str, namespace: str, name: str, selector: LabelSelector | None
    ) -> None:
        """What a ReplicaSet or another such owner selects; None: it is gone."""
        key = (kind, namespace, name)
        if self._owners.get(key) == selector:
            return
        if selector is None:
            del self._owners[key]
        else:
            self._owners[key] = selector
        self._changed()

    def of(self, pod: Pod) -> LabelSelector | None:
        """Whom a pod is spread with; None: nobody."""
        owner = next((one for one in pod.metadata.owner_references if one.controller), None)
        key = (
            pod.metadata.namespace,
            frozenset(pod.metadata.labels.items()),
            owner and (owner.kind, owner.name),
        )
        if key not in self._known:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[key] = self._find(pod, owner)
        return self._known[key]

    def _changed(self) -> None:
        self.version += 1
        self._known.clear()

    def _find(self, pod: Pod, owner: meta_v1.OwnerReference | None) -> LabelSelector | None:
        namespace = pod.metadata.namespace
        found: set[Requirement] = set()
        for selector in self._services.get(namespace, {}).values():
            if selector.matches(pod.metadata.labels):
                found.update(selector.requirements)
        if owner is not None:
            owned = self._owners.get((owner.kind, namespace, owner.name))
            if owned is not None and not owned.is_nothing:
                found.update(owned.requirements)
        if not found:
            return None
        return LabelSelector(
            tuple(sorted(found, key=lambda one: (one.key, one.operator, one.text)))
        )


def selector_of_owner(obj: Object) -> LabelSelector | None:
    """Of a ReplicationController (a plain map), or of one of the others."""
    spec = obj.get("spec") or {}
    selector = spec.get("selector") or {}
    if obj.get("kind") == "ReplicationController":
        return from_labels(selector) if selector else None
    labels = selector.get("matchLabels") or {}
    terms = tuple(
        meta_v1.LabelSelectorRequirement(
            key=str(one.get("key")),
            operator=str(one.get("operator")),
            values=tuple(one.get("values") or ()),
        )
        for one in selector.get("matchExpressions") or ()
    )
    return selector_of(meta_v1.LabelSelector(match_labels=labels, match_expressions=terms))
