"""What of a request is told in the audit log: rules, of which the first that matches counts. PURE.

Source: Kubernetes' documentation, "Auditing" (audit policy), and the API reference of
audit.k8s.io/v1 Policy; kube-behaviour 11.10.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import msgspec
import yaml

from controlplane.apiserver.incoming import Target
from controlplane.apiserver.users import User

REQUEST_RECEIVED, RESPONSE_STARTED = "RequestReceived", "ResponseStarted"
RESPONSE_COMPLETE, PANIC = "ResponseComplete", "Panic"
_STAGES = frozenset((REQUEST_RECEIVED, RESPONSE_STARTED, RESPONSE_COMPLETE, PANIC))


class Level(IntEnum):
    """How much is told; each one tells what those before it do. NONE: nothing.

    METADATA: who, when, what and the outcome; REQUEST: the object that was sent, too;
    REQUEST_RESPONSE: also the one that was answered.
    """

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAMES = {level: name for name, level in LEVELS.items()}


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy says of one request."""

    level: Level
    omitted: frozenset[str] = frozenset()  # stages
    omits_managed_fields: bool = False


class GroupResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Resources of one API group; none named: all of it."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()

    def matches(self, target: Target) -> bool:
        """Tell whether a request is about one of them."""
        if self.group != target.group:
            return False
        if not self.resources:
            return True
        if self.resource_names and target.name not in self.resource_names:
            return False
        patterns = {"*", target.resource, f"{target.plural}/*"}
        if target.subresource:
            patterns.add(f"*/{target.subresource}")
        return not patterns.isdisjoint(self.resources)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A PolicyRule: everything that it names must match; what it leaves out matches all."""

    level: str
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()  # the empty one: what is in no namespace
    non_resource_urls: tuple[str, ...] = msgspec.field(name="nonResourceURLs", default=())
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool | None = None

    def matches(self, user: User | None, verb: str, target: Target | None, path: str) -> bool:
        """Tell whether it is about a request; of whom nobody knows (None) no user's rule is."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.user_groups and (user is None or not set(user.groups) & set(self.user_groups)):
            return False
        if self.verbs and verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return target is not None and self._is_about(target)
        if self.non_resource_urls:
            return target is None and any(_covers(one, path) for one in self.non_resource_urls)
        return True

    def _is_about(self, target: Target) -> bool:
        if self.namespaces and target.namespace not in self.namespaces:
            return False
        return not self.resources or any(one.matches(target) for one in self.resources)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """audit.k8s.io/v1 Policy. A request that no rule matches is not told of."""

    api_version: str
    kind: str
    rules: tuple[Rule, ...]
    metadata: Mapping[str, Any] = {}
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool = False

    def choose(self, user: User | None, verb: str, target: Target | None, path: str) -> Chosen:
        """What to tell of a request. user None: nobody knows who asks."""
        for rule in self.rules:
            if rule.matches(user, verb, target, path):
                omits = rule.omit_managed_fields
                return Chosen(
                    level=LEVELS[rule.level],
                    omitted=frozenset((*self.omit_stages, *rule.omit_stages)),
                    omits_managed_fields=self.omit_managed_fields if omits is None else omits,
                )
        return _NOTHING


_NOTHING = Chosen(level=Level.NONE)
EVERYTHING = Policy(
    api_version="audit.k8s.io/v1",
    kind="Policy",
    rules=(Rule("Metadata"),),
    omit_stages=(REQUEST_RECEIVED,),
)
"""Where nobody has written a policy: who asked for what, of all requests, and no bodies."""


def policy_of(text: bytes) -> Policy:
    """From a policy file, YAML or JSON. Raises ValueError, which says what is wrong with it."""
    try:
        found = msgspec.convert(yaml.safe_load(text), type=Policy)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from None
    if (found.api_version, found.kind) != ("audit.k8s.io/v1", "Policy"):
        told = f"{found.api_version} {found.kind}"
        raise ValueError(f"it is {told}: apiVersion audit.k8s.io/v1 and kind Policy, please")
    if not found.rules:
        raise ValueError("it has no rules: nothing would be audited")
    _check_stages("omitStages", found.omit_stages)
    for number, rule in enumerate(found.rules):
        _check_rule(f"rules[{number}]", rule)
    return found


def _check_rule(where: str, rule: Rule) -> None:
    if rule.level not in LEVELS:
        raise ValueError(f"{where}.level: {rule.level!r} is none of {', '.join(LEVELS)}")
    _check_stages(f"{where}.omitStages", rule.omit_stages)
    if rule.non_resource_urls and (rule.resources or rule.namespaces):
        raise ValueError(f"{where}: a rule is about resources or about nonResourceURLs, not both")
    for path in rule.non_resource_urls:
        if path != "*" and not (path.startswith("/") and "*" not in path[:-1]):
            told = "begins with / and may end with *"
            raise ValueError(f"{where}.nonResourceURLs: {path!r}: a path {told}")
    for one in rule.resources:
        if one.resource_names and not one.resources:
            raise ValueError(f"{where}.resources: resourceNames need resources that are named")
        if "/" in one.group:
            raise ValueError(f"{where}.resources: group {one.group!r} is to be without a version")


def _check_stages(where: str, stages: Sequence[str]) -> None:
    for stage in stages:
        if stage not in _STAGES:
            known = ", ".join(sorted(_STAGES))
            raise ValueError(f"{where}: {stage!r} is none of {known}")


def _covers(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return pattern == path
