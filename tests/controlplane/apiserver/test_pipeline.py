"""What becomes of an object before it is written: 2.12, 8.3, 8.6, 11.4."""

from collections.abc import Sequence
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.apiserver.admission.review import CREATE, Lister, Review
from controlplane.apiserver.pipeline import Pipeline
from controlplane.apiserver.users import User

RESOURCES = Registry.builtin()
LIMITS: dict[str, Any] = {
    "type": "Container",
    "default": {"cpu": "200m"},
    "defaultRequest": {"cpu": "100m"},
    "max": {"cpu": "1"},
}
KNOWN: dict[str, list[Object]] = {
    "namespaces": [{"metadata": {"name": "d"}, "status": {"phase": "Active"}}],
    "serviceaccounts": [{"metadata": {"name": "default", "namespace": "d"}}],
    "limitranges": [{"metadata": {"name": "l"}, "spec": {"limits": [LIMITS]}}],
}


def known(group: str, plural: str, namespace: str) -> Sequence[Object]:
    return KNOWN.get(plural, ())


def one_known(group: str, plural: str, namespace: str, name: str) -> Object | None:
    found = known(group, plural, namespace)
    return next((one for one in found if one["metadata"]["name"] == name), None)


def created(container: dict[str, Any]) -> Object:
    """A pod of one container, as it is to be stored."""
    resource = RESOURCES.find("", "v1", "pods")
    assert resource is not None
    review = Review(
        operation=CREATE,
        resource=resource,
        namespace="d",
        name="p",
        user=User(name="u"),
        lister=Lister(get=one_known, list=known),
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": [{"name": "c", "image": "i", **container}]},
    }
    return Pipeline(lambda _, found: found, lambda: "uid").created(review, pod, now=0)


def test_the_class_of_a_pod_counts_what_admission_gave_it() -> None:
    # 8.3, 8.6
    pod = created({})
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m"},
        "requests": {"cpu": "100m"},
    }
    assert pod["status"]["qosClass"] == "Burstable"


def test_a_broken_bound_is_told_once() -> None:
    # 8.3: a limit that is too high makes a request of the same size.
    with pytest.raises(ApiError) as refused:
        created({"resources": {"limits": {"cpu": "2"}}})
    assert refused.value.message == (
        'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2'
    )
