"""Rules, bindings and who may grant what (kube-behaviour 11.3)."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.apiserver import rbac
from controlplane.apiserver.rbac import Attributes, Policy, Rule, rule_of
from controlplane.apiserver.users import User, service_account
from tests.controlplane.apiserver.asked import MASTER

BOB = User(name="bob", groups=("devs",))


def role(name: str, *rules: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "rules": list(rules)}


def binding(
    name: str, *subjects: dict[str, Any], namespace: str = "", kind: str = "ClusterRole"
) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "metadata": metadata,
        "roleRef": {"kind": kind, "name": name},
        "subjects": list(subjects),
    }


def subject(kind: str, name: str, **more: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, **more}


READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


def asked(verb: str, resource: str, namespace: str = "", name: str = "", group: str = "") -> Any:
    return Attributes(verb=verb, group=group, resource=resource, namespace=namespace, name=name)


# ------------------------------------------------------------------- rules, 11.3


@pytest.mark.parametrize(
    ("pattern", "wanted", "is_allowed"),
    [
        ("pods", "pods", True),
        ("pods", "pods/log", False),  # a sub-resource is a right of its own
        ("pods/log", "pods/log", True),
        ("pods/log", "pods", False),
        ("*", "pods/log", True),
        ("*/scale", "deployments/scale", True),
        ("*/scale", "scale", False),
        ("*/scale", "deployments/status", False),
        ("pods/*", "pods/exec", False),  # no pattern of RBAC: only `*/sub` is one
        ("pod", "pods", False),
    ],
)
def test_a_resource_matches_itself_a_star_or_a_star_before_its_subresource(
    pattern: str, wanted: str, is_allowed: bool
) -> None:
    rule = Rule(verbs=("get",), groups=("",), resources=(pattern,))
    assert rule.allows(asked("get", wanted)) is is_allowed


@pytest.mark.parametrize(
    ("pattern", "path", "is_allowed"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/etcd", False),
        ("/healthz/*", "/healthz/etcd", True),
        ("/healthz/*", "/healthz", False),
        ("*", "/metrics", True),
        ("/api*", "/apis/apps", True),
        ("/metrics", "//metrics", False),
    ],
)
def test_a_path_matches_itself_or_a_prefix_before_a_star(
    pattern: str, path: str, is_allowed: bool
) -> None:
    rule = Rule(verbs=("get",), paths=(pattern,))
    assert rule.allows(Attributes(verb="get", path=path)) is is_allowed


def test_a_rule_with_names_allows_nothing_that_has_none() -> None:
    rule = rule_of({**READ_PODS, "verbs": ["*"], "resourceNames": ["a"]})
    assert rule.allows(asked("get", "pods", name="a"))
    assert not rule.allows(asked("get", "pods", name="b"))
    assert not rule.allows(asked("create", "pods"))
    assert not rule.allows(asked("list", "pods"))


def test_a_rule_of_resources_says_nothing_of_paths_and_the_other_way_round() -> None:
    everything = Rule(verbs=("*",), groups=("*",), resources=("*",))
    assert not everything.allows(Attributes(verb="get", path="/metrics"))
    assert not Rule(verbs=("*",), paths=("*",)).allows(asked("get", "pods"))


def test_groups_are_told_apart() -> None:
    rule = Rule(verbs=("get",), groups=("apps",), resources=("*",))
    assert rule.allows(asked("get", "deployments", group="apps"))
    assert not rule.allows(asked("get", "pods", group=""))


# ------------------------------------------------------------------------ bindings


def test_a_role_binding_gives_a_cluster_role_in_its_namespace_only() -> None:
    policy = Policy(
        cluster_roles=[role("viewer", READ_PODS)],
        role_bindings=[binding("viewer", subject("User", "bob"), namespace="shop")],
    )
    assert policy.allows(BOB, asked("get", "pods", "shop"))
    assert not policy.allows(BOB, asked("get", "pods", "bank"))
    assert not policy.allows(BOB, asked("list", "pods"))  # of all namespaces together
    assert not policy.allows(User(name="eve"), asked("get", "pods", "shop"))


def test_a_role_of_another_namespace_is_not_meant() -> None:
    policy = Policy(
        roles=[role("viewer", READ_PODS, namespace="bank")],
        role_bindings=[
            binding("viewer", subject("User", "bob"), namespace="shop", kind="Role"),
        ],
    )
    assert not policy.allows(BOB, asked("get", "pods", "shop"))
    assert not policy.allows(BOB, asked("get", "pods", "bank"))


def test_a_role_does_not_stand_for_the_cluster_role_of_its_name() -> None:
    policy = Policy(
        cluster_roles=[role("viewer", READ_PODS)],
        role_bindings=[binding("viewer", subject("User", "bob"), namespace="shop", kind="Role")],
    )
    assert not policy.allows(BOB, asked("get", "pods", "shop"))


def test_a_binding_of_paths_in_a_namespace_gives_none() -> None:
    rules = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    policy = Policy(
        cluster_roles=[role("metrics", rules)],
        role_bindings=[binding("metrics", subject("User", "bob"), namespace="shop")],
    )
    assert not policy.allows(BOB, Attributes(verb="get", path="/metrics"))


def test_groups_and_service_accounts_are_subjects() -> None:
    policy = Policy(
        cluster_roles=[role("viewer", READ_PODS)],
        cluster_role_bindings=[
            binding(
                "viewer",
                subject("Group", "devs"),
                subject("ServiceAccount", "robot", namespace="shop"),
                subject("Robot", "eve"),
            )
        ],
    )
    assert policy.allows(BOB, asked("get", "pods", "anywhere"))
    robot = service_account("shop", "robot", "uid")
    assert policy.allows(robot, asked("get", "pods", "anywhere"))
    assert not policy.allows(service_account("bank", "robot", "uid"), asked("get", "pods"))
    assert not policy.allows(User(name="eve"), asked("get", "pods"))
    # A user called as the group is not in it, nor is a group the user of its name.
    assert not policy.allows(User(name="devs"), asked("get", "pods"))


def test_a_binding_to_a_role_that_is_gone_gives_nothing() -> None:
    policy = Policy(cluster_role_bindings=[binding("gone", subject("User", "bob"))])
    assert not policy.allows(BOB, asked("get", "pods"))
    assert policy.rules_at(("", "gone")) is None


def test_nulls_are_read_as_nothing() -> None:
    policy = Policy(
        cluster_roles=[{"metadata": {"name": "empty"}, "rules": None}],
        cluster_role_bindings=[
            {"metadata": {"name": "x"}, "roleRef": {"kind": "ClusterRole", "name": "empty"}},
            binding("empty", subject("User", "bob")),
        ],
    )
    assert not policy.allows(BOB, asked("get", "pods"))
    assert rule_of({"verbs": None, "resources": None}) == Rule(verbs=())


def test_masters_may_everything_though_no_rule_says_so() -> None:
    policy = Policy()
    assert policy.allows(MASTER, asked("delete", "nodes"))
    assert policy.missing(MASTER, "", [Rule(verbs=("*",), groups=("*",), resources=("*",))]) == []


# ------------------------------------------------- missing: against brute force, 11.3

_VERBS, _GROUPS = ("get", "list"), ("", "apps")
_RESOURCES, _NAMES = ("pods", "pods/log", "services", "services/log"), ("a", "b", "")
_PATHS = ("/a", "/a/b", "/c")
_EVERYTHING_ASKED = [
    Attributes(verb=verb, group=group, resource=resource, name=name)
    for verb, group, resource, name in product(_VERBS, _GROUPS, _RESOURCES, _NAMES)
] + [Attributes(verb=verb, path=path) for verb, path in product(_VERBS, _PATHS)]


def _some(*values: str) -> Any:
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


_RULES = st.one_of(
    st.builds(
        Rule,
        verbs=_some("*", *_VERBS),
        groups=_some("*", *_GROUPS),
        resources=_some("*", "*/log", "pods/*", *_RESOURCES),
        names=_some(*_NAMES),
    ),
    st.builds(Rule, verbs=_some("*", *_VERBS), paths=_some("*", "/a*", "/a/*", *_PATHS)),
)


def _policy(own: list[Rule]) -> Policy:
    return Policy(
        cluster_roles=[{"metadata": {"name": "own"}, "rules": [rule.told for rule in own]}],
        cluster_role_bindings=[binding("own", subject("User", "bob"))],
    )


@given(own=st.lists(_RULES, max_size=3), wanted=st.lists(_RULES, min_size=1, max_size=2))
def test_who_misses_nothing_gains_nothing(own: list[Rule], wanted: list[Rule]) -> None:
    """Soundness: what is granted without a refusal was held before, request by request."""
    policy = _policy(own)
    if policy.missing(BOB, "", wanted):
        return
    for one in _EVERYTHING_ASKED:
        if any(rule.allows(one) for rule in wanted):
            assert policy.allows(BOB, one), one


@given(rules=st.lists(_RULES, min_size=1, max_size=3))
def test_nobody_misses_what_he_has(rules: list[Rule]) -> None:
    assert _policy(rules).missing(BOB, "", rules) == []


def test_what_is_missing_is_told_as_single_rights() -> None:
    own = [Rule(verbs=("get",), groups=("",), resources=("pods",))]
    wanted = [Rule(verbs=("get", "list"), groups=("",), resources=("pods",))]
    (missing,) = _policy(own).missing(BOB, "", wanted)
    assert missing == Rule(verbs=("list",), groups=("",), resources=("pods",))


def test_rights_of_a_namespace_do_not_cover_the_cluster() -> None:
    policy = Policy(
        cluster_roles=[role("viewer", READ_PODS)],
        role_bindings=[binding("viewer", subject("User", "bob"), namespace="shop")],
    )
    wanted = [rule_of(READ_PODS)]
    assert policy.missing(BOB, "shop", wanted) == []
    assert len(policy.missing(BOB, "", wanted)) == 2
    assert len(policy.missing(BOB, "bank", wanted)) == 2


# ------------------------------------------------------------------------ words


def test_refusals_are_told_in_kubernetes_words() -> None:
    """11.3."""
    assert rbac.refusal(BOB, asked("list", "pods", "d")) == (
        'User "bob" cannot list resource "pods" in API group "" in the namespace "d"'
    )
    assert rbac.refusal(BOB, asked("get", "nodes")) == (
        'User "bob" cannot get resource "nodes" in API group "" at the cluster scope'
    )
    assert rbac.refusal(BOB, Attributes(verb="get", path="/metrics")) == (
        'User "bob" cannot get path "/metrics"'
    )


@given(rule=_RULES)
def test_a_rule_is_what_its_json_says(rule: Rule) -> None:
    assert rule_of(rule.told) == rule
