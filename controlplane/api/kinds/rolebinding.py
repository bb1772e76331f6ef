"""Role bindings: who has a role; which role it is never changes. PURE.

Source: Kubernetes' "Using RBAC Authorization"; kube-behaviour 11.3.
"""

from collections.abc import Iterator, Sequence

from controlplane.api.causes import invalid, invalid_as, not_supported, required
from controlplane.api.errors import Cause
from controlplane.api.kinds.role import NAME_RULE
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_path_segment, faults_of_subdomain

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def default(binding: Object) -> Object:
    """Users, groups and roles are RBAC's own unless somebody says otherwise."""
    changed = dict(binding)
    role = binding.get("roleRef") or {}
    if not role.get("apiGroup"):
        changed["roleRef"] = {**role, "apiGroup": GROUP}
    if binding.get("subjects"):
        changed["subjects"] = [_subject(subject) for subject in binding["subjects"]]
    return changed


def _subject(subject: Object) -> Object:
    if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
        return {**subject, "apiGroup": GROUP}
    return subject


def validate_binding(binding: Object, roles: Sequence[str], *, is_namespaced: bool) -> list[Cause]:
    """`roles`: kinds of role that it may name."""
    found = [*_role_ref(binding.get("roleRef") or {}, roles)]
    for position, subject in enumerate(binding.get("subjects") or ()):
        path = f"subjects[{position}]"
        found += _validate_subject(subject, path, is_namespaced=is_namespaced)
    return found


def _role_ref(role: Object, roles: Sequence[str]) -> Iterator[Cause]:
    group, kind, name = (role.get(key) or "" for key in ("apiGroup", "kind", "name"))
    if group != GROUP:
        yield not_supported("roleRef.apiGroup", group, (GROUP,))
    if kind not in roles:
        yield not_supported("roleRef.kind", kind, roles)
    if not name:
        yield required("roleRef.name")
    for fault in faults_of_path_segment(name):
        yield invalid("roleRef.name", name, fault)


def _validate_subject(subject: Object, path: str, *, is_namespaced: bool) -> Iterator[Cause]:
    group, kind, name = (subject.get(key) or "" for key in ("apiGroup", "kind", "name"))
    if not name:
        yield required(f"{path}.name")
    if kind not in _SUBJECTS:
        yield not_supported(f"{path}.kind", kind, _SUBJECTS)
    elif kind != "ServiceAccount":
        if group != GROUP:
            yield not_supported(f"{path}.apiGroup", group, (GROUP,))
    else:
        for fault in faults_of_subdomain(name) if name else ():
            yield invalid(f"{path}.name", name, fault)
        if group:
            yield not_supported(f"{path}.apiGroup", group, ("",))
        if not is_namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")


def validate_update(new: Object, old: Object) -> list[Cause]:
    """Who holds a binding may not turn it into one of a mightier role."""
    role = new.get("roleRef") or {}
    if role == (old.get("roleRef") or {}):
        return []
    # Users know this message, whose value is spelled as Go does.
    told = ", ".join(
        f'{field}:"{role.get(key) or ""}"'
        for field, key in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))
    )
    return [invalid_as("roleRef", f"rbac.RoleRef{{{told}}}", "cannot change roleRef")]


def _role(binding: Object, now: float) -> str:
    role = binding.get("roleRef") or {}
    return f"{role.get('kind') or ''}/{role.get('name') or ''}"


def _names(binding: Object, kind: str) -> str:
    found = [one for one in binding.get("subjects") or () if one.get("kind") == kind]
    return ", ".join(one.get("name") or "" for one in found)


def _service_accounts(binding: Object, now: float) -> str:
    return ", ".join(
        f"{one.get('namespace') or ''}/{one.get('name') or ''}"
        for one in binding.get("subjects") or ()
        if one.get("kind") == "ServiceAccount"
    )


CELLS = {
    "role": _role,
    "users": lambda binding, now: _names(binding, "User"),
    "groups": lambda binding, now: _names(binding, "Group"),
    "service_accounts": _service_accounts,
}


def _validate(binding: Object) -> list[Cause]:
    return validate_binding(binding, ("Role", "ClusterRole"), is_namespaced=True)


STRATEGY = Strategy(
    name_rule=NAME_RULE,
    default=default,
    validate=_validate,
    validate_update=validate_update,
    cells=CELLS,
)
