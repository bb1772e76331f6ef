"""Every promise, broken in a history that is written by hand; and kept in one beside it."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import orjson
import pytest

from controlplane.node.runtime.interface import Container, ContainerConfig, Sandbox, SandboxConfig
from controlplane.simulation import convergence
from controlplane.simulation.addresses import Addresses
from controlplane.simulation.bindings import Bindings
from controlplane.simulation.budgets import Budgets
from controlplane.simulation.convergence import Machine
from controlplane.simulation.jobs import Jobs, numbers_of
from controlplane.simulation.ledger import Ledger, Recent
from controlplane.simulation.rules import CALM_SECONDS, STALE_SECONDS, Moment, Rule
from controlplane.simulation.sizes import Sizes, bounds
from kvstore.testing.history import ViolationError

_GOING = "2023-11-14T22:13:20Z"
_PLURALS = {
    "Pod": "core/pods",
    "Node": "core/nodes",
    "Service": "core/services",
    "Namespace": "core/namespaces",
    "Deployment": "apps/deployments",
    "ReplicaSet": "apps/replicasets",
    "Job": "batch/jobs",
    "PodDisruptionBudget": "policy/poddisruptionbudgets",
}


class History:
    """Transactions that a rule sees, a second apart."""

    def __init__(self, rule: Rule, *, calm_at: float | None = None) -> None:
        self.rule = rule
        self.ledger = Ledger()
        self.moment = Moment(calm_at)
        self.at = 0.0

    def put(self, *objects: Mapping[str, Any], after_seconds: float = 1.0) -> None:
        self._see([(_key(one), orjson.dumps(one)) for one in objects], after_seconds)

    def remove(self, obj: Mapping[str, Any]) -> None:
        self._see([(_key(obj), None)], 1.0)

    def _see(self, events: list[tuple[bytes, bytes | None]], after_seconds: float) -> None:
        self.at += after_seconds
        step = self.ledger.apply(self.ledger.revision + 1, self.at, events)
        self.rule.see(step, self.ledger, self.moment)


def _key(obj: Mapping[str, Any]) -> bytes:
    metadata = obj["metadata"]
    place = [metadata["namespace"]] if metadata.get("namespace") else []
    return "/".join(["/registry", _PLURALS[obj["kind"]], *place, metadata["name"]]).encode()


def _obj(kind: str, name: str, *, owner: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid of {name}", "generation": 1}
    if kind not in ("Node", "Namespace"):
        metadata["namespace"] = "shop"
    metadata |= fields.pop("metadata", {})
    if owner:
        metadata["ownerReferences"] = [{"uid": f"uid of {owner}", "controller": True}]
    return {"kind": kind, "metadata": metadata, **fields}


def _node(*, cpu: str = "2", **spec: Any) -> dict[str, Any]:
    return _obj("Node", "n", spec=spec, status={"allocatable": {"cpu": cpu, "pods": "9"}})


def _pod(
    name: str, node: str = "", *, owner: str = "", phase: str = "Running", **metadata: Any
) -> Any:
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]
    spec = {"containers": containers, **({"nodeName": node} if node else {})}
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
    return _obj("Pod", name, owner=owner, metadata=metadata, spec=spec, status=status)


def _deployment(replicas: int, surge: int = 1, unavailable: int = 0) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return _obj("Deployment", "web", spec={"replicas": replicas, "strategy": strategy})


def _replica_set(name: str, replicas: int, available: int = 0) -> dict[str, Any]:
    status = {"availableReplicas": available}
    return _obj("ReplicaSet", name, owner="web", spec={"replicas": replicas}, status=status)


# ------------------------------------------------------------------------- bindings


def test_a_pod_stays_where_it_was_bound() -> None:
    history = History(Bindings())
    history.put(_node(), {**_node(), "metadata": {"name": "m", "uid": "m"}})
    history.put(_pod("a"))
    history.put(_pod("a", "n"))
    history.put(_pod("a", "n"))
    with pytest.raises(ViolationError, match="moved from n to m"):
        history.put(_pod("a", "m"))


def test_a_node_gets_no_more_than_it_has_and_what_has_ended_gives_room() -> None:
    history = History(Bindings())
    history.put(_node(cpu="2"))
    for name in "ab":
        history.put(_pod(name))
        history.put(_pod(name, "n"))
    history.put(_pod("a", "n", phase="Succeeded"))
    history.put(_pod("c", "n"))
    with pytest.raises(ViolationError, match="3000 of 2000 cpu"):
        history.put(_pod("d", "n"))


@pytest.mark.parametrize("taint", [False, True])
def test_a_node_that_takes_no_pods_gets_none_once_that_must_be_known(taint: bool) -> None:
    held = {"taints": [{"key": "k", "effect": "NoSchedule"}]} if taint else {"unschedulable": True}
    for calm_at, seconds in ((None, STALE_SECONDS), (0.0, CALM_SECONDS)):
        history = History(Bindings(), calm_at=calm_at)
        history.put(_node())
        history.put(_node(**held))
        history.put(_pod("a", "n"), after_seconds=seconds - 1)
        with pytest.raises(ViolationError, match="took no pods"):
            history.put(_pod("b", "n"), after_seconds=2)


def test_who_is_to_go_is_not_bound() -> None:
    history = History(Bindings())
    history.put(_node())
    with pytest.raises(ViolationError, match="being deleted"):
        history.put(_pod("a", "n", deletionTimestamp=_GOING))


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
    history.put(_pod("a", owner="new"))
    history.put(_pod("b", owner="new"))
    history.put(_pod("b", owner="new", phase="Failed"))
    history.put(_pod("c", owner="new"))
    with pytest.raises(ViolationError, match="3 pods of one ReplicaSet that wants 2"):
        history.put(_pod("d", owner="new"))


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


# ----------------------------------------------------------------------------- jobs


def _job(*, indexed: bool = True, done: bool = False, parallelism: int = 2, **status: Any) -> Any:
    mode = "Indexed" if indexed else "NonIndexed"
    if done:
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    spec = {"parallelism": parallelism, "completionMode": mode}
    return _obj("Job", "sum", spec=spec, status=status)


def _worker(name: str, index: int = 0, phase: str = "Running", **metadata: Any) -> Any:
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    finalizers = ["batch.kubernetes.io/job-tracking"]
    metadata |= {"annotations": annotations, "finalizers": finalizers}
    return _pod(name, owner="sum", phase=phase, **metadata)


def test_an_index_has_one_pod_at_a_time() -> None:
    history = History(Jobs())
    history.put(_job())
    history.put(_worker("a", 1))
    history.put(_worker("a", 1, phase="Failed"))
    history.put(_worker("b", 1))
    with pytest.raises(ViolationError, match="index 1 has b, c"):
        history.put(_worker("c", 1))


def test_no_more_pods_run_than_may_at_a_time() -> None:
    history = History(Jobs())
    history.put(_job(parallelism=2))
    history.put(_worker("a", 0))
    history.put(_worker("b", 1))
    with pytest.raises(ViolationError, match="3 of 2 at a time"):
        history.put(_worker("c", 2))


def test_what_is_counted_stays_counted() -> None:
    history = History(Jobs())
    history.put(_job(succeeded=2))
    with pytest.raises(ViolationError, match="had 2 succeeded, and now has 1"):
        history.put(_job(succeeded=1))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"succeeded": 1, "failed": 1, "completedIndexes": "0"}, ""),
        ({"succeeded": 2, "failed": 1, "completedIndexes": "0"}, "2 succeeded, it says"),
        ({"succeeded": 1, "completedIndexes": "0"}, "None failed, it says"),
        ({"succeeded": 1, "failed": 1, "completedIndexes": "1"}, "indexes"),
        ({"succeeded": 1, "failed": 1, "completedIndexes": "0", "active": 1}, "not counted all"),
    ],
)
def test_counts_are_what_the_history_tells(status: Mapping[str, Any], told: str) -> None:
    rule = Jobs()
    history = History(rule)
    history.put(_job())
    for name, phase in (("a", "Failed"), ("b", "Succeeded")):
        history.put(_worker(name))
        history.put(_worker(name, phase=phase))
        history.remove(_worker(name))
    history.put(_job(done=True, **status))
    if not told:
        rule.check_counts(history.ledger)
        return
    with pytest.raises(ViolationError, match=told):
        rule.check_counts(history.ledger)


def test_who_is_deleted_before_he_has_ended_has_failed() -> None:
    for status, is_right in (
        ({"failed": 1, "succeeded": 1}, True),
        ({"succeeded": 1}, False),
        ({"failed": 2}, False),
    ):
        rule = Jobs()
        history = History(rule)
        history.put(_job(indexed=False))
        history.put(_worker("a"))
        history.put(_worker("a", deletionTimestamp=_GOING))
        history.remove(_worker("a"))
        history.put(_worker("b"))
        history.put(_worker("b", phase="Succeeded"))
        history.put(_job(indexed=False, done=True, **status))
        with nullcontext() if is_right else pytest.raises(ViolationError, match="it says"):
            rule.check_counts(history.ledger)


def test_who_succeeds_after_all_counts_once() -> None:
    for status, is_right in (
        ({"failed": 1, "completedIndexes": ""}, True),
        ({"succeeded": 1, "completedIndexes": "0"}, True),
        ({"failed": 1, "succeeded": 1, "completedIndexes": "0"}, False),
        ({"completedIndexes": ""}, False),
    ):
        rule = Jobs()
        history = History(rule)
        history.put(_job())
        history.put(_worker("a"))
        history.put(_worker("a", deletionTimestamp=_GOING))
        history.put(_worker("a", deletionTimestamp=_GOING, phase="Succeeded"))
        history.put(_job(done=True, **status))
        with nullcontext() if is_right else pytest.raises(ViolationError, match="it counts"):
            rule.check_counts(history.ledger)


def test_indexes_are_read_as_they_are_written() -> None:
    assert numbers_of("") == []
    assert numbers_of("0-2,5") == [0, 1, 2, 5]


# -------------------------------------------------------------------------- budgets


def _budget(allowed: int, *names: str, needed: int = 1) -> Any:
    status = {
        "disruptionsAllowed": allowed,
        "desiredHealthy": needed,
        "disruptedPods": dict.fromkeys(names, "2023-11-14T22:13:20Z"),
    }
    selector = {"matchLabels": {"app": "web"}}
    return _obj("PodDisruptionBudget", "b", spec={"selector": selector}, status=status)


def _evicted(name: str) -> Any:
    pod = _pod(name, labels={"app": "web"})
    said = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    return {**pod, "status": {**pod["status"], "conditions": [*pod["status"]["conditions"], said]}}


def test_a_budget_gives_no_more_than_it_has() -> None:
    history = History(Budgets())
    history.put(_budget(1))
    history.put(_budget(0, "a"))
    with pytest.raises(ViolationError, match="had 0, has 0, and let 1 go"):
        history.put(_budget(0, "a", "b"))


def test_nobody_is_evicted_whom_the_budget_does_not_know() -> None:
    history = History(Budgets())
    history.put(_budget(1), *(_pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(0, "a"))
    history.put(_evicted("a"))
    with pytest.raises(ViolationError, match="knows nothing of it"):
        history.put(_evicted("b"))


def test_in_calm_so_many_stay_as_are_needed() -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(9, needed=2), *(_pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(8, "a", needed=2))
    history.put(_evicted("a"))
    with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
        history.put(_budget(7, "a", "b", needed=2))


@pytest.mark.parametrize("seconds", [1.0, CALM_SECONDS + 1.0])
def test_a_pod_that_a_controller_has_just_removed_may_still_be_counted(seconds: float) -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(1, needed=2), *(_pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_pod("c", labels={"app": "web"}, deletionTimestamp=_GOING))
    if seconds > CALM_SECONDS:
        with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
            history.put(_budget(0, "a", needed=2), after_seconds=seconds)
    else:
        history.put(_budget(0, "a", needed=2), after_seconds=seconds)


def test_a_pod_that_was_evicted_is_not_counted_again() -> None:
    history = History(Budgets(), calm_at=0.0)
    history.put(_budget(9, needed=2), *(_pod(name, labels={"app": "web"}) for name in "abc"))
    history.put(_budget(8, "a", needed=2))
    history.put(_evicted("a"))
    history.remove(_evicted("a"))
    with pytest.raises(ViolationError, match="1 healthy pods are left, of 2 needed"):
        history.put(_budget(7, "b", needed=2))


# ---------------------------------------------------------------- addresses, times


def test_an_address_is_of_one_service_at_a_time() -> None:
    history = History(Addresses())
    first, second = (_obj("Service", name, spec={"clusterIP": "10.0.0.1"}) for name in "ab")
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
    history.put(_obj("Namespace", "shop", spec={}))
    history.put(_pod("a", "n"))
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
        (_pod("b", "m", deletionTimestamp=_GOING), "does not go"),
        (_pod("b", "m", owner="nobody"), "left of an owner"),
        (_pod("b", "m", namespace="gone"), "left of a namespace"),
        (_job(), "has not ended"),
        (_obj("Node", "m", spec={"taints": [{}]}), "takes no pods"),
        (
            _obj(
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
