"""The policy follows the cache, change by change (kube-behaviour 11.3)."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.apiserver import recent
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.cacher import PREFIX, Cacher
from controlplane.apiserver.rbac import RBAC_GROUP, Attributes, Policy
from controlplane.apiserver.users import User
from controlplane.encryption import Encryption
from kvstore.client import Client, connect
from tests.controlplane.apiserver.asked import registry
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_rbac import READ_PODS, binding, role, subject

BOB = User(name="bob", groups=("devs",))
PLURALS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
SPACES, NAMES = ("", "a", "b"), ("x", "y")


class World:
    """A cache that nothing feeds but the test, and who follows it."""

    def __init__(self, cacher: Cacher) -> None:
        self.cacher = cacher
        self.authorizer = Authorizer(cacher)
        self.stored: dict[str, dict[str, Any]] = {}

    def write(self, plural: str, found: dict[str, Any] | bytes, *, at: str) -> None:
        raw = found if isinstance(found, bytes) else orjson.dumps(found)
        self._apply(f"{PREFIX}{RBAC_GROUP}/{plural}/{at}", raw)
        if isinstance(found, dict):
            self.stored[f"{plural}/{at}"] = found

    def delete(self, plural: str, *, at: str) -> None:
        self._apply(f"{PREFIX}{RBAC_GROUP}/{plural}/{at}", None)
        self.stored.pop(f"{plural}/{at}", None)

    def _apply(self, key: str, raw: bytes | None) -> None:
        revision = self.cacher.cache.revision + 1
        self.cacher.cache.apply([(key, raw, revision)], revision)

    def may(self, verb: str, namespace: str) -> bool:
        asked = Attributes(verb=verb, resource="pods", namespace=namespace)
        return self.authorizer.allows(BOB, asked)

    @property
    def built_anew(self) -> Policy:
        def all_of(plural: str) -> list[dict[str, Any]]:
            return [one for at, one in self.stored.items() if at.startswith(f"{plural}/")]

        return Policy(
            roles=all_of("roles"),
            cluster_roles=all_of("clusterroles"),
            role_bindings=all_of("rolebindings"),
            cluster_role_bindings=all_of("clusterrolebindings"),
        )


@contextmanager
def world() -> Iterator[World]:
    yield World(Cacher(connect(["127.0.0.1:1"]), registry(), Encryption(())))


def place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def written(plural: str, namespace: str, name: str, choice: int) -> dict[str, Any]:
    """One of a few objects that may stand in a place."""
    if plural.endswith("roles"):
        verbs = [[], ["get"], ["list"], ["get", "list"]][choice]
        return role(name, {**READ_PODS, "verbs": verbs}, namespace=namespace)
    whom = [
        (),
        (subject("User", "bob"),),
        (subject("Group", "devs"), subject("Group", "devs")),
        (subject("User", "eve"), subject("ServiceAccount", "s")),
    ][choice]
    kind = "Role" if namespace and choice % 2 else "ClusterRole"
    return binding(name, *whom, namespace=namespace, kind=kind)


steps = st.tuples(
    st.sampled_from(PLURALS),
    st.sampled_from(SPACES[1:]),
    st.sampled_from(NAMES),
    st.sampled_from([None, 0, 1, 2, 3]),
    st.booleans(),
)


@given(st.lists(steps, max_size=30))
def test_what_holds_is_what_a_policy_that_is_built_anew_says(
    sequence: list[tuple[str, str, str, int | None, bool]],
) -> None:
    with world() as one:
        for plural, space, name, choice, looks in sequence:
            namespace = "" if plural.startswith("cluster") else space
            if choice is None:
                one.delete(plural, at=place(namespace, name))
            else:
                found = written(plural, namespace, name, choice)
                one.write(plural, found, at=place(namespace, name))
            if looks:
                assert_same(one.authorizer.policy, one.built_anew)
        assert_same(one.authorizer.policy, one.built_anew)


def assert_same(followed: Policy, anew: Policy) -> None:
    account = User(name="system:serviceaccount:a:s")
    for user in (BOB, User(name="eve"), account):
        for namespace in SPACES:
            rules = [set(policy.rules_for(user, namespace)) for policy in (followed, anew)]
            assert rules[0] == rules[1], (user.name, namespace)


def test_a_change_of_one_role_leaves_the_others_as_they_were_parsed() -> None:
    with world() as one:
        for name in ("x", "y"):
            one.write("clusterroles", role(name, READ_PODS), at=name)
        before = one.authorizer.policy.rules_at(("", "y"))
        one.write("clusterroles", role("x"), at="x")
        one.write("clusterrolebindings", binding("y", subject("User", "bob")), at="y")
        assert one.authorizer.policy.rules_at(("", "x")) == ()
        assert one.authorizer.policy.rules_at(("", "y")) is before
        assert one.may("get", "a")


def forget_changes(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_COUNT_MAX", 0)


def list_again(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one.cacher.generation += 1


@pytest.mark.parametrize("lose", [forget_changes, list_again])
def test_who_has_missed_changes_looks_at_everything_again(
    lose: Callable[[World, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world() as one:
        one.write("clusterroles", role("x", READ_PODS), at="x")
        one.write("clusterrolebindings", binding("x", subject("User", "bob")), at="x")
        assert one.may("get", "a")
        lose(one, monkeypatch)
        one.delete("clusterrolebindings", at="x")
        assert not one.may("get", "a")


@pytest.mark.parametrize(
    ("plural", "field", "value"),
    [
        ("clusterroles", "rules", 5),
        ("clusterroles", "rules", [{"verbs": 5}]),
        ("clusterroles", "rules", ["get"]),
        ("clusterroles", "rules", [{**READ_PODS, "verbs": "*"}]),
        ("clusterroles", "rules", [{**READ_PODS, "resources": "*"}]),
        ("clusterrolebindings", "subjects", 7),
        ("clusterrolebindings", "subjects", ["bob"]),
        ("clusterrolebindings", "roleRef", "x"),
    ],
)
def test_what_says_nothing_valid_gives_no_rights_and_takes_none_of_others(
    plural: str, field: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has written past the API server: every request would fail otherwise."""
    with world() as one, caplog.at_level(logging.ERROR):
        for name, verb in (("x", "get"), ("y", "list")):
            rules = {**READ_PODS, "verbs": [verb]}
            one.write("clusterroles", role(name, rules), at=name)
            one.write("clusterrolebindings", binding(name, subject("User", "bob")), at=name)
        assert one.may("get", "a")
        good = one.stored[f"{plural}/x"]
        one.write(plural, {**good, field: value}, at="x")
        assert not one.may("get", "a")
        assert one.may("list", "a")
        assert f"{plural}/x gives no rights" in caplog.text
        one.write(plural, good, at="x")
        assert one.may("get", "a")


@pytest.mark.parametrize("plural", ["clusterroles", "clusterrolebindings"])
def test_what_cannot_be_read_gives_no_rights_any_more(plural: str) -> None:
    with world() as one:
        one.write("clusterroles", role("x", READ_PODS), at="x")
        one.write("clusterrolebindings", binding("x", subject("User", "bob")), at="x")
        assert one.may("get", "a")
        good = one.stored[f"{plural}/x"]
        one.write(plural, b"{", at="x")
        assert not one.may("get", "a")
        one.write(plural, good, at="x")
        assert one.may("get", "a")


def test_a_rule_of_paths_that_are_none_stops_nobody() -> None:
    """Every request of whom it is bound to would fail otherwise."""
    with world() as one:
        paths = {"verbs": ["get"], "nonResourceURLs": [5, None, "/version"]}
        one.write("clusterroles", role("x", paths), at="x")
        one.write("clusterrolebindings", binding("x", subject("User", "bob")), at="x")
        for path, may in (("/version", True), ("/healthz", False)):
            assert one.authorizer.allows(BOB, Attributes(verb="get", path=path)) is may


def test_a_binding_is_of_the_namespace_of_its_key() -> None:
    """Put past the API server: it may say another one, whose role is not for here."""
    with world() as one:
        there = role("x", READ_PODS, namespace="b")
        one.write("roles", there, at="b/x")
        lying = binding("x", subject("User", "bob"), namespace="b", kind="Role")
        one.write("rolebindings", lying, at="a/x")
        assert not one.may("get", "a")
        one.write("roles", role("x", READ_PODS, namespace="a"), at="a/x")
        assert one.may("get", "a")


async def test_a_broken_role_in_the_store_stops_nobody(api: Api, client: Client) -> None:
    resource = registry().find(RBAC_GROUP, "v1", "clusterroles")
    assert resource is not None
    await api.good("GET", "/version", user="bob")
    broken = {"apiVersion": resource.api_version, "kind": "ClusterRole", "rules": [{"verbs": 1}]}
    key = resource.key("", "broken")
    raw = orjson.dumps({**broken, "metadata": {"name": "broken", "uid": "u"}})
    await client.put(key, raw)
    await api.assembly.cacher.current()
    await api.good("GET", "/version", user="bob")
    await client.delete(key)
