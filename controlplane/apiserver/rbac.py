"""Who may do what: rules of roles, bound to users, groups and service accounts. PURE.

Source: Kubernetes' documentation, "Using RBAC Authorization": rules only allow; a request that no
rule allows is refused. Nobody grants what is not theirs ("privilege escalation prevention").
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.apiserver.users import User

RBAC_GROUP = "rbac.authorization.k8s.io"
Object = Mapping[str, Any]


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: a resource, or a path that is none's."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def is_resource(self) -> bool:
        """Whether it is about a resource."""
        return not self.path


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A PolicyRule."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def allows(self, asked: Attributes) -> bool:
        """Tell whether it allows this."""
        if "*" not in self.verbs and asked.verb not in self.verbs:
            return False
        if not asked.is_resource:
            return any(_path_matches(path, asked.path) for path in self.paths)
        if "*" not in self.groups and asked.group not in self.groups:
            return False
        if self.names and asked.name not in self.names:
            return False
        return any(_resource_matches(one, asked.resource) for one in self.resources)

    @property
    def told(self) -> dict[str, object]:
        """Its JSON."""
        words = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }
        return {word: list(values) for word, values in words.items() if values}


def rule_of(found: Object) -> Rule:
    """From the JSON of a PolicyRule. Raises TypeError for what is none."""
    return Rule(
        verbs=_texts(found.get("verbs")),
        groups=_texts(found.get("apiGroups")),
        resources=_texts(found.get("resources")),
        names=_texts(found.get("resourceNames")),
        paths=_texts(found.get("nonResourceURLs")),
    )


def _texts(values: object) -> tuple[str, ...]:
    if values is None:
        return ()
    if not isinstance(values, list | tuple):
        raise TypeError("a list, please")  # of a text, `*` would be one of the letters
    return tuple(map(str, values))


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern in ("*", resource):
        return True
    _, _, subresource = resource.partition("/")
    return bool(subresource) and pattern == f"*/{subresource}"


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return pattern == path


Subject = tuple[str, str]
"""(`User`, name) or (`Group`, name)."""
Place = tuple[str, str]
"""Namespace (empty: of the whole cluster) and name."""


class Policy:
    """All roles and bindings, as its users' look-ups want them: by subject, then by namespace."""

    def __init__(
        self,
        *,
        roles: Iterable[Object] = (),
        cluster_roles: Iterable[Object] = (),
        role_bindings: Iterable[Object] = (),
        cluster_role_bindings: Iterable[Object] = (),
    ) -> None:
        self._rules: dict[Place, tuple[Rule, ...]] = {}
        self._subjects_of: dict[Place, tuple[Subject, ...]] = {}
        # subject -> namespace that it holds in (empty: everywhere) -> binding -> role
        self._bound: dict[Subject, dict[str, dict[Place, Place]]] = {}
        for role in (*roles, *cluster_roles):
            self.put_role(_place(role), role)
        for binding in (*cluster_role_bindings, *role_bindings):
            self.put_binding(_place(binding), binding)

    def put_role(self, place: Place, role: Object) -> None:
        """A role was written."""
        self._rules[place] = tuple(map(rule_of, role.get("rules") or ()))

    def drop_role(self, place: Place) -> None:
        """There is no such role any more; what binds it gives nothing."""
        self._rules.pop(place, None)

    def put_binding(self, place: Place, binding: Object) -> None:
        """A binding was written."""
        namespace, role = place[0], role_place(binding, place[0])
        keys = (subject_key(one, namespace) for one in binding.get("subjects") or ())
        subjects = tuple(key for key in keys if key is not None)
        self.drop_binding(place)
        self._subjects_of[place] = subjects
        for subject in subjects:
            self._bound.setdefault(subject, {}).setdefault(namespace, {})[place] = role

    def drop_binding(self, place: Place) -> None:
        """There is no such binding any more."""
        for subject in set(self._subjects_of.pop(place, ())):
            spaces = self._bound[subject]
            del spaces[place[0]][place]
            if not spaces[place[0]]:
                del spaces[place[0]]
            if not spaces:
                del self._bound[subject]

    def rules_at(self, role: Place) -> tuple[Rule, ...] | None:
        """The rules of a role; None: there is no such role."""
        return self._rules.get(role)

    def rules_for(self, user: User, namespace: str) -> Iterator[Rule]:
        """All that holds for a user in a namespace (empty: cluster-wide only)."""
        for subject in _subjects(user):
            spaces = self._bound.get(subject)
            if spaces is None:
                continue
            for where in ("", namespace) if namespace else ("",):
                for role in spaces.get(where, {}).values():
                    yield from self._rules.get(role, ())

    def allows(self, user: User, asked: Attributes) -> bool:
        """Tell whether a user may do it."""
        if user.is_master:
            return True
        return any(rule.allows(asked) for rule in self.rules_for(user, asked.namespace))

    def missing(self, user: User, namespace: str, wanted: Sequence[Rule]) -> list[Rule]:
        """What of these rules a user does not have itself, broken down to single rights.

        Raises TooManyRightsError.
        """
        if user.is_master:
            return []
        own = list(self.rules_for(user, namespace))
        return uncovered(own, wanted, compared_max=COMPARED_MAX)


def _place(found: Object) -> Place:
    metadata = found["metadata"]
    return (metadata.get("namespace", ""), metadata["name"])


def role_place(binding: Object, namespace: str) -> Place:
    """Where the role of a binding in a namespace (empty: in none) is."""
    reference = binding.get("roleRef") or {}
    is_local = reference.get("kind") == "Role"
    return (namespace if is_local else "", str(reference.get("name", "")))


def subject_key(subject: Object, namespace: str) -> Subject | None:
    """(`User`, name) or (`Group`, name); None: of no kind that there is."""
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    if kind == "ServiceAccount":
        return ("User", f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}")
    return (str(kind), name) if kind in ("User", "Group") else None


def _subjects(user: User) -> Iterator[Subject]:
    yield ("User", user.name)
    for group in user.groups:
        yield ("Group", group)


COMPARED_MAX = 500_000
"""Rights times rules, some half a second's worth: a role of a few kilobytes grants millions, and
nobody else is served while they are compared."""
MISSING_MAX = 1_000
"""As many are told; one is enough to refuse."""


class TooManyRightsError(Exception):
    """Rules grant so much that it cannot be told whether somebody has it all."""


def uncovered(
    own: Sequence[Rule], wanted: Sequence[Rule], *, compared_max: int | None = None
) -> list[Rule]:
    """What some rules do not allow of what others do, broken down to single rights; the first of
    it if it is much. Raises TooManyRightsError.

    compared_max  how many rights are compared with how many rules; None: all
    """
    missing: list[Rule] = []
    held, compared = [_Held.of(rule) for rule in own], 0
    for rule in map(_without_repeats, wanted):
        if any(one.has_whole(rule) for one in held):
            continue
        for part in _parts(rule):
            compared += 1 + len(held)
            if compared_max is not None and compared > compared_max:
                raise TooManyRightsError
            if not any(one.has(part) for one in held):
                missing.append(part)
                if len(missing) == MISSING_MAX:
                    return missing
    return missing


def compacted(parts: Iterable[Rule]) -> list[Rule]:
    """Single rights; those of one resource that differ only in their verbs put together."""
    paths: list[Rule] = []
    verbs: dict[Rule, list[str]] = {}
    for part in parts:
        if part.paths:
            paths.append(part)
        else:
            verbs.setdefault(msgspec.structs.replace(part, verbs=()), []).extend(part.verbs)
    whole = (msgspec.structs.replace(rest, verbs=tuple(held)) for rest, held in verbs.items())
    return [*paths, *whole]


def _without_repeats(rule: Rule) -> Rule:
    words = {field: tuple(dict.fromkeys(getattr(rule, field))) for field in rule.__struct_fields__}
    return Rule(**words)


def _parts(rule: Rule) -> Iterator[Rule]:
    """One for each verb, group, resource and name: each must be covered by some rule."""
    for verb in rule.verbs:
        for path in rule.paths:
            yield Rule(verbs=(verb,), paths=(path,))
        for group in rule.groups:
            for resource in rule.resources:
                part = Rule(verbs=(verb,), groups=(group,), resources=(resource,))
                for name in rule.names:
                    yield msgspec.structs.replace(part, names=(name,))
                if not rule.names:
                    yield part


class _Held(msgspec.Struct, frozen=True):
    """A rule of somebody's, as it is asked often."""

    rule: Rule
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]

    @classmethod
    def of(cls, rule: Rule) -> "_Held":
        return cls(rule, frozenset(rule.verbs), frozenset(rule.groups), frozenset(rule.resources))

    def has(self, part: Rule) -> bool:
        """Whether it allows a single right."""
        if not _has_all(self.verbs, part.verbs):
            return False
        if part.paths:
            return self._has_path(part.paths[0])
        return self._has_names(part) and self._has_resource(part.groups[0], part.resources[0])

    def has_whole(self, rule: Rule) -> bool:
        """Whether it allows all that another rule grants: told without breaking that down."""
        if not _has_all(self.verbs, rule.verbs) or not all(map(self._has_path, rule.paths)):
            return False
        if not rule.groups or not rule.resources:
            return True
        return (
            self._has_names(rule)
            and _has_all(self.groups, rule.groups)
            and all(self._has_resource(rule.groups[0], resource) for resource in rule.resources)
        )

    def _has_path(self, path: str) -> bool:
        return any(_path_covers(one, path) for one in self.rule.paths)

    def _has_names(self, rule: Rule) -> bool:
        names = self.rule.names
        return not names or (bool(rule.names) and all(name in names for name in rule.names))

    def _has_resource(self, group: str, resource: str) -> bool:
        if not _has_all(self.groups, (group,)):
            return False
        if "*" in self.resources or resource in self.resources:
            return True
        _, _, subresource = resource.partition("/")
        return bool(subresource) and f"*/{subresource}" in self.resources


def _has_all(own: frozenset[str], wanted: Sequence[str]) -> bool:
    return "*" in own or all(one in own for one in wanted)


def _path_covers(own: str, wanted: str) -> bool:
    return own == wanted or (own.endswith("*") and wanted.rstrip("*").startswith(own[:-1]))


def refusal(user: User, asked: Attributes) -> str:
    """Why, in Kubernetes' words (kube-behaviour 11.3)."""
    if not asked.is_resource:
        return f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
    whom = f'User "{user.name}" cannot {asked.verb} resource "{asked.resource}"'
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    return f'{whom} in API group "{asked.group}" {where}'
