"""Nobody grants what is not theirs (kube-behaviour 11.3)."""

from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver.escalation import Escalation
from controlplane.apiserver.rbac import Attributes
from tests.controlplane.apiserver.asked import ALICE, MASTER, resource
from tests.controlplane.apiserver.policies import RBAC, Kept, bound, cluster_role, role, rule

CLUSTER_ROLES, ROLES = resource("clusterroles", RBAC), resource("roles", RBAC)
BINDINGS, CLUSTER_BINDINGS = resource("rolebindings", RBAC), resource("clusterrolebindings", RBAC)
READ = rule("get", "pods")
AGGREGATION = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}


def given(*rules: dict[str, Any], namespace: str = "", more: Any = ()) -> Escalation:
    """What alice has."""
    own = cluster_role("own", *rules)
    return Escalation(Kept(own, bound("own", "alice", namespace), *more).authorizer)


def refused(escalation: Escalation, *asked: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        escalation.require(ALICE, *asked)
    return caught.value


def test_a_role_of_ones_own_rights_may_be_made() -> None:
    escalation = given(rule("get list", "pods"))
    escalation.require(ALICE, CLUSTER_ROLES, cluster_role("new", READ), None)
    escalation.require(ALICE, ROLES, role("new", "shop", READ), None)


def test_a_role_of_more_rights_is_refused_in_kubernetes_words() -> None:
    error = refused(given(READ), ROLES, role("new", "shop", rule("get delete", "pods")), None)
    assert (error.code, error.reason) == (403, "Forbidden")
    assert error.message == (
        'roles.rbac.authorization.k8s.io "new" is forbidden: user "alice" '
        '(groups=["devs" "system:authenticated"]) is attempting to grant RBAC permissions not '
        'currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'
    )


def test_what_is_missing_of_one_resource_is_told_in_one_line() -> None:
    wanted = [rule("watch list get", "secrets"), rule("get", "configmaps")]
    error = refused(given(READ), ROLES, role("new", "shop", *wanted), None)
    assert error.message.endswith(
        'not currently held:\n{APIGroups:[""], Resources:["configmaps"], Verbs:["get"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["watch" "list" "get"]}'
    )


def test_a_small_role_that_grants_millions_is_judged_at_once() -> None:
    """Broken down to single rights, it would keep the API server from everybody else."""
    words = [" ".join(f"{word}{number}" for number in range(300)) for word in ("v", "r", "g")]
    verbs, resources, groups = (word.split() for word in words)
    wide = {"verbs": verbs, "resources": resources, "apiGroups": groups}
    wanted = role("new", "shop", wide)
    assert len(refused(given(READ), ROLES, wanted, None).message) < 100_000
    long_word = rule("v" * 50_000, " ".join(resources))
    assert len(refused(given(READ), ROLES, role("new", "shop", long_word), None).message) < 200_000
    # Who has all of it in one rule is not asked for each right.
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    given(everything).require(ALICE, ROLES, wanted, None)
    # Who has it in several would have to be.
    halves = [{**wide, "verbs": verbs[:150]}, {**wide, "verbs": verbs[150:]}]
    error = refused(given(*halves), ROLES, wanted, None)
    assert "it grants more than can be compared with what you have" in error.message


def test_repeated_words_of_a_role_grant_no_more() -> None:
    again = {"verbs": ["get"] * 300, "resources": ["pods"] * 300, "apiGroups": [""] * 300}
    held = [rule("get", "pods", names="a"), rule("get", "pods", names="b")]
    named = {**again, "resourceNames": ["a", "b"] * 100}
    given(*held).require(ALICE, ROLES, role("new", "shop", named), None)
    refused(given(*held), ROLES, role("new", "shop", again), None)


def test_rights_of_a_namespace_make_roles_of_this_namespace_only() -> None:
    escalation = given(READ, namespace="shop")
    escalation.require(ALICE, ROLES, role("new", "shop", READ), None)
    refused(escalation, ROLES, role("new", "bank", READ), None)
    refused(escalation, CLUSTER_ROLES, cluster_role("new", READ), None)


def test_an_update_that_leaves_the_rules_is_free() -> None:
    old = cluster_role("x", rule("*", "secrets"))
    labelled = {**old, "metadata": {"name": "x", "labels": {"a": "b"}}}
    given().require(ALICE, CLUSTER_ROLES, labelled, old)
    refused(given(), CLUSTER_ROLES, cluster_role("x", rule("*", "pods")), old)


def test_who_may_escalate_a_role_may_write_anything_into_it() -> None:
    escalation = given(rule("escalate", "clusterroles", RBAC, names="x"))
    escalation.require(ALICE, CLUSTER_ROLES, cluster_role("x", rule("*", "secrets")), None)
    refused(escalation, CLUSTER_ROLES, cluster_role("y", rule("*", "secrets")), None)


def test_an_aggregation_rule_takes_all_rights_whatever_it_gathers_now() -> None:
    wanted = cluster_role("new", aggregationRule=AGGREGATION)
    error = refused(given(READ), CLUSTER_ROLES, wanted, None)
    assert "must have cluster-admin privileges to use the aggregationRule" in error.message
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    refused(given({**everything, "verbs": ["get", "create"]}), CLUSTER_ROLES, wanted, None)
    given(everything, paths).require(ALICE, CLUSTER_ROLES, wanted, None)
    given(rule("escalate", "clusterroles", RBAC)).require(ALICE, CLUSTER_ROLES, wanted, None)


def test_an_aggregation_rule_is_neither_changed_nor_taken_away_without_all_rights() -> None:
    old = cluster_role("x", aggregationRule=AGGREGATION)
    refused(given(), CLUSTER_ROLES, cluster_role("x"), old)
    other = {"clusterRoleSelectors": [{"matchLabels": {"a": "c"}}]}
    refused(given(), CLUSTER_ROLES, cluster_role("x", aggregationRule=other), old)
    labelled = {**old, "metadata": {"name": "x", "labels": {"a": "b"}}}
    given().require(ALICE, CLUSTER_ROLES, labelled, old)


def test_a_binding_to_a_role_that_one_does_not_have_is_refused() -> None:
    escalation = given(READ, more=[cluster_role("wide", rule("*", "secrets"))])
    escalation.require(ALICE, CLUSTER_BINDINGS, bound("own", "bob"), None)
    refused(escalation, CLUSTER_BINDINGS, bound("wide", "bob"), None)
    refused(escalation, BINDINGS, bound("wide", "bob", "shop"), None)


def test_who_may_bind_a_role_may_give_it_to_anybody() -> None:
    wide = cluster_role("wide", rule("*", "secrets"))
    escalation = given(rule("bind", "clusterroles", RBAC, names="wide"), more=[wide])
    escalation.require(ALICE, CLUSTER_BINDINGS, bound("wide", "bob"), None)
    # `bind` in a namespace holds for bindings of this namespace.
    narrow = given(rule("bind", "clusterroles", RBAC), namespace="shop", more=[wide])
    narrow.require(ALICE, BINDINGS, bound("wide", "bob", "shop"), None)
    refused(narrow, BINDINGS, bound("wide", "bob", "bank"), None)
    refused(narrow, CLUSTER_BINDINGS, bound("wide", "bob"), None)


def test_a_binding_to_a_role_that_is_not_there_is_404_but_for_masters() -> None:
    error = refused(given(READ), CLUSTER_BINDINGS, bound("gone", "bob"), None)
    assert (error.code, error.kind, error.name) == (404, "clusterroles", "gone")
    error = refused(given(READ), BINDINGS, bound("gone", "bob", "shop", "Role"), None)
    assert (error.code, error.kind) == (404, "roles")
    given().require(MASTER, CLUSTER_BINDINGS, bound("gone", "bob"), None)


def test_new_subjects_of_a_binding_are_judged_and_other_changes_are_not() -> None:
    escalation = given(more=[cluster_role("wide", rule("*", "secrets"))])
    old = bound("wide", "bob")
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    escalation.require(ALICE, CLUSTER_BINDINGS, labelled, old)
    refused(escalation, CLUSTER_BINDINGS, {**old, "subjects": []}, old)


def test_other_kinds_are_not_looked_at() -> None:
    given().require(ALICE, resource("pods"), {"metadata": {"name": "a"}}, None)


def test_the_policy_follows_the_cache() -> None:
    """Bindings count as soon as they are in the cache, and no longer than they are."""
    given_ = bound("own", "alice")
    kept = Kept(cluster_role("own", READ))
    authorizer = kept.authorizer
    asked = Attributes(verb="get", resource="pods", name="a", namespace="shop")
    assert not authorizer.allows(ALICE, asked)
    kept.put(given_)
    assert authorizer.allows(ALICE, asked)
    kept.put(cluster_role("own", rule("list", "pods")))
    assert not authorizer.allows(ALICE, asked)
    kept.put(cluster_role("own", READ))
    kept.delete(given_)
    with pytest.raises(ApiError, match='pods "a" is forbidden: User "alice" cannot get') as caught:
        authorizer.require(ALICE, asked)
    assert caught.value.code == 403


def test_a_path_is_refused_without_a_resource() -> None:
    with pytest.raises(ApiError) as caught:
        Kept().authorizer.require(ALICE, Attributes(verb="get", path="/metrics"))
    assert caught.value.message == 'forbidden: User "alice" cannot get path "/metrics"'
    assert "details" not in caught.value.status
