"""Which requests are told of, and how much (kube-behaviour 11.10; audit.k8s.io/v1 Policy)."""

from typing import Any

import pytest
import yaml

from controlplane.apiserver.audit_policy import (
    EVERYTHING,
    NAMES,
    PANIC,
    REQUEST_RECEIVED,
    RESPONSE_STARTED,
    Chosen,
    Level,
    policy_of,
)
from controlplane.apiserver.incoming import Query, target_of
from controlplane.apiserver.users import User

BOB = User(name="bob", groups=("devs", "ops"))


def policy(*rules: dict[str, Any], **more: Any) -> bytes:
    whole = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}
    return yaml.safe_dump(whole).encode()


def chosen(
    *rules: dict[str, Any],
    method: str = "GET",
    path: str = "/api/v1/namespaces/shop/pods/web",
    user: User | None = BOB,
    **more: Any,
) -> Chosen:
    target = target_of(method, path, Query(""))
    verb = method.lower() if target is None else target.verb
    return policy_of(policy(*rules, **more)).choose(user, verb, target, path)


def is_matched(rule: dict[str, Any], **asked: Any) -> bool:
    return chosen({"level": "Metadata", **rule}, **asked).level is Level.METADATA


@pytest.mark.parametrize("name", ["None", "Metadata", "Request", "RequestResponse"])
def test_there_are_four_levels(name: str) -> None:
    """Row 11.10."""
    assert NAMES[chosen({"level": name}).level] == name


def test_the_first_rule_that_matches_counts_and_what_none_matches_is_not_told() -> None:
    first, second = {"level": "Request", "verbs": ["get"]}, {"level": "Metadata"}
    assert chosen(first, second).level is Level.REQUEST
    assert chosen(second, first).level is Level.METADATA
    assert chosen({"level": "Request", "verbs": ["delete"]}).level is Level.NONE


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        ({"users": ["bob"]}, True),
        ({"users": ["eve"]}, False),
        ({"userGroups": ["ops", "x"]}, True),
        ({"userGroups": ["x"]}, False),
        ({"verbs": ["get", "list"]}, True),
        ({"verbs": ["list"]}, False),
        ({"namespaces": ["shop"]}, True),
        ({"namespaces": [""]}, False),
        ({"resources": [{"group": ""}]}, True),
        ({"resources": [{"group": "apps"}]}, False),
        ({"resources": [{"resources": ["pods"]}]}, True),
        ({"resources": [{"resources": ["pods/log"]}]}, False),
        ({"resources": [{"resources": ["*"]}]}, True),
        ({"resources": [{"resources": ["pods"], "resourceNames": ["web"]}]}, True),
        ({"resources": [{"resources": ["pods"], "resourceNames": ["db"]}]}, False),
        ({"users": ["bob"], "verbs": ["list"]}, False),
        ({"nonResourceURLs": ["*"]}, False),
    ],
)
def test_everything_that_a_rule_names_must_match(rule: dict[str, Any], is_told: bool) -> None:
    assert is_matched(rule) is is_told


@pytest.mark.parametrize(
    ("pattern", "is_told"),
    [("pods/log", True), ("pods/*", True), ("*/log", True), ("*", True), ("pods", False)],
)
def test_a_subresource_is_named_with_its_resource_or_a_star(pattern: str, is_told: bool) -> None:
    path = "/api/v1/namespaces/shop/pods/web/log"
    assert is_matched({"resources": [{"resources": [pattern]}]}, path=path) is is_told


def test_the_empty_namespace_is_what_is_in_none() -> None:
    assert is_matched({"namespaces": [""]}, path="/api/v1/nodes/n1")


@pytest.mark.parametrize(
    ("pattern", "path", "is_told"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz*", "/healthz/etcd", True),
        ("*", "/metrics", True),
        ("/healthz", "/healthz/etcd", False),
    ],
)
def test_paths_that_are_no_resources(pattern: str, path: str, is_told: bool) -> None:
    assert is_matched({"nonResourceURLs": [pattern]}, path=path) is is_told
    assert not is_matched({"resources": [{"group": ""}]}, path=path)


def test_who_is_unknown_is_matched_by_no_rule_of_users() -> None:
    assert not is_matched({"users": [""]}, user=None)
    assert not is_matched({"userGroups": ["devs"]}, user=None)
    assert is_matched({}, user=None)


def test_stages_are_left_out_by_the_policy_and_by_the_rule() -> None:
    found = chosen({"level": "Metadata", "omitStages": [PANIC]}, omitStages=[REQUEST_RECEIVED])
    assert found.omitted == {PANIC, REQUEST_RECEIVED}


def test_managed_fields_are_left_out_as_the_rule_says_or_else_the_policy() -> None:
    assert not chosen({"level": "Request"}).omits_managed_fields
    assert chosen({"level": "Request"}, omitManagedFields=True).omits_managed_fields
    own = {"level": "Request", "omitManagedFields": False}
    assert not chosen(own, omitManagedFields=True).omits_managed_fields


def test_without_a_policy_no_body_is_told() -> None:
    target = target_of("GET", "/api/v1/namespaces/shop/secrets/s", Query(""))
    found = EVERYTHING.choose(BOB, "get", target, "/api/v1/namespaces/shop/secrets/s")
    assert found.level is Level.METADATA


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"a: [", "while parsing"),
        (b"", "Expected `object`"),
        (b"rules: []", "missing required field"),
        (policy(), "no rules"),
        (policy({"level": "All"}), "'All' is none of None, Metadata, Request"),
        (policy({"verbs": ["get"]}), "missing required field `level`"),
        (policy({"level": "None", "verb": ["get"]}), "unknown field `verb`"),
        (policy({"level": "None", "users": "bob"}), "Expected `array`"),
        (policy({"level": "None", "omitStages": ["End"]}), "rules[0].omitStages: 'End'"),
        (policy({"level": "None"}, omitStages=["End"]), "omitStages: 'End'"),
        (
            policy({"level": "None", "nonResourceURLs": ["/x"], "namespaces": ["y"]}),
            "resources or about nonResourceURLs",
        ),
        (policy({"level": "None", "nonResourceURLs": ["x"]}), "begins with /"),
        (policy({"level": "None", "nonResourceURLs": ["/x*y"]}), "may end with *"),
        (policy({"level": "None", "resources": [{"group": "apps/v1"}]}), "without a version"),
        (policy({"level": "None", "resources": [{"resourceNames": ["x"]}]}), "resourceNames"),
        (policy({"level": "None"}, kind="Event"), "kind Policy, please"),
        (policy({"level": "None"}, apiVersion="audit.k8s.io/v1beta1"), "audit.k8s.io/v1 and"),
    ],
)
def test_a_policy_that_says_nothing_valid_is_told(text: bytes, word: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is what is asserted
        policy_of(text)
    assert word in str(caught.value)


def test_the_stage_names_are_those_of_kubernetes() -> None:
    assert (REQUEST_RECEIVED, RESPONSE_STARTED) == ("RequestReceived", "ResponseStarted")
