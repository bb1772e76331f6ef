"""Quotas are never exceeded, however many write at once (kube-behaviour 8.2)."""

from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.admission import resource_quota
from controlplane.admission.review import Review
from controlplane.api import quantity
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from tests.controlplane.apiserver.asked import container, demanding, pod, resource, review

PODS, SERVICES = resource("pods"), resource("services")
QUOTA_KEY = b"/registry/core/resourcequotas/shop/q"


def quota(
    hard: dict[str, str], used: dict[str, str], name: str = "q", version: int = 7, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


def charged(found: Object, *quotas: Object, kind: Any = PODS, old: Any = None) -> dict[str, Any]:
    """Name of a quota -> what is used after the write."""
    asked = review("UPDATE" if old else "CREATE", kind, *quotas, old=old)
    resource_quota.validate(asked, found)
    claimed = [orjson.loads(claim.value or b"") for claim in asked.claims]
    return {one["metadata"]["name"]: one["status"]["used"] for one in claimed}


def refusal(found: Object, *quotas: Object, kind: Any = PODS, old: Any = None) -> str:
    with pytest.raises(ApiError) as caught:
        charged(found, *quotas, kind=kind, old=old)
    assert caught.value.code == 403
    return caught.value.message


def busy(cpu: str = "1", **spec: Any) -> dict[str, Any]:
    return pod(demanding(requests={"cpu": cpu}, limits={"cpu": cpu}), **spec)


# --------------------------------------------------------------------------- charges


def test_what_is_used_is_claimed_with_the_write() -> None:
    """8.2."""
    given_ = quota({"cpu": "4", "pods": "10"}, {"cpu": "500m", "pods": "1"})
    assert charged(busy(), given_) == {"q": {"cpu": "1500m", "pods": "2"}}
    asked = review("CREATE", PODS, given_)
    resource_quota.validate(asked, busy())
    (claim,) = asked.claims
    assert (claim.key, claim.expected) == (QUOTA_KEY, 7)
    kept = orjson.loads(claim.value or b"")
    assert "resourceVersion" not in kept["metadata"]
    assert kept["spec"] == given_["spec"]
    assert kept["status"]["hard"] == given_["status"]["hard"]


def test_a_quota_that_would_be_exceeded_refuses_in_kubernetes_words() -> None:
    """8.2."""
    given_ = quota({"cpu": "2", "pods": "10"}, {"cpu": "2", "pods": "2"})
    assert refusal(busy(), given_) == (
        'pods "a" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=2, limited: cpu=2'
    )


def test_a_quota_is_used_up_exactly() -> None:
    """8.2."""
    assert charged(busy("2"), quota({"cpu": "3"}, {"cpu": "1"})) == {"q": {"cpu": "3"}}
    refusal(busy("2001m"), quota({"cpu": "3"}, {"cpu": "1"}))


def test_every_quota_of_the_namespace_is_charged_and_any_refuses() -> None:
    wide, narrow = quota({"pods": "9"}, {"pods": "1"}), quota({"pods": "1"}, {"pods": "1"}, "r")
    assert charged(busy(), wide) == {"q": {"pods": "2"}}
    assert "exceeded quota: r" in refusal(busy(), wide, narrow)


def test_containers_that_state_nothing_are_refused_where_a_quota_counts() -> None:
    """8.2."""
    given_ = quota({"cpu": "4", "limits.memory": "1Gi"}, {"cpu": "0", "limits.memory": "0"})
    found = refusal(pod(container("a"), demanding("b", limits={"memory": "1Mi"})), given_)
    assert found == (
        'pods "a" is forbidden: failed quota: q: must specify cpu for: a,b; limits.memory for: a'
    )


def test_a_quota_whose_status_is_not_known_yet_refuses() -> None:
    assert "status unknown for quota: q, resources: pods" in refusal(
        busy(), quota({"pods": "5"}, {})
    )


def test_bytes_stay_in_the_format_of_the_quota() -> None:
    big = pod(demanding(requests={"memory": "1Gi"}))
    given_ = quota({"memory": "4Gi"}, {"memory": "512Mi"})
    assert charged(big, given_) == {"q": {"memory": "1536Mi"}}


def test_objects_are_counted_by_kind() -> None:
    deployments = resource("deployments", "apps")
    given_ = quota({"count/deployments.apps": "1"}, {"count/deployments.apps": "0"})
    found = {"metadata": {"name": "a"}, "spec": {}}
    assert charged(found, given_, kind=deployments) == {"q": {"count/deployments.apps": "1"}}
    full = quota({"count/deployments.apps": "1"}, {"count/deployments.apps": "1"})
    assert "exceeded quota" in refusal(found, full, kind=deployments)


def service(kind: str, ports: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"type": kind, "ports": [{"port": n + 1} for n in range(ports)]},
    }


def test_what_uses_nothing_of_a_quota_is_not_refused_by_it() -> None:
    """… also where more is used than there may be, since the quota was lowered."""
    over = quota({"services.nodeports": "1"}, {"services.nodeports": "5"})
    assert charged(service("ClusterIP"), over, kind=SERVICES) == {}
    claims = resource("persistentvolumeclaims")
    over = quota({"requests.storage": "1Gi"}, {"requests.storage": "5Gi"})
    empty = {"metadata": {"name": "a"}, "spec": {}}
    assert charged(empty, over, kind=claims) == {}


# --------------------------------------------------------------------------- updates


def test_an_update_is_charged_for_the_difference() -> None:
    given_ = quota({"services.nodeports": "3"}, {"services.nodeports": "1"})
    old, new = service("NodePort", 1), service("NodePort", 3)
    assert charged(new, given_, kind=SERVICES, old=old) == {"q": {"services.nodeports": "3"}}
    assert charged(old, given_, kind=SERVICES, old=new) == {}
    assert charged(new, given_, kind=SERVICES, old=new) == {}
    refusal(service("NodePort", 4), given_, kind=SERVICES, old=old)


def test_a_label_costs_nothing_though_the_quota_is_used_up() -> None:
    given_ = quota({"cpu": "1", "pods": "1"}, {"cpu": "1", "pods": "1"})
    assert charged(busy(), given_, old=busy()) == {}


def test_what_comes_into_the_scope_of_a_quota_is_charged_as_a_whole() -> None:
    given_ = quota({"pods": "2"}, {"pods": "1"}, scopes=["Terminating"])
    ending = busy(activeDeadlineSeconds=60)
    assert charged(ending, given_, old=busy()) == {"q": {"pods": "2"}}
    assert charged(ending, given_, old=ending) == {}
    full = quota({"pods": "1"}, {"pods": "1"}, scopes=["Terminating"])
    assert "exceeded quota" in refusal(ending, full, old=busy())


# ---------------------------------------------------------------------------- scopes


@pytest.mark.parametrize(
    ("spec", "found", "is_counted"),
    [
        ({"scopes": ["Terminating"]}, busy(activeDeadlineSeconds=1), True),
        ({"scopes": ["Terminating"]}, busy(), False),
        ({"scopes": ["NotTerminating"]}, busy(), True),
        ({"scopes": ["PriorityClass"]}, busy(priorityClassName="high"), True),
        ({"scopes": ["PriorityClass"]}, busy(), False),
        ({"scopes": ["Terminating", "PriorityClass"]}, busy(activeDeadlineSeconds=1), False),
    ],
)
def test_a_quota_counts_what_is_in_all_its_scopes(
    spec: Any, found: Object, is_counted: bool
) -> None:
    given_ = quota({"pods": "5"}, {"pods": "0"}, **spec)
    assert bool(charged(found, given_)) is is_counted


@pytest.mark.parametrize(
    ("operator", "values", "counted"),
    [
        ("In", ["high"], {"high"}),
        ("NotIn", ["high"], {"low", ""}),
        ("Exists", [], {"high", "low"}),
        ("DoesNotExist", [], {""}),
    ],
)
def test_priority_classes_are_selected(operator: str, values: Any, counted: set[str]) -> None:
    term = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    given_ = quota({"pods": "5"}, {"pods": "0"}, scopeSelector={"matchExpressions": [term]})
    names = {name for name in ("high", "low", "") if charged(busy(priorityClassName=name), given_)}
    assert names == counted


# ------------------------------------------------------------------- who is not charged


def test_others_are_not_charged() -> None:
    given_ = quota({"pods": "0", "count/pods": "0"}, {"pods": "0", "count/pods": "0"})
    for asked in (
        review("CREATE", PODS, given_, namespace="bank"),
        review("CREATE", PODS, given_, subresource="eviction"),
        review("DELETE", PODS, given_),
        review("CREATE", resource("nodes"), given_),
        review("UPDATE", resource("secrets"), given_, old={}),
    ):
        resource_quota.validate(asked, busy())
        assert asked.claims == []


# -------------------------------------------------------------------- interleavings


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(("1", "500m", "2"))), max_size=20))
def test_the_quota_holds_under_any_interleaving(steps: list[tuple[int, str]]) -> None:
    """Writers decide on what they have seen; the Txn compares the revision of the quota."""
    now = quota({"cpu": "4", "pods": "6"}, {"cpu": "0", "pods": "0"}, version=1)
    planned: dict[int, tuple[Review, str]] = {}
    written: list[str] = []
    for writer, cpu in steps:
        if writer not in planned:
            asked = review("CREATE", PODS, now)
            try:
                resource_quota.validate(asked, busy(cpu))
            except ApiError:
                continue
            planned[writer] = (asked, cpu)
            continue
        asked, amount = planned.pop(writer)
        (claim,) = asked.claims
        version = int(now["metadata"]["resourceVersion"])
        if claim.expected == version:
            kept = orjson.loads(claim.value or b"")
            kept["metadata"]["resourceVersion"] = str(version + 1)
            now = kept
            written.append(amount)
    used = sum(map(quantity.parse, written), Fraction(0))
    assert quantity.parse(now["status"]["used"]["cpu"]) == used <= 4
    assert int(now["status"]["used"]["pods"]) == len(written) <= 6
