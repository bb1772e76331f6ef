"""Pods that leave tainted nodes. Numbers are rows of kube-behaviour.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import record
from controlplane.api.meta import rfc3339
from controlplane.api.types.core_v1 import Taint, Toleration
from controlplane.controllers import taint_eviction
from controlplane.controllers.taint_eviction import Plan, plan
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.serving import node, pod

UNREACHABLE = "node.kubernetes.io/unreachable"


def taint(key: str = UNREACHABLE, *, at: float | None = NOW, effect: str = "NoExecute") -> Taint:
    return Taint(key=key, effect=effect, time_added=None if at is None else rfc3339(at))


def bears(seconds: int | None, key: str = UNREACHABLE) -> Toleration:
    return Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=seconds)


def left(planned: Plan) -> list[str]:
    return [one.metadata.name for one in planned.leave]


def test_pods_leave_after_the_time_that_they_bear_it() -> None:
    """6.3: deleted 300 s after the taint; the shortest of several times counts."""
    pods = [pod(1, tolerations=(bears(300),)), pod(2, tolerations=(bears(None),)), pod(3)]
    tainted = node(taints=(taint(),))
    planned = plan(tainted, pods, before={}, now=1000, wall=NOW)
    assert left(planned) == ["pod-3"], "it bears nothing"
    assert planned.waiting == {("default", "pod-1")}
    assert planned.wait == 300
    later = plan(tainted, pods, before=planned.since, now=1299, wall=NOW + 299)
    assert left(later) == ["pod-3"]
    assert later.wait == 1
    due = plan(tainted, pods, before=planned.since, now=1300, wall=NOW + 300)
    assert left(due) == ["pod-1", "pod-3"]
    two = node(taints=(taint(), taint("other")))
    both = pod(1, tolerations=(bears(300), bears(60, "other")))
    assert plan(two, [both], before={}, now=1000, wall=NOW).wait == 60
    assert left(plan(two, pods[:2], before={}, now=1000, wall=NOW)) == ["pod-1", "pod-2"]


def test_taints_of_other_effects_evict_nobody() -> None:
    """6.3."""
    scheduled = node(taints=(taint(effect="NoSchedule"),))
    assert plan(scheduled, [pod(1)], before={}, now=1000, wall=NOW) == Plan()
    assert plan(node(), [pod(1)], before={}, now=1000, wall=NOW) == Plan()
    tainted = node(taints=(taint(),))
    assert plan(tainted, [pod(1, is_deleted=True)], before={}, now=1000, wall=NOW) == Plan()


def test_the_time_counts_from_the_taint() -> None:
    """6.3: also for a leader that came later; a pod that came later has its time from then."""
    early = pod(1, tolerations=(bears(300),))
    tainted = node(taints=(taint(at=NOW + 10),))
    assert plan(tainted, [early], before={}, now=1200, wall=NOW + 200).wait == 110
    before_pod = node(taints=(taint(at=NOW - 1000),))
    assert plan(before_pod, [early], before={}, now=1000, wall=NOW).wait == 300
    nobody_said = node(taints=(taint(at=None),))
    assert plan(nobody_said, [early], before={}, now=1200, wall=NOW + 200).wait == 300
    in_future = node(taints=(taint(at=NOW + 9000),))
    assert plan(in_future, [early], before={}, now=1000, wall=NOW).wait == 300


@given(jump=st.floats(-1e6, 1e6), elapsed=st.floats(0, 299))
def test_a_clock_that_jumps_evicts_nobody(jump: float, elapsed: float) -> None:
    """6.3: nor does it let anybody stay."""
    found, tainted = [pod(1, tolerations=(bears(300),))], node(taints=(taint(),))
    first = plan(tainted, found, before={}, now=1000, wall=NOW)
    later = plan(tainted, found, before=first.since, now=1000 + elapsed, wall=NOW + jump)
    assert later.wait == pytest.approx(300 - elapsed)


async def test_pods_are_told_why_they_go(cluster: Cluster, namespace: str) -> None:
    """6.3: DisruptionTarget DeletionByTaintManager; they are Terminating until the node is back."""
    name = f"node-{namespace}"
    await cluster.create("nodes", record.to_object(node(name)))
    patient = pod(1, namespace=namespace, node=name, tolerations=(bears(3600),))
    for one in (patient, pod(2, namespace=namespace, node=name)):
        await cluster.create("pods", record.to_object(one))
    async with cluster.running(taint_eviction.controller) as context:
        await cluster.store.update(
            cluster.resource("nodes"),
            "",
            name,
            lambda old: {**old, "spec": {"taints": [record.to_object(taint(at=None))]}},
        )

        async def is_going() -> bool:
            found = await cluster.find("pods", namespace, "pod-2")
            assert found is not None
            return "deletionTimestamp" in found["metadata"]

        await until(is_going)
        found = await cluster.find("pods", namespace, "pod-2")
        assert found is not None
        said = {one["type"]: one for one in found["status"]["conditions"]}["DisruptionTarget"]
        assert said["status"] == "True"
        assert said["reason"] == "DeletionByTaintManager"
        assert said["message"] == "Taint manager: deleting due to NoExecute taint"
        await cluster.store.update(
            cluster.resource("nodes"), "", name, lambda old: {**old, "spec": {}}
        )

        async def events() -> set[str]:
            await context.recorder.flush()
            page = await cluster.store.list(cluster.resource("events"), namespace)
            assert {one["reason"] for one in page.items} <= {"TaintManagerEviction"}
            return {one["message"] for one in page.items}

        async def is_told() -> bool:
            return await events() == {
                f"Marking for deletion Pod {namespace}/pod-2",
                f"Cancelling deletion of Pod {namespace}/pod-1",
            }

        await until(is_told)
        kept = await cluster.find("pods", namespace, "pod-1")
        assert kept is not None
        assert "deletionTimestamp" not in kept["metadata"]
