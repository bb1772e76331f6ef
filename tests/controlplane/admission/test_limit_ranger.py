"""Defaults and bounds of a namespace (kube-behaviour 8.3)."""

from typing import Any

import pytest

from controlplane.admission import limit_ranger
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from tests.controlplane.apiserver.asked import container, demanding, pod, resource, review

PODS, CLAIMS = resource("pods"), resource("persistentvolumeclaims")


def limits(kind: str = "Container", name: str = "l", **item: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"limits": [{"type": kind, **item}]},
    }


def filled(found: Object, *ranges: Object) -> Any:
    return limit_ranger.mutate(review("CREATE", PODS, *ranges), found)


def faults(found: Object, *ranges: Object, kind: Any = PODS, operation: str = "CREATE") -> str:
    """What is wrong; empty if nothing is."""
    try:
        limit_ranger.validate(review(operation, kind, *ranges), found)
    except ApiError as error:
        return f"{error.code} {error.message}"
    return ""


def test_defaults_are_filled_in_where_nothing_is_said() -> None:
    """8.3."""
    both = limits(default={"cpu": "1"}, defaultRequest={"cpu": "100m", "memory": "1Gi"})
    found = filled(pod(container("a"), initContainers=[container("i")]), both)
    wanted = {"limits": {"cpu": "1"}, "requests": {"cpu": "100m", "memory": "1Gi"}}
    assert found["spec"]["containers"][0]["resources"] == wanted
    assert found["spec"]["initContainers"][0]["resources"] == wanted


def test_what_is_said_stays() -> None:
    both = limits(default={"cpu": "1"}, defaultRequest={"cpu": "100m"})
    stated = demanding("a", requests={"cpu": "2"}, limits={"cpu": "3"})
    assert filled(pod(stated), both) == pod(stated)


def test_who_states_a_limit_is_not_given_a_request_below_it() -> None:
    found = filled(pod(demanding("a", limits={"cpu": "2"})), limits(defaultRequest={"cpu": "100m"}))
    assert found["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}


def test_what_was_set_is_noted() -> None:
    found = filled(pod(container("a")), limits(default={"memory": "1Gi", "cpu": "1"}))
    notes = found["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert notes.startswith("LimitRanger plugin set: ")
    assert "cpu, memory limit for container a" in notes
    assert "annotations" not in filled(pod(container("a")), limits())["metadata"]


def test_other_namespaces_and_writes_are_not_filled_in() -> None:
    defaults = limits(default={"cpu": "1"})
    bare = pod(container("a"))
    for asked in (
        review("UPDATE", PODS, defaults, old=bare),
        review("CREATE", PODS, defaults, namespace="bank"),
        review("CREATE", PODS, defaults, subresource="eviction"),
        review("CREATE", resource("configmaps"), defaults),
    ):
        assert limit_ranger.mutate(asked, bare) is bare


# --------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("item", "stated", "told"),
    [
        ({"min": {"cpu": "1"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}, ""),
        (
            {"min": {"cpu": "1"}},
            {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}},
            "minimum cpu usage per Container is 1, but request is 500m",
        ),
        (
            {"min": {"cpu": "1"}},
            {},
            "minimum cpu usage per Container is 1.  No request is specified",
        ),
        (
            {"max": {"memory": "1Gi"}},
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        ),
        (
            {"max": {"memory": "1Gi"}},
            {"requests": {"memory": "1Gi"}},
            "maximum memory usage per Container is 1Gi.  No limit is specified",
        ),
        ({"max": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}, "limits": {"cpu": "1.0"}}, ""),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
            "",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}},
            "ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"limits": {"cpu": "1"}, "requests": {"cpu": "0"}},
            "ratio per Container is 2, but no request is specified or request is 0",
        ),
    ],
)
def test_bounds_of_a_container(item: Any, stated: Any, told: str) -> None:
    """8.3."""
    found = faults(pod(demanding("a", **stated)), limits(**item))
    assert found.endswith(told) if told else not found
    assert not told or found.startswith('403 pods "a" is forbidden: ')


def test_each_container_is_judged_alone_and_a_pod_as_a_whole() -> None:
    small = demanding("a", requests={"cpu": "600m"}, limits={"cpu": "600m"})
    two = pod(small, {**small, "name": "b"})
    assert faults(two, limits(max={"cpu": "1"})) == ""
    assert "maximum cpu usage per Pod is 1, but limit is 1200m" in faults(
        two, limits("Pod", max={"cpu": "1"})
    )


def test_all_broken_bounds_are_told() -> None:
    """8.3."""
    big = demanding(
        "a", requests={"cpu": "9", "memory": "9Gi"}, limits={"cpu": "9", "memory": "9Gi"}
    )
    found = faults(pod(big), limits(max={"cpu": "1", "memory": "1Gi"}))
    assert "is forbidden: [maximum" in found
    assert "maximum cpu usage" in found
    assert "maximum memory usage" in found


def test_what_was_there_before_the_bounds_may_be_changed_and_let_go() -> None:
    """Containers of a pod do not change, so its finalizers must be removable at any size."""
    huge = pod(demanding("a", limits={"cpu": "9"}))
    bounds = limits(max={"cpu": "1"}), limits("Pod", "l2", max={"cpu": "1"})
    assert faults(huge, *bounds)
    asked = review("UPDATE", PODS, *bounds, old=huge)
    limit_ranger.validate(asked, huge)


def claim(storage: str, **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "namespace": "shop", **metadata},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }


def test_bounds_of_a_claim_are_of_its_request() -> None:
    """8.3."""
    item = limits("PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "5Gi"})
    assert faults(claim("2Gi"), item, kind=CLAIMS) == ""
    assert "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi" in faults(
        claim("512Mi"), item, kind=CLAIMS
    )
    assert "maximum storage usage per PersistentVolumeClaim is 5Gi" in faults(
        claim("10Gi"), item, kind=CLAIMS, operation="UPDATE"
    )


def test_a_claim_that_is_to_go_is_let_go() -> None:
    item = limits("PersistentVolumeClaim", max={"storage": "5Gi"})
    going = claim("10Gi", deletionTimestamp="2026-01-01T00:00:00Z")
    limit_ranger.validate(review("UPDATE", CLAIMS, item, old=going), going)
