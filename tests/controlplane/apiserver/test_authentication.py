"""Who asks, and whom they act for (kube-behaviour 11.1, 11.2)."""

from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.errors import ApiError
from controlplane.apiserver.authentication import (
    GOING_SECONDS_MAX,
    Authenticator,
    impersonated,
)
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import User, service_account_of
from tests.controlplane.apiserver.asked import NOW, incoming
from tests.controlplane.test_tokens import ACCOUNT, issued, tokens

BOB = User(name="bob", uid="7", groups=("devs",))
TOKENS = tokens()
Found = dict[tuple[str, str, str], Mapping[str, Any]]


def pod(uid: str = "pod-uid", **metadata: object) -> Mapping[str, Any]:
    return {"metadata": {"name": "a", "namespace": "shop", "uid": uid, **metadata}}


def authenticator(found: Found | None = None, *, allows_anonymous: bool = True) -> Authenticator:
    known: Found = {("serviceaccounts", "shop", "robot"): ACCOUNT, **(found or {})}
    return Authenticator(
        TOKENS,
        lambda plural, namespace, name: known.get((plural, namespace, name)),
        static_tokens={"s3cret": BOB},
        allows_anonymous=allows_anonymous,
        now=lambda: NOW,
    )


def who(**headers: Any) -> User:
    return authenticator().identify(incoming(**headers))


def is_refused(by: Authenticator, token: str) -> bool:
    try:
        by.identify(incoming(authorization=f"Bearer {token}"))
    except ApiError as error:
        return (error.code, error.reason, error.message) == (401, "Unauthorized", "Unauthorized")
    return False


def test_a_certificate_names_a_user_and_groups() -> None:
    user = who(certificate=[("O", "devs"), ("CN", "carol"), ("O", "ops"), ("OU", "x")])
    assert (user.name, user.groups) == ("carol", ("devs", "ops", "system:authenticated"))


def test_a_certificate_without_a_name_is_nobodys() -> None:
    with pytest.raises(ApiError) as caught:
        who(certificate=[("O", "system:masters")])
    assert caught.value.code == 401


def test_a_certificate_goes_before_a_token() -> None:
    assert who(certificate=[("CN", "carol")], authorization="Bearer s3cret").name == "carol"


def test_a_static_token_names_its_user() -> None:
    user = who(authorization="Bearer s3cret")
    assert (user.name, user.uid, user.groups) == ("bob", "7", ("devs", "system:authenticated"))
    assert who(authorization="bearer   s3cret ").name == "bob"


def test_a_service_account_shows_its_token() -> None:
    user = who(authorization=f"Bearer {issued(TOKENS)}")
    assert user.name == "system:serviceaccount:shop:robot"
    assert user.uid == "account-uid"
    assert user.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:shop",
        "system:authenticated",
    )
    assert user.extra["authentication.kubernetes.io/credential-id"] == ("JTI=id-1",)


def test_a_wrong_token_is_401_and_not_anonymous() -> None:
    for text in ("x", "s3cre", "s3cret x", "a.b.c", "s3cret\nBearer s3cret", "\udcff"):
        assert is_refused(authenticator(), text), text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Ym9iOmJvYg=="])
def test_who_shows_nothing_is_anonymous_where_that_is_allowed(header: str) -> None:
    user = who(authorization=header)
    assert (user.name, user.groups) == ("system:anonymous", ("system:unauthenticated",))
    with pytest.raises(ApiError) as caught:
        authenticator(allows_anonymous=False).identify(incoming(authorization=header))
    assert caught.value.code == 401


# ---------------------------------------------------------------- bound tokens, 11.2


def bound(kind: str = "Pod", uid: str = "pod-uid") -> str:
    return issued(TOKENS, bound={"kind": kind, "name": "a", "uid": uid})


def test_a_token_ends_with_its_account() -> None:
    token = issued(TOKENS)
    assert not is_refused(authenticator(), token)
    gone: Any = {("serviceaccounts", "shop", "robot"): None}
    assert is_refused(authenticator(gone), token)
    another = {"metadata": {**ACCOUNT["metadata"], "uid": "another"}}
    assert is_refused(authenticator({("serviceaccounts", "shop", "robot"): another}), token)


def test_a_token_ends_with_the_pod_that_it_is_bound_to() -> None:
    place = ("pods", "shop", "a")
    assert not is_refused(authenticator({place: pod()}), bound())
    assert is_refused(authenticator(), bound())
    assert is_refused(authenticator({place: pod("another")}), bound())
    # A pod of this name in another namespace is not it.
    assert is_refused(authenticator({("pods", "bank", "a"): pod()}), bound())


def test_a_token_bound_to_a_node_looks_for_it_in_no_namespace() -> None:
    assert not is_refused(authenticator({("nodes", "", "a"): pod("n")}), bound("Node", "n"))
    assert is_refused(authenticator({("nodes", "shop", "a"): pod("n")}), bound("Node", "n"))


@pytest.mark.parametrize(("age", "is_over"), [(GOING_SECONDS_MAX - 1, False), (61.0, True)])
def test_a_pod_that_should_be_gone_keeps_its_tokens_for_a_minute(age: float, is_over: bool) -> None:
    """… whatever finalizers it has."""
    going = pod(deletionTimestamp=meta.rfc3339(NOW - age))
    assert is_refused(authenticator({("pods", "shop", "a"): going}), bound()) is is_over


def test_the_pod_of_a_token_is_told() -> None:
    by = authenticator({("pods", "shop", "a"): pod()})
    user = by.identify(incoming(authorization=f"Bearer {bound()}"))
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("a",)
    assert user.extra["authentication.kubernetes.io/pod-uid"] == ("pod-uid",)


# ------------------------------------------------------------------- audiences, 11.2


def test_a_static_token_is_for_us_only() -> None:
    """Somebody who asks about it for an audience of his own must not take it."""
    by = authenticator()
    assert by.user_of_token("s3cret") == BOB
    assert by.user_of_token("s3cret", ("api", "vault")) == BOB
    assert by.audiences_of("s3cret", ("api", "vault")) == ("api",)
    with pytest.raises(ApiError):
        by.user_of_token("s3cret", ("vault",))


def test_audiences_are_those_asked_for_that_the_token_has() -> None:
    by, token = authenticator(), issued(TOKENS, audiences=("vault", "bank"))
    assert by.user_of_token(token, ("x", "vault")).name == "system:serviceaccount:shop:robot"
    assert by.audiences_of(token, ("x", "vault")) == ("vault",)
    with pytest.raises(ApiError):
        by.user_of_token(token)


# ---------------------------------------------------------------- impersonation, 11.1


def acted(**headers: Any) -> tuple[User, list[Attributes]]:
    found = impersonated(incoming(**{f"impersonate_{key}": text for key, text in headers.items()}))
    assert found is not None
    return found


def test_nobody_is_impersonated_by_default() -> None:
    assert impersonated(incoming()) is None


def test_acting_for_a_user_takes_the_right_to_it_and_to_every_group() -> None:
    user, needed = acted(user="carol", group="ops\ndevs", uid="5")
    assert (user.name, user.uid) == ("carol", "5")
    assert user.groups == ("ops", "devs", "system:authenticated")
    api = "authentication.k8s.io"
    assert needed == [
        Attributes(verb="impersonate", resource="users", name="carol"),
        Attributes(verb="impersonate", resource="groups", name="ops"),
        Attributes(verb="impersonate", resource="groups", name="devs"),
        Attributes(verb="impersonate", group=api, resource="uids", name="5"),
    ]


def test_acting_for_a_service_account_takes_the_right_to_it_and_brings_its_groups() -> None:
    user, needed = acted(user="system:serviceaccount:shop:robot")
    assert user.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:shop",
        "system:authenticated",
    )
    assert needed == [
        Attributes(verb="impersonate", resource="serviceaccounts", namespace="shop", name="robot")
    ]


def test_extras_are_rights_of_their_own_and_their_names_percent_encoded() -> None:
    """Kubernetes' documentation, "User impersonation": `Impersonate-Extra-` and the encoded key."""
    user, needed = acted(user="carol", **{"extra-acme.com%2fproject": "x\ny"})
    assert user.extra == {"acme.com/project": ("x", "y")}
    api, resource = "authentication.k8s.io", "userextras/acme.com/project"
    assert needed[1:] == [
        Attributes(verb="impersonate", group=api, resource=resource, name=value)
        for value in ("x", "y")
    ]


def test_the_groups_of_everybody_are_not_both_ones() -> None:
    assert acted(user="system:anonymous")[0].groups == ("system:unauthenticated",)
    assert acted(user="system:anonymous", group="x")[0].groups == ("x", "system:unauthenticated")
    assert acted(user="carol", group="system:unauthenticated")[0].groups == (
        "system:unauthenticated",
    )
    assert acted(user="carol", group="system:authenticated")[0].groups == ("system:authenticated",)


@pytest.mark.parametrize("header", ["group", "uid", "extra-scopes"])
def test_more_than_a_user_needs_a_user(header: str) -> None:
    with pytest.raises(ApiError, match="without impersonating a user"):
        acted(**{header: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "system:serviceaccount:shop",
        "system:serviceaccount:shop:",
        "system:serviceaccount::robot",
        "system:serviceaccount:shop:robot:x",
        "serviceaccount:shop:robot",
        "shop:robot",
    ],
)
def test_only_whole_names_are_service_accounts(name: str) -> None:
    assert service_account_of(name) is None
