"""Nothing new of a definition that is deleted (kube-behaviour 11.7)."""

from typing import Any

import msgspec
import pytest

from controlplane.admission import definition_lifecycle
from controlplane.api.errors import ApiError
from controlplane.objects import Claim
from tests.controlplane.apiserver.asked import resource, review
from tests.controlplane.kinds import WIDGETS

CUSTOM = msgspec.structs.replace(WIDGETS, is_custom=True)
NAME = f"{CUSTOM.plural}.{CUSTOM.group}"
FOUND: dict[str, Any] = {"metadata": {"name": "a", "namespace": "shop"}}


def definition(**metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "resourceVersion": "7", **metadata},
    }


def refused(asked: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        definition_lifecycle.mutate(asked, FOUND)
    return caught.value


def test_nothing_is_created_while_the_definition_is_terminating() -> None:
    gone = definition(deletionTimestamp="2026-01-02T03:04:05Z")
    error = refused(review("CREATE", CUSTOM, gone))
    assert (error.code, error.reason) == (405, "MethodNotAllowed")
    assert error.message == ("create not allowed while custom resource definition is terminating")


def test_what_has_no_definition_any_more_is_404() -> None:
    assert refused(review("CREATE", CUSTOM)).code == 404


def test_a_create_holds_on_to_the_definition() -> None:
    asked = review("CREATE", CUSTOM, definition())
    assert definition_lifecycle.mutate(asked, FOUND) is FOUND
    key = f"/registry/apiextensions.k8s.io/customresourcedefinitions/{NAME}"
    assert asked.claims == [Claim(key=key.encode(), value=None, expected=7)]


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
def test_what_is_there_may_be_changed_and_deleted(operation: str) -> None:
    gone = definition(deletionTimestamp="2026-01-02T03:04:05Z")
    asked = review(operation, CUSTOM, gone, old=FOUND)
    assert definition_lifecycle.mutate(asked, FOUND) is FOUND
    assert asked.claims == []


def test_built_in_kinds_have_none() -> None:
    asked = review("CREATE", resource("configmaps"))
    assert definition_lifecycle.mutate(asked, FOUND) is FOUND
