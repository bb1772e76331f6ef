"""Which events have a rejected pod tried again: kube-behaviour 7.1."""

import pytest

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Node, PersistentVolumeClaim
from controlplane.indexer import Key
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.volume_claims import BIND_COMPLETED
from tests.controlplane.scheduler.caches import end, pop, reject, set_pod, with_nodes
from tests.controlplane.scheduler.objects import Object, node, pod

_FULL = pod("full", {"app": "x"}, cpu="4", nodeName="n")
_SELECTS = {"nodeSelector": {"disk": "ssd"}}
_APART: Object = {
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"app": "x"}},
                }
            ]
        }
    }
}


@pytest.mark.parametrize(
    ("waiting", "helps"),
    [
        (pod("w", cpu="1"), "full-ends"),
        (pod("w", cpu="1"), "second-node"),
        (pod("w", nodeSelector={"disk": "ssd"}), "label"),
        (pod("w", **_APART), "full-ends"),
    ],
)
def test_what_helps_a_rejected_pod_has_it_tried_again(waiting: Object, helps: str) -> None:
    """7.1: queueing hints."""
    cache = with_nodes()
    set_pod(cache, _FULL)
    reject(cache, waiting)
    if helps == "full-ends":
        end(cache, "full", 20.0)
    elif helps == "second-node":
        cache.set_node("m", from_object(Node, node("m")), 20.0)
    else:
        cache.set_node("n", from_object(Node, node("n", {"disk": "ssd"})), 20.0)
    assert pop(cache, 20.0).pod.name == "w"


@pytest.mark.parametrize(
    ("waiting", "happens"),
    [
        (pod("w", nodeSelector={"disk": "ssd"}), "full-ends"),
        (pod("w", cpu="1"), "label"),
        (pod("w", cpu="9"), "second-node"),
        (pod("w", **_APART), "other-pod"),
    ],
)
def test_what_cannot_help_changes_nothing(waiting: Object, happens: str) -> None:
    """7.1: queueing hints."""
    cache = with_nodes()
    set_pod(cache, _FULL)
    reject(cache, waiting)
    if happens == "full-ends":
        end(cache, "full", 20.0)
    elif happens == "second-node":
        cache.set_node("m", from_object(Node, node("m")), 20.0)
    elif happens == "other-pod":
        set_pod(cache, pod("other", {"app": "y"}, nodeName="n"), 20.0)
    else:
        cache.set_node("n", from_object(Node, node("n", {"any": "label"})), 20.0)
    assert cache.pop(20.0) is None


def test_pod_that_begins_to_end_no_longer_counts_in_its_domain() -> None:
    """7.1, 7.5: who is spread with it is tried again."""
    cache = with_nodes(node("n", {"zone": "a"}), node("m", {"zone": "b"}, unschedulable=True))
    spread = {
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "maxSkew": 1,
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    running = pod("r", {"app": "x"}, nodeName="n")
    set_pod(cache, running)
    reject(cache, pod("w", {"app": "x"}, topologySpreadConstraints=[spread]))
    set_pod(cache, {**running, "status": {"phase": "Running"}}, 20.0)
    assert cache.pop(20.0) is None
    running["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    set_pod(cache, running, 20.0)
    assert pop(cache, 20.0).pod.name == "w"


@pytest.mark.parametrize(("policy", "is_helped"), [("Honor", True), ("Ignore", False)])
def test_taint_of_the_emptiest_domain_is_told_to_those_who_honor_taints(
    policy: str, is_helped: bool
) -> None:
    """7.1, 7.5: nodeTaintsPolicy; the node that nobody may have no longer holds the others back."""
    empty = node("m", {"zone": "b"}, allocatable={"pods": "0"})
    cache = with_nodes(node("n", {"zone": "a"}), empty)
    spread = {
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "maxSkew": 1,
        "labelSelector": {"matchLabels": {"app": "x"}},
        "nodeTaintsPolicy": policy,
    }
    set_pod(cache, pod("r", {"app": "x"}, nodeName="n"))
    reject(cache, pod("w", {"app": "x"}, topologySpreadConstraints=[spread]))
    empty["spec"]["taints"] = [{"key": "k", "effect": "NoSchedule"}]
    cache.set_node("m", from_object(Node, empty), 20.0)
    assert (cache.pop(20.0) is not None) == is_helped


def test_end_of_the_last_peer_makes_a_pod_the_first_of_its_kind() -> None:
    """7.1, 7.3: InterPodAffinity with oneself."""
    cache = with_nodes(node("n", unschedulable=True), node("m"))
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    near: Object = {
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    }
    set_pod(cache, pod("first", {"app": "x"}, nodeName="n"))
    set_pod(cache, pod("other", {"app": "y"}, nodeName="n"))
    reject(cache, pod("w", {"app": "x"}, **near))
    end(cache, "other", 20.0)
    assert cache.pop(20.0) is None
    end(cache, "first", 20.0)
    assert pop(cache, 20.0).pod.name == "w"


def _claiming(*names: str, **more: Object) -> Object:
    volumes: list[Object] = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names
    ]
    volumes += [{"name": name, **source} for name, source in more.items()]
    return pod("w", volumes=volumes)


def _set_claim(cache: Cache, name: str, *, is_bound: bool = False, **changes: str) -> None:
    metadata: Object = {"name": name, "namespace": "default", **changes}
    spec: Object = {}
    if is_bound:
        metadata["annotations"] = {BIND_COMPLETED: "yes"}
        spec["volumeName"] = "v"
    claim = from_object(PersistentVolumeClaim, {"metadata": metadata, "spec": spec})
    cache.set_claim(Key("default", name), claim, 20.0)


def test_pod_waits_until_its_claims_are_there_and_bound() -> None:
    """7.1, 7.3: VolumeBinding; it is one reason for all nodes, and is told alone."""
    cache = with_nodes(node("n"), node("m", unschedulable=True))
    told = []
    for is_bound in (False, True):
        for name in ("a", "b"):
            found = reject(cache, _claiming("a", "b"))
            assert found.plugins == frozenset(("VolumeBinding",))
            assert not found.helpable, "no preemption helps"
            told.append(found.message.removeprefix("0/2 nodes are available: "))
            _set_claim(cache, "other", is_bound=is_bound)
            assert cache.pop(20.0) is None
            _set_claim(cache, name, is_bound=is_bound)
    assert told == [
        'persistentvolumeclaim "a" not found.',
        'persistentvolumeclaim "b" not found.',
        *2 * ["pod has unbound immediate PersistentVolumeClaims."],
    ]
    assert pop(cache, 20.0).pod.name == "w"


def test_claim_that_is_no_use_is_told_before_others_that_are_not_bound() -> None:
    """7.3: VolumeBinding, in the words of Kubernetes."""
    cache = with_nodes()
    _set_claim(cache, "unbound")
    _set_claim(cache, "ending", is_bound=True, deletionTimestamp="2024-01-01T00:00:00Z")
    start = "0/1 nodes are available:"
    assert reject(cache, _claiming("unbound", "ending")).message == (
        f'{start} persistentvolumeclaim "ending" is being deleted.'
    )
    cache = with_nodes()
    assert reject(cache, _claiming(scratch={"ephemeral": {}})).message == (
        f"{start} waiting for ephemeral volume controller to create the "
        'persistentvolumeclaim "w-scratch".'
    )
