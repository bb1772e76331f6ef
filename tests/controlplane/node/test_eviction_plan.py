"""Who must leave a node. Numbers are rows of kube-behaviour.md."""

from typing import Any

import msgspec
import pytest

from controlplane.api.types.core_v1 import Pod
from controlplane.node import eviction_plan
from controlplane.node.eviction_plan import Candidate, ContainerUse, PodUse
from controlplane.node.eviction_signals import Pressures, Resource, Starved
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import pod

KIB = 1024
MIB = 1 << 20
EMPTY = {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}
LOW = Starved(resource="ephemeral-storage", threshold=10 * MIB, available=3 * MIB)


def limited(name: str, **limits: str) -> dict[str, Any]:
    told = {one.replace("_", "-"): amount for one, amount in limits.items()}
    return container(name, resources={"limits": told})


def candidate(
    found: Pod, uid: str = "u", volumes: dict[str, int] | None = None, **disk: int
) -> Candidate:
    """`disk`: bytes of each container."""
    used = {name: ContainerUse(disk=count) for name, count in disk.items()}
    meta = msgspec.structs.replace(found.metadata, uid=uid)
    use = PodUse(volumes=volumes or {}, containers=used)
    return Candidate(pod=msgspec.structs.replace(found, metadata=meta), use=use)


def test_empty_dir_over_its_limit() -> None:
    found = pod("a", volumes=[EMPTY])
    assert eviction_plan.is_bounded(found)
    assert eviction_plan.excess(candidate(found, volumes={"v": MIB})) == ""
    assert eviction_plan.excess(candidate(found, volumes={"v": MIB + 1})) == (
        'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
    )


def test_pod_over_the_limits_of_its_containers() -> None:
    """Volumes and containers count together."""
    found = pod(limited("a", ephemeral_storage="1024Ki"), volumes=[{"name": "v", "emptyDir": {}}])
    assert eviction_plan.is_bounded(found)
    assert eviction_plan.excess(candidate(found, volumes={"v": MIB // 2}, a=MIB // 2)) == ""
    assert eviction_plan.excess(candidate(found, volumes={"v": MIB // 2}, a=MIB)) == (
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    )


def test_container_over_its_limit() -> None:
    """The pod as a whole has room."""
    found = pod(limited("a", ephemeral_storage="1Mi"), limited("b", ephemeral_storage="9Mi"))
    assert eviction_plan.excess(candidate(found, a=2 * MIB)) == (
        'Container a exceeded its local ephemeral storage limit "1Mi". '
    )
    assert eviction_plan.excess(candidate(found, b=2 * MIB)) == ""


@pytest.mark.parametrize("limit", ["0", "lots", "-5"])
def test_what_is_no_limit(limit: str) -> None:
    """Also of a stranger's pod, written past validation."""
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": limit}}]
    found = pod(limited("a", ephemeral_storage="0"), volumes=volumes)
    assert not eviction_plan.is_bounded(found)
    assert eviction_plan.excess(candidate(found, volumes={"v": MIB}, a=MIB)) == ""


def test_who_goes_first() -> None:
    """6.4: usage over request, priority, usage - request."""
    asks = container("a", resources={"requests": {"ephemeral-storage": "20Mi"}})
    modest = candidate(pod(asks), "modest", a=19 * MIB)
    important = candidate(pod("a", priority=9), "important", a=9 * MIB)
    small = candidate(pod("a"), "small", a=MIB)
    large = candidate(pod("a"), "large", a=2 * MIB)
    critical = candidate(pod("a", priority=2_000_000_000), "critical", a=90 * MIB)
    waiting = [critical, modest, important, small, large]
    order = []
    while (chosen := eviction_plan.victim(waiting, LOW)) is not None:
        order.append(chosen.pod.metadata.uid)
        waiting.remove(chosen)
    assert order == ["large", "small", "important", "modest"]
    assert waiting == [critical]


@pytest.mark.parametrize(
    ("resource", "first"), [("memory", "m"), ("pids", "p"), ("inodes", "i"), (LOW.resource, "d")]
)
def test_what_is_scarce_decides(resource: Resource, first: str) -> None:
    uses = {
        "m": PodUse(containers={"a": ContainerUse(memory=9)}),
        "p": PodUse(containers={"a": ContainerUse(pids=9)}),
        "i": PodUse(inodes=9),
        "d": PodUse(volumes={"v": 9}),
    }
    waiting = [
        msgspec.structs.replace(candidate(pod("a"), uid), use=use) for uid, use in uses.items()
    ]
    scarce = msgspec.structs.replace(LOW, resource=resource)
    chosen = eviction_plan.victim(waiting, scarce)
    assert chosen is not None
    assert chosen.pod.metadata.uid == first


def test_message_of_the_node() -> None:
    asks = container("b", resources={"requests": {"ephemeral-storage": "1Mi"}})
    told = eviction_plan.message_of(candidate(pod("a", asks), a=36 * KIB, b=MIB), LOW)
    assert told == (
        "The node was low on resource: ephemeral-storage. "
        "Threshold quantity: 10Mi, available: 3Mi. "
        "Container a was using 36Ki, request is 0, has larger consumption of ephemeral-storage. "
    )


def test_what_a_node_under_pressure_refuses() -> None:
    """6.4: under memory pressure only pods that have asked for nothing."""
    plain, asks = pod("a"), pod(container("a", resources={"requests": {"cpu": "1"}}))
    bears = pod(
        "a", tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]
    )
    critical = pod("a", priority=2_000_001_000)
    disk, memory = Pressures(disk=True), Pressures(memory=True)
    told = eviction_plan.refusal(asks, disk)
    assert told is not None
    assert told.reason == "Evicted"
    assert told.message == "Pod was rejected: The node had condition: [DiskPressure]. "
    assert eviction_plan.refusal(plain, memory) is not None
    assert eviction_plan.refusal(asks, memory) is None
    assert eviction_plan.refusal(bears, memory) is None
    assert eviction_plan.refusal(bears, Pressures(memory=True, disk=True)) is not None
    assert eviction_plan.refusal(critical, disk) is None
    assert eviction_plan.refusal(plain, Pressures()) is None
