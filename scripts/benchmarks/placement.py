"""The scheduler's decisions alone: pods a second that find their nodes among many.

The loads are those of Kubernetes' scheduler_perf (kube-behaviour 7.9), each with pods of one class
but for `mixed`; nothing is written, so it is the algorithm that is measured.
"""

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random
from typing import Any

import msgspec

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Node, Pod
from controlplane.indexer import Key
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.preemption import Candidate, tried

_ZONES = 10
_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_CLASSES = 50
_PREEMPTORS = 20

Spec = dict[str, Any]


class Load(msgspec.Struct, frozen=True):
    """bar  pods a second that Kubernetes' own scheduler must reach at 5,000 nodes; 0: none"""

    name: str
    specs: Callable[[], Iterator[tuple[dict[str, str], Spec]]]
    bar: int = 0
    with_service: bool = False


def _always(spec: Spec) -> Callable[[], Iterator[tuple[dict[str, str], Spec]]]:
    return lambda: cycle([({"app": "x"}, spec)])


def _mixed() -> Iterator[tuple[dict[str, str], Spec]]:
    """Of fifty Deployments in turn."""
    return cycle([({"app": f"x{number}"}, {}) for number in range(_CLASSES)])


def _term(key: str) -> Spec:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "x"}}}


def _affinity(kind: str, key: str) -> Spec:
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [_term(key)]}
    return {"affinity": {kind: rules}}


def _spread(action: str) -> Spec:
    constraint = {**_term(_ZONE), "maxSkew": 5, "whenUnsatisfiable": action}
    return {"topologySpreadConstraints": [constraint]}


_IN_ZONES = {"key": _ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}
_NODE_AFFINITY = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [_IN_ZONES]}]
            }
        }
    }
}

LOADS = (
    Load("basic", _always({}), 270),
    Load("with a service", _always({}), with_service=True),
    Load("fifty classes", _mixed),
    Load("node affinity", _always(_NODE_AFFINITY), 220),
    Load("spread, required", _always(_spread("DoNotSchedule")), 85),
    Load("spread, preferred", _always(_spread("ScheduleAnyway")), 125),
    Load("anti-affinity", _always(_affinity("podAntiAffinity", _HOST)), 60),
    Load("affinity", _always(_affinity("podAffinity", _ZONE)), 35),
)


def run(nodes: int, pods: int) -> None:
    """Print a line for each load."""
    for load in LOADS:
        seconds, placed = measure(load, nodes, pods)
        bar = f"; Kubernetes' bar {load.bar}" if load.bar else ""
        print(f"{load.name}: {placed / seconds:.0f} pods/s ({placed} of {pods}){bar}", flush=True)
    _preemption(nodes)


def measure(load: Load, nodes: int, pods: int) -> tuple[float, int]:
    """CPU seconds, and how many pods found a node."""
    cache = _cluster(nodes)
    if load.with_service:
        cache.kindred.set_service("default", "x", {"app": "x"})
    for number, (labels, spec) in enumerate(islice(load.specs(), pods)):
        _add(cache, f"p{number}", labels, spec)
    return _schedule(cache)


def _cluster(nodes: int) -> Cache:
    cache = Cache(DEFAULT)
    for number in range(nodes):
        name = f"node-{number}"
        labels = {_HOST: name, _ZONE: f"zone-{number % _ZONES}"}
        node = {
            "metadata": {"name": name, "labels": labels},
            "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
        }
        cache.set_node(name, from_object(Node, node), 0.0)
    return cache


def _add(cache: Cache, name: str, labels: dict[str, str], spec: Spec) -> None:
    requests = {"cpu": "100m", "memory": "500Mi"}
    pod = {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels},
        "spec": {
            "containers": [{"name": "c", "image": "pause", "resources": {"requests": requests}}],
            **spec,
        },
    }
    cache.set_pod(Key("default", name), from_object(Pod, pod), 0.0)


def _schedule(cache: Cache) -> tuple[float, int]:
    """Seconds, and how many pods found a node."""
    dice, placed = Random(1), 0
    begun = time.process_time()
    while (entry := cache.pop(0.0)) is not None:
        profile = cache.profile(entry.pod)
        found = place(cache.evaluations, profile, entry.pod, cache.nominations, dice)
        if isinstance(found, Placement):
            cache.assume(entry.pod, found.node_name, 0.0)
            placed += 1
        else:
            cache.rejected(entry, found.plugins, cache.event_count, 0.0)
    return time.process_time() - begun, placed


def _preemption(nodes: int) -> None:
    """A full cluster, each node with four lesser pods, and pods that need one of them gone."""
    cache, dice = _cluster(nodes), Random(1)
    for number in range(4 * nodes):
        _add(cache, f"p{number}", {"app": "x"}, {"nodeName": f"node-{number % nodes}"})
        _add_large(cache, f"l{number}", number % nodes)
    begun = time.process_time()
    for number in range(_PREEMPTORS):
        _add(cache, f"high-{number}", {"app": "y"}, {"priority": 10})
        entry = cache.pop(0.0)
        assert entry is not None
        profile = cache.profile(entry.pod)
        found = place(cache.evaluations, profile, entry.pod, cache.nominations, dice)
        assert isinstance(found, Diagnosis)
        evaluation = cache.evaluations.of(profile, entry.pod.kind)
        outcomes = list(tried(evaluation, entry.pod, found.helpable, cache.nominations, (), dice))
        assert all(isinstance(one, Candidate) for one in outcomes)
    seconds = time.process_time() - begun
    print(f"preemption: {_PREEMPTORS / seconds:.0f} pods/s", flush=True)


def _add_large(cache: Cache, name: str, number: int) -> None:
    """With the pod beside it it fills a quarter of a node."""
    requests = {"cpu": "900m", "memory": "1Gi"}
    pod = {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {
            "nodeName": f"node-{number}",
            "containers": [{"name": "c", "image": "pause", "resources": {"requests": requests}}],
        },
    }
    cache.set_pod(Key("default", name), from_object(Pod, pod), 0.0)
