"""Nobody grants what is not theirs: roles and bindings that would are refused.

Source: Kubernetes' documentation, "Privilege escalation prevention and bootstrapping";
kube-behaviour 11.3. Who has the verb `escalate` on a role, or `bind` on the role of a binding, may.
"""

from collections.abc import Sequence

from controlplane.api import errors
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.incoming import Target
from controlplane.apiserver.rbac import (
    RBAC_GROUP,
    Attributes,
    Rule,
    TooManyRightsError,
    compacted,
    role_place,
    rule_of,
)
from controlplane.apiserver.users import User

_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")
_EVERYTHING = (
    Rule(verbs=("*",), groups=("*",), resources=("*",)),
    Rule(verbs=("*",), paths=("*",)),
)

TOLD_CHARS_MAX = 64 * 1024


class Escalation:
    """Looks at what is written to RBAC's own kinds."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def require(self, user: User, resource: Resource, new: Object, old: Object | None) -> None:
        """Raises ApiError 403 and 404."""
        if resource.group != RBAC_GROUP or user.is_master:
            return
        namespace = str(new["metadata"].get("namespace", ""))
        if resource.plural in _ROLES:
            self._require_aggregation(user, resource, new, old)
            if old is None or old.get("rules") != new.get("rules"):
                rules = [rule_of(rule) for rule in new.get("rules") or ()]
                self._require_held(user, resource, new, namespace, rules, "escalate")
        elif resource.plural in _BINDINGS and (old is None or _binds_more(new, old)):
            self._require_bindable(user, resource, new, namespace)

    def require_create(self, user: User, target: Target) -> None:
        """An apply of what is not there makes it. Raises ApiError 403."""
        self._authorizer.require(
            user,
            Attributes(
                verb="create",
                group=target.group,
                resource=target.plural,
                namespace=target.namespace,
                name=target.name,
            ),
        )

    def _require_aggregation(
        self, user: User, resource: Resource, new: Object, old: Object | None
    ) -> None:
        """What a selector gathers may be anything, now or later: it takes all there is."""
        rules = [role.get("aggregationRule") for role in (new, old or {})]
        if not any(rules) or (old is not None and rules[0] == rules[1]):
            return
        name = str(new["metadata"].get("name", ""))
        asked = Attributes(verb="escalate", group=RBAC_GROUP, resource=resource.plural, name=name)
        if self._authorizer.allows(user, asked):
            return
        if self._authorizer.policy.missing(user, "", _EVERYTHING):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise errors.forbidden(resource.plural, RBAC_GROUP, name, why)

    def _require_bindable(
        self, user: User, resource: Resource, binding: Object, namespace: str
    ) -> None:
        place = role_place(binding, namespace)
        plural = "roles" if place[0] else "clusterroles"
        asked = Attributes(
            verb="bind", group=RBAC_GROUP, resource=plural, namespace=namespace, name=place[1]
        )
        if self._authorizer.allows(user, asked):
            return
        rules = self._authorizer.policy.rules_at(place)
        if rules is None:
            raise errors.not_found(plural, RBAC_GROUP, place[1])
        self._require_held(user, resource, binding, namespace, rules, "")

    def _require_held(
        self,
        user: User,
        resource: Resource,
        found: Object,
        namespace: str,
        rules: Sequence[Rule],
        verb: str,
    ) -> None:
        name = str(found["metadata"].get("name", ""))
        if verb and self._authorizer.allows(
            user,
            Attributes(
                verb=verb,
                group=RBAC_GROUP,
                resource=resource.plural,
                namespace=namespace,
                name=name,
            ),
        ):
            return
        try:
            missing = self._authorizer.policy.missing(user, namespace, rules)
        except TooManyRightsError:
            why = "it grants more than can be compared with what you have: several roles, please"
            raise errors.forbidden(resource.plural, RBAC_GROUP, name, why) from None
        if missing:
            told = "\n".join(sorted(_lines(missing)))
            groups = " ".join(_quoted(group) for group in user.groups)
            why = (
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
                f"not currently held:\n{told}"
            )
            raise errors.forbidden(resource.plural, RBAC_GROUP, name, why)


def _binds_more(new: Object, old: Object) -> bool:
    return any(new.get(field) != old.get(field) for field in ("subjects", "roleRef"))


def _lines(missing: Sequence[Rule]) -> set[str]:
    """Some of what is missing if all would be long: each line may repeat a word of megabytes."""
    lines: set[str] = set()
    chars = 0
    for rule in compacted(missing):
        line = _told(rule)
        chars += len(line)
        if lines and chars > TOLD_CHARS_MAX:
            break
        lines.add(line)
    return lines


def _told(rule: Rule) -> str:
    words = [
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.paths),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    ]
    parts = [
        f"{word}:[{' '.join(_quoted(value) for value in values)}]"
        for word, values in words
        if values
    ]
    return f"{{{', '.join(parts)}}}"


def _quoted(text: str) -> str:
    return f'"{text}"'
