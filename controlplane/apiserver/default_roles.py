"""The roles and bindings that every cluster has from the start, out of `data/default_roles.toml`.

PURE but for reading that file. How what is there is completed is `reconciliation`'s.
"""

import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

_LABEL = "rbac.authorization.k8s.io/aggregate-to-"
_GROUP = "rbac.authorization.k8s.io"
_API = f"{_GROUP}/v1"
_WORDS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "delete", "deletecollection", "patch", "update"),
}
_EVENTS = ("create patch update", "core events.k8s.io", "events")


class _Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; what its fields mean is said there."""

    rules: tuple[tuple[str, ...], ...] = ()
    events: bool = False
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    is_bound: bool = False
    gathers: str = ""
    joins: str = ""


@cache
def _roles() -> dict[str, _Role]:
    data = files("controlplane.apiserver").joinpath("data/default_roles.toml").read_text()
    return msgspec.convert(tomllib.loads(data), type=dict[str, _Role])


def cluster_roles() -> Iterator[dict[str, Any]]:
    """Every default ClusterRole; the rules of those that gather others' are not filled in."""
    for name, role in _roles().items():
        found: dict[str, Any] = {
            "apiVersion": _API,
            "kind": "ClusterRole",
            "metadata": _metadata(name),
        }
        if role.joins:
            found["metadata"]["labels"][_LABEL + role.joins] = "true"
        if role.gathers:
            chosen = [{"matchLabels": {_LABEL + role.gathers: "true"}}]
            found["aggregationRule"] = {"clusterRoleSelectors": chosen}
        rules = (*role.rules, _EVENTS) if role.events else role.rules
        yield found | {"rules": [_rule(rule) for rule in rules]}


def cluster_role_bindings() -> Iterator[dict[str, Any]]:
    """Every default ClusterRoleBinding."""
    for name, role in _roles().items():
        subjects = [_subject("User", user) for user in role.users]
        subjects += [_subject("Group", group) for group in role.groups]
        subjects += [
            {"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}
            for account in role.accounts
        ]
        if subjects or role.is_bound:
            yield {
                "apiVersion": _API,
                "kind": "ClusterRoleBinding",
                "metadata": _metadata(name),
                "subjects": subjects,
                "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
            }


def _rule(words: Sequence[str]) -> dict[str, Any]:
    verbs = [verb for word in words[0].split() for verb in _WORDS.get(word, (word,))]
    if len(words) == 2:
        return {"nonResourceURLs": words[1].split(), "verbs": verbs}
    rule = {
        "apiGroups": ["" if group == "core" else group for group in words[1].split()],
        "resources": words[2].split(),
        "verbs": verbs,
    }
    return rule if len(words) == 3 else {**rule, "resourceNames": words[3].split()}


def _subject(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": _GROUP, "kind": kind, "name": name}


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
