"""Nothing new where all is going (kube-behaviour 3.1)."""

from typing import Any

import pytest

from controlplane import admission
from controlplane.admission import namespace_lifecycle
from controlplane.api.errors import ApiError
from tests.controlplane.apiserver.asked import resource, review

PODS, MAPS, NAMESPACES = resource("pods"), resource("configmaps"), resource("namespaces")
FOUND: dict[str, Any] = {"metadata": {"name": "a", "namespace": "shop"}}


def namespace(phase: str = "Active") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop"},
        "status": {"phase": phase},
    }


def refused(*asked: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        namespace_lifecycle.mutate(*asked)
    return caught.value


def test_an_absent_namespace_is_404() -> None:
    """3.1."""
    error = refused(review("CREATE", MAPS), FOUND)
    assert (error.code, error.message) == (404, 'namespaces "shop" not found')


def test_a_terminating_namespace_is_403_with_its_cause() -> None:
    """3.1."""
    error = refused(review("CREATE", MAPS, namespace("Terminating")), FOUND)
    assert error.code == 403
    assert error.message == (
        'configmaps "a" is forbidden: unable to create new content in namespace shop because it '
        "is being terminated"
    )
    (cause,) = error.causes
    assert (cause.reason, cause.field) == ("NamespaceTerminating", "metadata.namespace")


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
def test_what_is_there_may_be_changed_and_deleted(operation: str) -> None:
    asked = review(operation, MAPS, namespace("Terminating"), old=FOUND)
    assert namespace_lifecycle.mutate(asked, FOUND) is FOUND


def test_what_is_in_no_namespace_is_free() -> None:
    namespace_lifecycle.mutate(review("CREATE", resource("nodes")), FOUND)
    namespace_lifecycle.mutate(review("CREATE", NAMESPACES), FOUND)


def test_a_namespace_without_a_status_is_active() -> None:
    bare = {key: value for key, value in namespace().items() if key != "status"}
    namespace_lifecycle.mutate(review("CREATE", MAPS, bare), FOUND)


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_the_first_namespaces_stay(name: str) -> None:
    """3.1."""
    error = refused(review("DELETE", NAMESPACES, name=name), {})
    assert error.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


def test_other_namespaces_may_go() -> None:
    for name in ("kube-node-lease", "shop"):
        namespace_lifecycle.mutate(review("DELETE", NAMESPACES, name=name), {})


def test_a_pod_is_refused_for_its_namespace_before_anything_is_looked_up_in_it() -> None:
    """11.4: the order of the plug-ins."""
    with pytest.raises(ApiError) as caught:
        admission.mutate(review("CREATE", PODS), FOUND)
    assert (caught.value.code, caught.value.kind) == (404, "namespaces")


def test_what_is_created_holds_on_to_the_namespace_as_it_was_seen() -> None:
    """Or the namespace might be swept, and gone, between this look and the write."""
    found = namespace()
    found["metadata"]["resourceVersion"] = "17"
    asked = review("CREATE", MAPS, found)
    namespace_lifecycle.mutate(asked, FOUND)
    (claim,) = asked.claims
    assert (claim.key, claim.value, claim.expected) == (
        b"/registry/core/namespaces/shop",
        None,
        17,
    )
