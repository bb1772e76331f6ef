"""What a path and its parameters ask for (kube-behaviour 2.1)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import errors
from controlplane.api.errors import ApiError
from controlplane.apiserver.incoming import Answer, Query, Target, target_of


def target(method: str, path: str, query: str = "") -> Target | None:
    return target_of(method, path, Query(query))


def told(method: str, path: str, query: str = "") -> dict[str, Any]:
    """What is not empty of a target."""
    found = target(method, path, query)
    assert found is not None
    words = ("verb", "group", "version", "plural", "namespace", "name", "subresource", "rest")
    return {word: getattr(found, word) for word in words if getattr(found, word)}


PODS = {"version": "v1", "plural": "pods"}
APPS = {"group": "apps", "version": "v1", "plural": "deployments"}


@pytest.mark.parametrize(
    ("method", "verb"),
    [("GET", "list"), ("HEAD", "list"), ("POST", "create"), ("DELETE", "deletecollection")],
)
def test_verbs_of_a_collection(method: str, verb: str) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments"
    assert told(method, path) == {**APPS, "verb": verb, "namespace": "shop"}


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("GET", "get"),
        ("HEAD", "get"),
        ("PUT", "update"),
        ("PATCH", "patch"),
        ("DELETE", "delete"),
    ],
)
def test_verbs_of_an_object(method: str, verb: str) -> None:
    path = "/api/v1/namespaces/shop/pods/a"
    assert told(method, path) == {**PODS, "verb": verb, "namespace": "shop", "name": "a"}


def test_watch_is_a_verb_of_its_own() -> None:
    assert told("GET", "/api/v1/pods", "watch=true") == {**PODS, "verb": "watch"}
    assert told("GET", "/api/v1/pods", "watch") == {**PODS, "verb": "watch"}
    assert told("GET", "/api/v1/pods", "watch=false") == {**PODS, "verb": "list"}
    assert told("GET", "/api/v1/pods", "watch=0") == {**PODS, "verb": "list"}
    # Nobody turns a write into a watch.
    assert told("DELETE", "/api/v1/pods", "watch=true")["verb"] == "deletecollection"


def test_subresources_are_told_from_objects() -> None:
    found = target("GET", "/api/v1/namespaces/shop/pods/a/log")
    assert found is not None
    assert (found.subresource, found.resource) == ("log", "pods/log")
    assert told("GET", "/api/v1/nodes/n/proxy/a/b")["rest"] == "a/b"


def test_a_namespace_is_in_itself() -> None:
    """RBAC: who has a role in a namespace may get the namespace."""
    assert told("GET", "/api/v1/namespaces/shop") == {
        "version": "v1",
        "plural": "namespaces",
        "verb": "get",
        "namespace": "shop",
        "name": "shop",
    }
    assert told("PUT", "/api/v1/namespaces/shop/finalize")["subresource"] == "finalize"
    assert told("PUT", "/api/v1/namespaces/shop/status")["subresource"] == "status"
    assert told("GET", "/api/v1/namespaces") == {
        "version": "v1",
        "plural": "namespaces",
        "verb": "list",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/apisx/apps/v1/deployments",
        "/metrics/v1/pods",
        # an empty namespace is none, and not all of them
        "/api/v1/namespaces//pods",
        "/api/v1/namespaces//pods/a",
        "/api/v1/pods//log",
        # another object's key
        "/api/v1/namespaces/shop/pods/a%2Fb",
        "/api/v1/namespaces/a%2Fb/pods/c",
    ],
)
def test_what_is_no_resource(path: str) -> None:
    assert target("GET", path) is None


def test_names_are_percent_decoded_once() -> None:
    name = "system%3Anode-proxier"
    assert told("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")["name"] == (
        "system:node-proxier"
    )
    assert told("GET", "/api/v1/nodes/a%252Fb")["name"] == "a%2Fb"


@given(st.text(max_size=30), st.sampled_from(("GET", "POST", "PUT", "DELETE", "BREW")))
def test_no_path_is_an_error_or_names_another_place(text: str, method: str) -> None:
    found = target(method, f"/api/v1/namespaces/shop/{text}")
    if found is not None and found.plural != "namespaces":
        assert found.namespace == "shop"
        assert "/" not in found.name


def test_an_unknown_method_has_no_verb() -> None:
    found = target("BREW", "/api/v1/pods")
    assert found is not None
    assert found.verb == ""


# ---------------------------------------------------------------------- parameters


def test_parameters() -> None:
    query = Query("a=1&a=2&b=&c&limit=500&force=False&x=%C3%A4+b")
    assert query.text("a") == "1"
    assert query.texts("a") == ["1", "2"]
    assert (query.text("b"), query.text("none"), query.text("x")) == ("", "", "ä b")
    assert query.flag("c")
    assert not query.flag("force")
    assert not query.flag("none")
    assert query.number("limit") == 500
    assert query.number("none") == 0


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "٣", "²", "9" * 19, "1_000", "+1", " 1"])
def test_what_is_no_number_is_400(text: str) -> None:
    query = Query("")
    query._values["limit"] = [text]
    with pytest.raises(ApiError) as caught:
        query.number("limit")
    assert caught.value.code == 400


def test_too_many_parameters_are_400() -> None:
    with pytest.raises(ApiError) as caught:
        Query("&".join(f"a={number}" for number in range(5_000)))
    assert caught.value.code == 400


@given(st.text(max_size=50))
def test_any_query_is_read(text: str) -> None:
    Query(text).text("a")


# -------------------------------------------------------------------------- errors


def test_errors_are_answers() -> None:
    """2.18."""
    answer = Answer.of_error(errors.too_many_requests("later", retry_after_seconds=7))
    assert (answer.code, dict(answer.headers)["Retry-After"]) == (429, "7")
    assert b'"retryAfterSeconds":7' in answer.body
    assert dict(Answer.of_error(errors.unauthorized()).headers) == {
        "WWW-Authenticate": 'Bearer realm="kubernetes"'
    }
