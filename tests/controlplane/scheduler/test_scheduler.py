"""The scheduler's driver on real stores: what it writes, and when it tries again."""

from typing import Any

from controlplane.api.resource import Object as Stored
from controlplane.objects import DeleteOptions
from controlplane.scheduler.arrays import Mask
from controlplane.scheduler.configuration import DEFAULT, Configuration
from controlplane.scheduler.framework import Plugin, Profile, View, Weighted
from tests.controlplane.scheduler.conftest import Cluster, until
from tests.controlplane.scheduler.objects import Object, node, pod


def _node(namespace: str, number: int = 0, **changes: Any) -> Object:
    """With a name that is no other test's."""
    return node(f"{namespace}-node-{number}", **changes)


async def test_pod_gets_a_node_once_with_condition_and_event(
    cluster: Cluster, namespace: str
) -> None:
    """7.2: Binding sets spec.nodeName and PodScheduled True; event Scheduled."""
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create("pods", pod("a", namespace=namespace, cpu="1"))
        await until(lambda: cluster.node_of(namespace, "a"))
        assert await cluster.node_of(namespace, "a") == f"{namespace}-node-0"
        assert (await cluster.condition(namespace, "a"))["status"] == "True"
        await until(lambda: cluster.events(namespace, "Scheduled"))
        (event,) = await cluster.events(namespace, "Scheduled")
        assert event["message"] == (f"Successfully assigned {namespace}/a to {namespace}-node-0")
        assert event["type"] == "Normal"


async def test_pod_that_fits_nowhere_is_told_why_and_tried_when_it_may_fit(
    cluster: Cluster, namespace: str
) -> None:
    """7.1, 7.2: PodScheduled False Unschedulable, FailedScheduling word for word; a new node."""
    small = [_node(namespace, number, allocatable={"cpu": "1"}) for number in range(3)]
    tainted = [
        _node(namespace, number, taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
        for number in (3, 4)
    ]
    async with cluster.nodes(*small, *tainted), cluster.scheduling():
        await cluster.create("pods", pod("a", namespace=namespace, cpu="2"))
        await until(lambda: cluster.events(namespace, "FailedScheduling"))
        told = (
            "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, "
            "3 Insufficient cpu. preemption: 0/5 nodes are available: "
            "5 Preemption is not helpful for scheduling."
        )
        (event,) = await cluster.events(namespace, "FailedScheduling")
        assert (event["message"], event["type"]) == (told, "Warning")
        await until(lambda: cluster.condition(namespace, "a"))
        condition = await cluster.condition(namespace, "a")
        assert condition["status"] == "False"
        assert (condition["reason"], condition["message"]) == ("Unschedulable", told)
        async with cluster.nodes(_node(namespace, 9)):
            await until(lambda: cluster.node_of(namespace, "a"))
            assert await cluster.node_of(namespace, "a") == f"{namespace}-node-9"


async def test_gates_keep_a_pod_out_until_they_are_gone(cluster: Cluster, namespace: str) -> None:
    """7.1: schedulingGates; PodScheduled False SchedulingGated."""
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create("pods", pod("a", namespace=namespace, schedulingGates=[{"name": "g"}]))
        await until(lambda: cluster.condition(namespace, "a"))
        condition = await cluster.condition(namespace, "a")
        assert (condition["status"], condition["reason"]) == ("False", "SchedulingGated")
        assert not await cluster.node_of(namespace, "a")
        pods = cluster.resource("pods")
        await cluster.store.update(pods, namespace, "a", _without_gates)
        await until(lambda: cluster.node_of(namespace, "a"))


def _without_gates(obj: Stored) -> Stored:
    return {**obj, "spec": {**obj["spec"], "schedulingGates": []}}


async def test_more_important_pod_gets_the_node_of_a_lesser_one(
    cluster: Cluster, namespace: str
) -> None:
    """7.7: the victim goes with its grace and DisruptionTarget; nominatedNodeName is set."""
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create(
            "pods", pod("low", namespace=namespace, cpu="3", terminationGracePeriodSeconds=30)
        )
        await until(lambda: cluster.node_of(namespace, "low"))
        await cluster.create("pods", pod("high", namespace=namespace, cpu="3", priority=100))
        await until(lambda: _is_deleted(cluster, namespace, "low"))
        low = await cluster.get("pods", namespace, "low")
        (target,) = [
            one for one in low["status"]["conditions"] if one["type"] == "DisruptionTarget"
        ]
        assert (target["status"], target["reason"]) == ("True", "PreemptionByScheduler")
        assert target["message"] == (
            "default-scheduler: preempting to accommodate a higher priority pod"
        )
        await until(lambda: _nominated(cluster, namespace, "high"))
        high = await cluster.get("pods", namespace, "high")
        await until(lambda: cluster.events(namespace, "Preempted"))
        (event,) = await cluster.events(namespace, "Preempted")
        assert event["message"] == (
            f"Preempted by pod {high['metadata']['uid']} on node {namespace}-node-0"
        )
        assert not await cluster.node_of(namespace, "high"), "the victim still has its grace"
        await _end(cluster, namespace, "low")
        await until(lambda: cluster.node_of(namespace, "high"))


async def _is_deleted(cluster: Cluster, namespace: str, name: str) -> bool:
    found = await cluster.get("pods", namespace, name)
    return bool(found["metadata"].get("deletionTimestamp"))


async def _nominated(cluster: Cluster, namespace: str, name: str) -> str:
    found = await cluster.get("pods", namespace, name)
    return str((found.get("status") or {}).get("nominatedNodeName", ""))


async def _end(cluster: Cluster, namespace: str, name: str) -> None:
    """As its node would when it has ended."""
    await cluster.store.delete(
        cluster.resource("pods"),
        namespace,
        name,
        options=DeleteOptions(grace_period_seconds=0),
    )


async def test_lesser_pod_that_waited_for_the_node_waits_no_more(
    cluster: Cluster, namespace: str
) -> None:
    """7.7: lower nominated pods are cleared."""
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        for name, priority in (("low", 0), ("middle", 50), ("high", 100)):
            await cluster.create(
                "pods",
                pod(
                    name,
                    namespace=namespace,
                    cpu="3",
                    priority=priority,
                    terminationGracePeriodSeconds=30,
                ),
            )
            if name == "low":
                await until(lambda: cluster.node_of(namespace, "low"))
            if name == "middle":
                await until(lambda: _nominated(cluster, namespace, "middle"))
        await until(lambda: _nominated(cluster, namespace, "high"))
        await until(lambda: _is_not_nominated(cluster, namespace, "middle"))
        await _end(cluster, namespace, "low")
        await until(lambda: cluster.node_of(namespace, "high"))
        assert not await cluster.node_of(namespace, "middle")


async def _is_not_nominated(cluster: Cluster, namespace: str, name: str) -> bool:
    return not await _nominated(cluster, namespace, name)


async def test_who_gives_its_node_up_leaves_it_to_those_whom_it_held_back(
    cluster: Cluster, namespace: str
) -> None:
    """7.7: nobody is told to wait for what nobody waits for."""
    own = _node(namespace, taints=[{"key": namespace, "effect": "NoSchedule"}])
    name, tolerations = own["metadata"]["name"], [{"key": namespace, "operator": "Exists"}]
    large = pod("large", namespace=namespace, cpu="9", priority=100, tolerations=tolerations)
    large["spec"]["schedulingGates"] = [{"name": "g"}]
    large["status"]["nominatedNodeName"] = name
    small = pod("small", namespace=namespace, cpu="3", tolerations=tolerations)
    async with cluster.nodes(own), cluster.scheduling():
        await cluster.create("pods", large)
        await cluster.create("pods", small)
        await until(lambda: cluster.condition(namespace, "small"))
        assert not await cluster.node_of(namespace, "small")
        await cluster.store.update(cluster.resource("pods"), namespace, "large", _without_gates)
        await until(lambda: cluster.node_of(namespace, "small"))
        assert await _is_not_nominated(cluster, namespace, "large")


class _Broken(Plugin):
    name = "Broken"

    def filter(self, view: View) -> Mask:
        raise ZeroDivisionError("of a stranger")


async def test_plugin_that_fails_keeps_its_own_pods_only(cluster: Cluster, namespace: str) -> None:
    """7.8: pods of other profiles go on; its own are told so, and tried again."""
    broken = Profile([Weighted(_Broken())], scheduler_name="broken")
    configuration = Configuration({**DEFAULT.profiles, "broken": broken})
    async with cluster.nodes(_node(namespace)), cluster.scheduling(configuration):
        await cluster.create("pods", pod("a", namespace=namespace, schedulerName="broken"))
        await cluster.create("pods", pod("b", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "b"))
        await until(lambda: cluster.condition(namespace, "a"))
        condition = await cluster.condition(namespace, "a")
        assert (condition["status"], condition["reason"]) == ("False", "SchedulerError")
        assert condition["message"] == "ZeroDivisionError: of a stranger"


async def test_pod_of_another_scheduler_is_left_alone(cluster: Cluster, namespace: str) -> None:
    """7.8: who schedules a pod is its own word."""
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create("pods", pod("other", namespace=namespace, schedulerName="other"))
        await cluster.create("pods", pod("ours", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "ours"))
        assert not await cluster.node_of(namespace, "other")


async def test_pods_that_nobody_can_read_stop_nobody(cluster: Cluster, namespace: str) -> None:
    """A stranger may write past the API server whatever he likes."""
    broken = pod("broken", namespace=namespace)
    broken["spec"]["containers"] = {"no": "list"}
    odd = pod("odd", namespace=namespace, cpu="much", affinity={"podAffinity": {}})
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create("pods", broken)
        await cluster.create("pods", odd)
        await cluster.create("pods", pod("sound", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "sound"))
        await until(lambda: cluster.node_of(namespace, "odd"))


async def test_pod_without_its_claim_is_told_so_and_gets_a_node_when_the_claim_is_bound(
    cluster: Cluster, namespace: str
) -> None:
    """7.3: VolumeBinding, from the store."""
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    async with cluster.nodes(_node(namespace)), cluster.scheduling():
        await cluster.create("pods", pod("a", namespace=namespace, volumes=volumes))
        await until(lambda: cluster.condition(namespace, "a"))
        condition = await cluster.condition(namespace, "a")
        assert condition["reason"] == "Unschedulable"
        assert condition["message"] == (
            '0/1 nodes are available: persistentvolumeclaim "data" not found. preemption: '
            "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        annotations = {"pv.kubernetes.io/bind-completed": "yes"}
        claim: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": namespace, "annotations": annotations},
            "spec": {"volumeName": "volume"},
        }
        await cluster.create("persistentvolumeclaims", claim)
        await until(lambda: cluster.node_of(namespace, "a"))
