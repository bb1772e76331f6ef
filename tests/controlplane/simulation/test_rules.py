"""Every promise, broken in a history that is written by hand; and kept in one beside it."""

from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.node.runtime.interface import Container, ContainerConfig, Sandbox, SandboxConfig
from controlplane.simulation import convergence
from controlplane.simulation.addresses import Addresses
from controlplane.simulation.bindings import Bindings
from controlplane.simulation.budgets import Budgets
from controlplane.simulation.convergence import Machine
from controlplane.simulation.ledger import Recent
from controlplane.simulation.rules import CALM_SECONDS, STALE_SECONDS
from controlplane.simulation.sizes import Sizes, bounds
from kvstore.testing.history import ViolationError
from tests.controlplane.simulation.histories import GOING, History, job, obj, pod


def _node(*, cpu: str = "2", **spec: Any) -> dict[str, Any]:
    return obj("Node", "n", spec=spec, status={"allocatable": {"cpu": cpu, "pods": "9"}})


def _deployment(replicas: int, surge: int = 1, unavailable: int = 0) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return obj("Deployment", "web", spec={"replicas": replicas, "strategy": strategy})


def _replica_set(name: str, replicas: int, available: int = 0) -> dict[str, Any]:
    status = {"availableReplicas": available}
    return obj("ReplicaSet", name, owner="web", spec={"replicas": replicas}, status=status)


# ------------------------------------------------------------------------- bindings


def test_a_pod_stays_where_it_was_bound() -> None:
    history = History(Bindings())
    history.put(_node(), {**_node(), "metadata": {"name": "m", "uid": "m"}})
    history.put(pod("a"))
    history.put(pod("a", "n"))
    history.put(pod("a", "n"))
    with pytest.raises(ViolationError, match="moved from n to m"):
        history.put(pod("a", "m"))


def test_a_node_gets_no_more_than_it_has_and_what_has_ended_gives_room() -> None:
    history = History(Bindings())
    history.put(_node(cpu="2"))
    for name in "ab":
        history.put(pod(name))
        history.put(pod(name, "n"))
    history.put(pod("a", "n", phase="Succeeded"))
    history.put(pod("c", "n"))
    with pytest.raises(ViolationError, match="3000 of 2000 cpu"):
        history.put(pod("d", "n"))


@pytest.mark.parametrize("taint", [False, True])
def test_a_node_that_takes_no_pods_gets_none_once_that_must_be_known(taint: bool) -> None:
    held = {"taints": [{"key": "k", "effect": "NoSchedule"}]} if taint else {"unschedulable": True}
    for calm_at, seconds in ((None, STALE_SECONDS), (0.0, CALM_SECONDS)):
        history = History(Bindings(), calm_at=calm_at)
        history.put(_node())
        history.put(_node(**held))
        history.put(pod("a", "n"), after_seconds=seconds - 1)
        with pytest.raises(ViolationError, match="took no pods"):
            history.put(pod("b", "n"), after_seconds=2)


def test_who_is_to_go_is_not_bound() -> None:
    history = History(Bindings())
    history.put(_node())
    with pytest.raises(ViolationError, match="being deleted"):
        history.put(pod("a", "n", deletionTimestamp=GOING))


# ---------------------------------------------------------------------------- sizes


def test_replica_sets_want_no_more_than_surge_allows() -> None:
    history = History(Sizes())
    history.put(_deployment(3, surge=1))
    history.put(_replica_set("old", 3))
    history.put(_replica_set("new", 1))
    with pytest.raises(ViolationError, match="want 5 pods, of 4 allowed"):
        history.put(_replica_set("new", 2))


def test_what_was_allowed_a_moment_ago_is_allowed_until_that_must_be_known() -> None:
    for calm_at, seconds in ((None, STALE_SECONDS), (0.0, CALM_SECONDS)):
        history = History(Sizes(), calm_at=calm_at)
        history.put(_deployment(5, surge=1))
        history.put(_replica_set("old", 1))
        history.put(_deployment(1, surge=1))
        history.put(_replica_set("old", 6), after_seconds=seconds - 1)
        history.put(_replica_set("old", 1))
        with pytest.raises(ViolationError, match="want 6 pods, of 2 allowed"):
            history.put(_replica_set("old", 6), after_seconds=seconds)


def test_a_replica_set_makes_no_more_pods_than_it_wants() -> None:
    history = History(Sizes())
    history.put(_deployment(2))
    history.put(_replica_set("new", 2))
    history.put(pod("a", owner="new"))
    history.put(pod("b", owner="new"))
    history.put(pod("b", owner="new", phase="Failed"))
    history.put(pod("c", owner="new"))
    with pytest.raises(ViolationError, match="3 pods of one ReplicaSet that wants 2"):
        history.put(pod("d", owner="new"))


def test_what_serves_nobody_may_go_and_what_is_needed_may_not() -> None:
    history = History(Sizes())
    history.put(_deployment(3, surge=1, unavailable=1))
    history.put(_replica_set("old", 3, available=2))
    history.put(_replica_set("new", 1))
    history.put(_replica_set("old", 2, available=2))
    with pytest.raises(ViolationError, match="leaves 1 available pods, of 2 needed"):
        history.put(_replica_set("old", 1, available=2))


def test_deployment_that_is_made_smaller_takes_what_is_too_much_from_whoever_serves() -> None:
    history = History(Sizes(), calm_at=0.0)
    history.put(_deployment(3, surge=1))
    history.put(_replica_set("old", 3, available=2))
    history.put(_replica_set("new", 1))
    history.put(_deployment(2, surge=1))
    history.put(_replica_set("old", 2, available=2), after_seconds=CALM_SECONDS)
    with pytest.raises(ViolationError, match="leaves 1 available pods, of 2 needed"):
        history.put(_replica_set("old", 1, available=2))


def test_bounds_are_those_of_kubernetes() -> None:
    """4.3."""
    rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
    spec = {"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    assert [bounds({**spec, "replicas": count}) for count in (10, 3, 1, 0)] == [
        (13, 8),
        (4, 3),
        (2, 1),
        (0, 0),
    ]
    assert bounds({"strategy": {"type": "Recreate"}, "replicas": 3}) == (3, 0)


# -------------------------------------------------------------------------- budgets


def _budget(allowed: int, *names: str, needed: int = 1) -> Any:
    status = {
        "disruptionsAllowed": allowed,
        "desiredHealthy": needed,
        "disruptedPods": dict.fromkeys(names, "2023-11-14T22:13:20Z"),
    }
    selector = {"matchLabels": {"app": "web"}}
    return obj("PodDisruptionBudget", "b", spec={"selector": selector}, status=status)


def _evicted(name: str) -> Any:
    gone = pod(name, labels={"app": "web"})
    said = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    status = gone["status"]
    return {**gone, "status": {**status, "conditions": [*status["conditions"], said]}}


def test_a_budget_gives_no_more_than_it_has() -> None:
    history = History(Budgets())
    history.put(_budget(1))
    history.put(_budget(0, "a"))
    with pytest.raises(ViolationError, match="had 0, has 0, and let 1 go"):
        history.put(_budget(0, "a", "b"))


def test_nobody_is_evicted_whom_the_budget_does_not_know() -> None:
    history = History(Budgets())
    history.put(_budget(1), *(pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(0, "a"))
    history.put(_evicted("a"))
    with pytest.raises(ViolationError, match="knows nothing of it"):
        history.put(_evicted("b"))


def test_in_calm_so_many_stay_as_are_needed() -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(9, needed=2), *(pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(8, "a", needed=2))
    history.put(_evicted("a"))
    with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
        history.put(_budget(7, "a", "b", needed=2))


@pytest.mark.parametrize("seconds", [1.0, CALM_SECONDS + 1.0])
def test_a_pod_that_a_controller_has_just_removed_may_still_be_counted(seconds: float) -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(1, needed=2), *(pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(pod("c", labels={"app": "web"}, deletionTimestamp=GOING))
    if seconds > CALM_SECONDS:
        with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
            history.put(_budget(0, "a", needed=2), after_seconds=seconds)
    else:
        history.put(_budget(0, "a", needed=2), after_seconds=seconds)


def test_a_pod_that_was_evicted_is_not_counted_again() -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(9, needed=2), *(pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(8, "a", needed=2))
    history.put(_evicted("a"))
    history.remove(_evicted("a"))
    with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
        history.put(_budget(7, "b", needed=2))


# ---------------------------------------------------------------- addresses, times


def test_an_address_is_of_one_service_at_a_time() -> None:
    history = History(Addresses())
    first, second = (obj("Service", name, spec={"clusterIP": "10.0.0.1"}) for name in "ab")
    history.put(first)
    history.remove(first)
    history.put(second)
    with pytest.raises(ViolationError, match=r"10\.0\.0\.1 is of"):
        history.put(first)


def test_recent_tells_what_was_then_and_since() -> None:
    recent = Recent()
    for at, value in ((1.0, 1), (2.0, 2), (2.0, 2), (5.0, 3)):
        recent.note(at, value)
    assert recent.since(0.0) == [1, 2, 3]
    assert recent.since(3.0) == [2, 3]
    assert recent.since(9.0) == [3]


# ---------------------------------------------------------------------- convergence


def _settled() -> History:
    """A namespace, a node that is ready, a pod on it."""
    history = History(Addresses())
    node = _node()
    history.put({**node, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    history.put(obj("Namespace", "shop", spec={}))
    history.put(pod("a", "n"))
    return history


def _machine(*uids: str) -> Machine:
    sandboxes = [
        Sandbox(
            id=uid,
            config=SandboxConfig(uid=uid, name="a", namespace="shop", attempt=0, log_folder=""),
            is_ready=True,
            address="",
            created_at=0.0,
        )
        for uid in uids
    ]
    config = ContainerConfig(name="c", attempt=0, image="i", log_path="")
    containers = [
        Container(
            id=f"c of {uid}",
            sandbox_id=uid,
            config=config,
            state="running",
            image_id="i",
            created_at=0.0,
        )
        for uid in uids
    ]
    return Machine("n", sandboxes, containers, frozenset(uids))


def _amiss(history: History, *uids: str) -> list[str]:
    return list(convergence.amiss(history.ledger, [_machine(*uids)]))


def test_all_is_as_it_should_be() -> None:
    assert not _amiss(_settled(), "uid of a")


def test_a_container_without_a_pod_and_a_pod_without_its_container_are_amiss() -> None:
    assert _amiss(_settled(), "uid of a", "stray") == [
        "n has something of pod stray, which is not its"
    ]
    assert "n runs None of Pod shop/a" in _amiss(_settled())[0]


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (pod("b", "m", deletionTimestamp=GOING), "does not go"),
        (pod("b", "m", owner="nobody"), "left of an owner"),
        (pod("b", "m", namespace="gone"), "left of a namespace"),
        (job(), "has not ended"),
        (obj("Node", "m", spec={"taints": [{}]}), "takes no pods"),
        (
            obj(
                "Deployment",
                "web",
                spec={
                    "replicas": 1,
                    "revisionHistoryLimit": 2,
                    "template": {"spec": {"containers": [{"image": "i"}]}},
                },
            ),
            "was not looked at",
        ),
    ],
)
def test_what_is_left_is_amiss(obj: Mapping[str, Any], told: str) -> None:
    history = _settled()
    history.put(obj)
    assert any(told in one for one in _amiss(history, "uid of a"))
