"""What conditions make of nodes. Numbers are rows of kube-behaviour.md."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.types.core_v1 import Node, Taint
from controlplane.controllers import node_health
from controlplane.controllers.node_health import Sight
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.serving import node

SAID_AT = "2023-11-14T22:13:20Z"


def lease(renewed: str) -> dict[str, object]:
    return {"spec": {"renewTime": renewed, "holderIdentity": "n1"}}


def marks(found: Node) -> set[tuple[str, str]]:
    return {(one.key.removeprefix("node.kubernetes.io/"), one.effect) for one in found.spec.taints}


def test_a_node_is_heard_of_by_its_lease_and_its_status() -> None:
    """6.1, 6.2: whatever their clock says, even that it is earlier than before."""
    first = node_health.sighted(None, node(), lease("b"), 100.0)
    assert first.at == 100.0
    assert node_health.sighted(first, node(), lease("b"), 110.0) == first
    assert node_health.sighted(first, node(), lease("a"), 110.0).at == 110.0
    assert node_health.sighted(first, node(heartbeat=NOW + 1), lease("b"), 110.0).at == 110.0


def test_a_lease_that_is_gone_is_no_sign_of_life() -> None:
    """6.2: one that comes is."""
    first = node_health.sighted(None, node(), lease("b"), 100.0)
    gone = node_health.sighted(first, node(), None, 110.0)
    assert gone == Sight("", first.posted, 100.0)
    assert node_health.sighted(gone, node(), None, 120.0) == gone
    assert node_health.sighted(gone, node(), lease("b"), 130.0).at == 130.0


def test_nobody_knows_how_a_silent_node_is() -> None:
    """6.2: Ready=Unknown NodeStatusUnknown, and the other conditions of its agent."""
    before = node(MemoryPressure="True", NetworkUnavailable="True")
    after = node_health.silenced(before, NOW + 60)
    said = {one.type: one for one in after.status.conditions}
    for kind in ("Ready", "MemoryPressure"):
        assert said[kind].status == "Unknown"
        assert said[kind].reason == "NodeStatusUnknown"
        assert said[kind].message == "Kubelet stopped posting node status."
        assert said[kind].last_transition_time == "2023-11-14T22:14:20Z"
        assert said[kind].last_heartbeat_time == SAID_AT
    for kind in ("DiskPressure", "PIDPressure"):
        assert said[kind].status == "Unknown"
        assert said[kind].reason == "NodeStatusNeverUpdated"
        assert said[kind].message == "Kubelet never posted node status."
        assert said[kind].last_heartbeat_time == before.metadata.creation_timestamp
    assert said["NetworkUnavailable"].status == "True", "its agent does not say that"
    assert node_health.silenced(after, NOW + 120) is after


def test_taints_of_a_node_that_is_not_there() -> None:
    """6.2: unreachable or not-ready, NoSchedule, and NoExecute where pods are to leave."""
    unknown = node_health.tainted(node(ready="Unknown"), evicts=True, now=NOW)
    assert marks(unknown) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
    assert {one.time_added for one in unknown.spec.taints} == {SAID_AT}
    waiting = node_health.tainted(node(ready="Unknown"), evicts=False, now=NOW)
    assert marks(waiting) == {("unreachable", "NoSchedule")}
    bad = node_health.tainted(node(ready="False"), evicts=True, now=NOW)
    assert marks(bad) == {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}
    new = node_health.tainted(node(ready=""), evicts=True, now=NOW)
    assert marks(new) == {("not-ready", "NoSchedule")}, "nobody said yet that it is ready"


def test_time_runs_on_when_an_absence_changes() -> None:
    """6.3: who bears it for 300 s does not begin anew whenever the node gives a sign of life."""
    unknown = node_health.tainted(node(ready="Unknown"), evicts=True, now=NOW)
    bad = node_health.tainted(
        node(ready="False", taints=unknown.spec.taints), evicts=True, now=NOW + 90
    )
    added = {(one.key.rpartition("/")[2], one.effect): one.time_added for one in bad.spec.taints}
    assert added == {
        ("not-ready", "NoSchedule"): "2023-11-14T22:14:50Z",
        ("not-ready", "NoExecute"): SAID_AT,
    }


def test_taints_of_conditions() -> None:
    """6.4: pressures, network-unavailable, unschedulable: NoSchedule."""
    pressed = node(
        MemoryPressure="True", DiskPressure="True", PIDPressure="True", NetworkUnavailable="True"
    )
    assert marks(node_health.tainted(pressed, evicts=False, now=NOW)) == {
        ("memory-pressure", "NoSchedule"),
        ("disk-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("network-unavailable", "NoSchedule"),
    }
    cordoned = node_health.tainted(node(unschedulable=True), evicts=False, now=NOW)
    assert marks(cordoned) == {("unschedulable", "NoSchedule")}
    unknown = node(MemoryPressure="Unknown")
    assert node_health.tainted(unknown, evicts=False, now=NOW) is unknown


def test_taints_of_others_stay() -> None:
    """6.4: also one of our keys with an effect that is not ours."""
    mine = Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule")
    others = (
        Taint(key="dedicated", value="gpu", effect="NoExecute"),
        Taint(key="node.kubernetes.io/memory-pressure", effect="NoExecute"),
        Taint(key="node.kubernetes.io/out-of-service", effect="NoExecute"),
    )
    after = node_health.tainted(node(taints=(mine, *others)), evicts=False, now=NOW)
    assert after.spec.taints == others


said = st.sampled_from(("True", "False", "Unknown", ""))


@given(ready=said, memory=said, evicts=st.booleans(), later=said, cordoned=st.booleans())
def test_taints_come_and_go(
    ready: str, memory: str, evicts: bool, later: str, cordoned: bool
) -> None:
    """6.2, 6.4: what a node has is decided by how it is now, not by how it was."""
    before = node(ready=ready, MemoryPressure=memory, unschedulable=cordoned)
    tainted = node_health.tainted(before, evicts=evicts, now=NOW)
    assert node_health.tainted(tainted, evicts=evicts, now=NOW + 9) is tainted
    after = node(ready=later, taints=tainted.spec.taints)
    fresh = node_health.tainted(node(ready=later), evicts=evicts, now=NOW)
    assert marks(node_health.tainted(after, evicts=evicts, now=NOW)) == marks(fresh)
