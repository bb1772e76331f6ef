"""What a default role or binding lacks of what it must have. PURE.

Source: Kubernetes' documentation, "Using RBAC Authorization", "Auto-reconciliation": at its start
the API server adds permissions and subjects that are missing; what somebody added stays, and so
does all of whatever is annotated `rbac.authorization.kubernetes.io/autoupdate: "false"`.
"""

from typing import Any

from controlplane.api.resource import Object
from controlplane.apiserver.rbac import rule_of, uncovered

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"


def completed_role(old: Object, wanted: Object) -> Object:
    """A role with all rights that it must have; the same one if it lacks nothing."""
    if _is_kept(old):
        return old
    found = _with_metadata(old, wanted)
    known = [rule_of(rule) for rule in old.get("rules") or ()]
    missing = [rule for rule in wanted["rules"] if uncovered(known, [rule_of(rule)])]
    if "aggregationRule" in wanted:
        # Its rules are those of others, for the controller of aggregation to gather.
        return _with_selectors(found, wanted)
    return {**found, "rules": [*(old.get("rules") or ()), *missing]} if missing else found


def completed_binding(old: Object, wanted: Object) -> Object:
    """A binding with all subjects that it must have; the same one if it lacks nothing."""
    if _is_kept(old):
        return old
    found = _with_metadata(old, wanted)
    known = list(old.get("subjects") or ())
    missing = [one for one in wanted["subjects"] if not any(_is_same(one, its) for its in known)]
    return {**found, "subjects": [*known, *missing]} if missing else found


def is_of_another_role(old: Object, wanted: Object) -> bool:
    """Whether a binding must be made anew, for the role that it binds can never change."""
    reference, its = wanted["roleRef"], old.get("roleRef") or {}
    return not _is_kept(old) and any(its.get(word) != reference[word] for word in ("kind", "name"))


def _is_kept(old: Object) -> bool:
    return (old["metadata"].get("annotations") or {}).get(_AUTOUPDATE) == "false"


def _with_metadata(old: Object, wanted: Object) -> Object:
    """With labels and annotations that are missing; what somebody has set stays."""
    metadata = dict(old["metadata"])
    for word in ("labels", "annotations"):
        metadata[word] = {**wanted["metadata"][word], **(metadata.get(word) or {})}
    return old if metadata == old["metadata"] else {**old, "metadata": metadata}


def _with_selectors(old: Object, wanted: Object) -> Object:
    known = list((old.get("aggregationRule") or {}).get("clusterRoleSelectors") or ())
    chosen = wanted["aggregationRule"]["clusterRoleSelectors"]
    missing = [one for one in chosen if one not in known]
    if not missing:
        return old
    return {**old, "aggregationRule": {"clusterRoleSelectors": [*known, *missing]}}


def _is_same(subject: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(subject.get(word) == other.get(word) for word in ("kind", "name", "namespace"))
