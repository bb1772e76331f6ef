"""The audit, one planted fault at a time: each is told, and a cluster without one is not accused.

The world here is a small cluster at rest: a Deployment behind a Service, a Job that is over.
"""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from auditing import jobs, pods, processes, services
from auditing.world import Process, Sandbox, World

NOW = 1_800_000_000.0
LONG_AGO = "2020-01-01T00:00:00Z"
FOLDER = "/data"
SHIM = f"python -m controlplane.node.runtime.shim {FOLDER}/n1/runtime namespaces+rootfs"
TRACKING = jobs.TRACKING
POD, JOB_POD = "core/pods/ns/web-1-a", "core/pods/ns/sum-a"
SERVICE, SLICE = "core/services/ns/web", "discovery.k8s.io/endpointslices/ns/web-x"
DEPLOYMENT, REPLICAS = "apps/deployments/ns/web", "apps/replicasets/ns/web-1"
JOB = "batch/jobs/ns/sum"
IP, PORT = "/ranges/ip/127.66.0.7", "/ranges/port/tcp/30001"

Objects = dict[str, Any]


def meta(name: str, uid: str, owner: str = "", **more: object) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "namespace": "ns", "uid": uid, **more}
    if owner:
        kind = {"u-dep": "Deployment", "u-rs": "ReplicaSet", "u-job": "Job"}[owner]
        found["ownerReferences"] = [{"kind": kind, "name": "x", "uid": owner, "controller": True}]
    return found


def pod(name: str, uid: str, phase: str, owner: str, **metadata: object) -> dict[str, Any]:
    running = {"name": "main", "containerID": "process://c1", "state": {"running": {}}}
    status: dict[str, Any] = {"phase": phase}
    if phase == "Running":
        status |= {
            "podIP": "127.65.0.3",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [running],
        }
    told = meta(name, uid, owner, **metadata)
    return {"kind": "Pod", "metadata": told, "spec": {"nodeName": "n1"}, "status": status}


def objects() -> Objects:
    counts = {"replicas": 1, "readyReplicas": 1}
    index = {jobs.INDEX: "0"}
    complete = [{"type": "Complete", "status": "True", "reason": "CompletionsReached"}]
    ports = [{"port": 80, "nodePort": 30001}]
    ready = {"addresses": ["127.65.0.3"], "conditions": {"ready": True}}
    return {
        "core/nodes/n1": {
            "kind": "Node",
            "metadata": {"name": "n1", "uid": "u-n1"},
            "spec": {"podCIDRs": ["127.65.0.0/24"]},
        },
        DEPLOYMENT: {
            "kind": "Deployment",
            "metadata": meta("web", "u-dep", generation=2),
            "spec": {"replicas": 1},
            "status": counts | {"availableReplicas": 1, "observedGeneration": 2},
        },
        REPLICAS: {
            "kind": "ReplicaSet",
            "metadata": meta("web-1", "u-rs", "u-dep"),
            "spec": {"replicas": 1},
            "status": counts,
        },
        POD: pod("web-1-a", "u-pod", "Running", "u-rs", labels={"app": "web"}),
        SERVICE: {
            "kind": "Service",
            "metadata": meta("web", "u-svc"),
            "spec": {"selector": {"app": "web"}, "clusterIPs": ["127.66.0.7"], "ports": ports},
        },
        SLICE: {
            "kind": "EndpointSlice",
            "metadata": meta("web-x", "u-s", labels={"kubernetes.io/service-name": "web"}),
            "endpoints": [ready],
        },
        "core/endpoints/ns/web": {
            "kind": "Endpoints",
            "metadata": meta("web", "u-e"),
            "subsets": [{"addresses": [{"ip": "127.65.0.3"}]}],
        },
        JOB: {
            "kind": "Job",
            "metadata": meta("sum", "u-job"),
            "spec": {"completions": 1, "completionMode": "Indexed", "backoffLimit": 0},
            "status": {"succeeded": 1, "completedIndexes": "0", "conditions": complete},
        },
        JOB_POD: pod("sum-a", "u-sum", "Succeeded", "u-job", annotations=index),
    }


def world() -> World:
    launcher = Process(10, 1, "python -m cluster up --data /data")
    agent = Process(11, 10, f"python -m controlplane agent --root-dir={FOLDER}/n1")
    zygote = Process(20, 1, SHIM, folder=f"{FOLDER}/n1/runtime")
    shim = Process(21, 20, SHIM, folder=f"{FOLDER}/n1/runtime/sandboxes/s1")
    main = Process(22, 21, "sleep 9", "s1", "127.65.0.3", "/", frozenset({"c1"}))
    ranges = {IP: "ns/web", PORT: "ns/web", "/ranges/pods/127.65.0.0/24": "n1 u-n1"}
    return World(
        now=NOW,
        folder=FOLDER,
        pod_range="127.65.",
        objects=objects(),
        ranges=ranges,
        nodes=frozenset({"n1"}),
        processes={one.pid: one for one in (launcher, agent, zygote, shim, main)},
        sandboxes={"s1": Sandbox("s1", "n1", "u-pod"), "s2": Sandbox("s2", "n1", "u-sum")},
        volumes=frozenset({("n1", "u-pod"), ("n1", "u-sum")}),
    )


def judged(found: World) -> list[str]:
    judges = (processes, pods, jobs, services)
    return [fault for judge in judges for fault in judge.faults(found)]


def test_a_cluster_at_rest_is_not_accused() -> None:
    assert judged(world()) == []


def test_a_fork_of_a_shim_that_keeps_a_container_is_no_second_shim() -> None:
    """As it is where there are no namespaces."""
    found = world()
    keeper = dataclasses.replace(found.processes[21], pid=23, parent=21)
    main = dataclasses.replace(found.processes[22], parent=23)
    more = {**found.processes, 22: main, 23: keeper}
    assert judged(dataclasses.replace(found, processes=more)) == []


def test_processes_of_others_are_none_of_ours() -> None:
    """Another cluster of this machine, with the same program."""
    found = world()
    stranger = Process(90, 1, SHIM.replace(FOLDER, "/other"), folder="/other/n1/runtime")
    theirs = Process(91, 90, "sleep 9", "s9", "127.69.0.3", "/", frozenset({"c9"}))
    more = dict(found.processes) | {90: stranger, 91: theirs}
    assert judged(dataclasses.replace(found, processes=more)) == []


Plant = Callable[[Objects], None]


def edit(key: str, *path: str, to: object) -> Plant:
    def plant(given: Objects) -> None:
        target = given[key]
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = to

    return plant


def remove(key: str) -> Plant:
    def plant(given: Objects) -> None:
        del given[key]

    return plant


def double(key: str, name: str, **metadata: object) -> Plant:
    def plant(given: Objects) -> None:
        copied = copy.deepcopy(given[key])
        copied["metadata"] |= {"name": name, **metadata}
        given[f"{key}-{name}"] = copied

    return plant


PLANTED: dict[str, tuple[Plant, str]] = {
    "a pod is lost": (remove(POD), "shall have 1 pods, and has 0"),
    "a pod is there twice": (double(POD, "b", uid="u-2"), "shall have 1 pods, and has 2"),
    "an address is had twice": (double(POD, "b", uid="u-2"), "have the same address"),
    "a uid is there twice": (double(POD, "b"), "2 objects have the uid u-pod"),
    "a pod's node is none": (edit(POD, "spec", "nodeName", to="n9"), "which there is not"),
    "an owner is gone": (remove(REPLICAS), "left behind by ReplicaSet x"),
    "a finalizer is stuck": (
        edit(SERVICE, "metadata", "deletionTimestamp", to=LONG_AGO),
        "is being deleted since",
    ),
    "a replica set lies": (edit(REPLICAS, "status", "replicas", to=2), "says replicas 2"),
    "a deployment lies": (
        edit(DEPLOYMENT, "status", "availableReplicas", to=0),
        "says availableReplicas 0",
    ),
    "a deployment was forgotten": (
        edit(DEPLOYMENT, "metadata", "generation", to=3),
        "nobody has looked",
    ),
    "two sets have replicas": (
        double(REPLICAS, "web-2", uid="u-rs2"),
        "stuck between several replica sets",
    ),
    "a pod was never counted": (
        edit(JOB_POD, "metadata", "finalizers", to=[TRACKING]),
        "was never counted",
    ),
    "a finalizer's job is gone": (
        edit(POD, "metadata", "finalizers", to=[TRACKING]),
        "a finalizer of a job that is gone",
    ),
    "a pod was counted twice": (edit(JOB, "status", "succeeded", to=2), "counts 2 succeeded"),
    "a failure was not counted": (edit(JOB_POD, "status", "phase", to="Failed"), "counts 0 failed"),
    "an index is missing": (edit(JOB, "spec", "completions", to=2), "with 1 of 2 completions"),
    "an index is another": (
        edit(JOB, "status", "completedIndexes", to="1"),
        "has completed indexes [1]",
    ),
    "an index ran twice": (
        double(JOB_POD, "b", uid="u-2", annotations={jobs.INDEX: "0"}),
        "its pods completed [0, 0]",
    ),
    "counting is not done": (
        edit(JOB, "status", "uncountedTerminatedPods", to={"failed": ["u-1"]}),
        "has not done with counting",
    ),
    "a job says that pods run": (edit(JOB, "status", "active", to=1), "says active 1"),
    "a job is over too soon": (edit(JOB_POD, "status", "phase", to="Running"), "its pods are not"),
    "a limit was passed": (edit(JOB, "status", "failed", to=1), "its limit is 0"),
    "a slice has one that is gone": (
        edit(POD, "status", "conditions", to=[]),
        "slices of service ns/web have ['127.65.0.3'] ready: its pods are []",
    ),
    "a slice lacks one": (edit(SLICE, "endpoints", to=[]), "slices of service ns/web have []"),
    "endpoints lack one": (
        edit("core/endpoints/ns/web", "subsets", to=[]),
        "endpoints of service ns/web are []",
    ),
    "a service is gone": (remove(SERVICE), f"{IP} has leaked"),
    "a slice's service is gone": (remove(SERVICE), "is of service ns/web, which is gone"),
    "an address is two services'": (double(SERVICE, "b", uid="u-3"), "is had by ns/web and ns/b"),
    "a port is not taken": (
        edit(SERVICE, "spec", "ports", to=[{"port": 80, "nodePort": 30002}]),
        "/ranges/port/tcp/30002 of ns/web is not taken",
    ),
    "a process has no pod": (remove(POD), "no pod has the uid u-pod"),
    "a process is on another node": (
        edit(POD, "spec", "nodeName", to="n9"),
        "runs on n1, but pod ns/web-1-a is on n9",
    ),
    "a process outlives its pod": (edit(POD, "status", "phase", to="Failed"), "is Failed"),
    "a pod without a process": (
        edit(JOB_POD, "status", "phase", to="Running"),
        "has 0 shims instead of one",
    ),
    "a container without a process": (
        edit(POD, "status", "containerStatuses", to=[]),
        "has 0 containers that run, and 1 processes",
    ),
    "volumes of a pod that is gone": (remove(JOB_POD), "keeps volumes of a pod"),
    "a sandbox of a pod that is gone": (remove(JOB_POD), "keeps sandbox s2"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_in_the_store_is_told(name: str) -> None:
    plant, told = PLANTED[name]
    given = objects()
    plant(given)
    faults = judged(dataclasses.replace(world(), objects=given))
    assert any(told in fault for fault in faults), faults


STRAYS: dict[str, tuple[Process, str]] = {
    "of a sandbox that is gone": (
        Process(50, 1, "sleep 9", "s9", "127.65.0.9"),
        "process 50 (sleep 9) of sandbox s9 is an orphan",
    ),
    "of a pod that is over": (Process(50, 1, "sleep 9", "s2"), "runs, but pod ns/sum-a is"),
    "below a shim": (Process(50, 21, "sleep 9"), "2 processes below its shim 21"),
    "a second shim": (
        Process(50, 20, SHIM, folder=f"{FOLDER}/n1/runtime/sandboxes/s1"),
        "has 2 shims instead of one",
    ),
    "of a container that is not told of": (
        Process(50, 22, "sleep 9", "s1", containers=frozenset({"c8"})),
        "has processes of container c8",
    ),
    "a second zygote": (Process(50, 1, SHIM, folder=f"{FOLDER}/n1/runtime"), "runs 2 times"),
    "a second agent": (
        Process(50, 10, f"python -m controlplane agent --root-dir={FOLDER}/n1"),
        "runs 2 times: 11, 50",
    ),
    "a member without its launcher": (
        Process(50, 1, f"python -m kvstore --data-dir={FOLDER}/m1"),
        "has lost its launcher",
    ),
}


@pytest.mark.parametrize("name", STRAYS)
def test_a_process_too_many_is_told(name: str) -> None:
    stray, told = STRAYS[name]
    found = world()
    faults = judged(dataclasses.replace(found, processes={**found.processes, stray.pid: stray}))
    assert any(told in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("pid", "told"),
    [
        (22, "has 1 containers that run, and 0 processes"),
        (21, "has 0 shims instead of one"),
        (21, "runs without the shim"),
    ],
)
def test_a_process_too_few_is_told(pid: int, told: str) -> None:
    found = world()
    rest = {key: one for key, one in found.processes.items() if key != pid}
    faults = judged(dataclasses.replace(found, processes=rest))
    assert any(told in fault for fault in faults), faults


def test_what_was_left_half_done_is_told() -> None:
    found = dataclasses.replace(world(), rests=frozenset({"/data/n1/runtime/sandboxes/s9.gone"}))
    assert judged(found) == ["/data/n1/runtime/sandboxes/s9.gone was left half done"]


def test_a_node_that_has_lost_all_is_told_and_a_hollow_one_is_not() -> None:
    found = dataclasses.replace(world(), sandboxes={}, processes={})
    assert any("has 0 shims instead of one" in fault for fault in judged(found))
    hollow = dataclasses.replace(found, nodes=frozenset(), volumes=frozenset())
    assert judged(hollow) == []


def test_a_sidecar_is_a_container_too() -> None:
    given = objects()
    status = given[POD]["status"]
    status["initContainerStatuses"], status["containerStatuses"] = status["containerStatuses"], []
    assert judged(dataclasses.replace(world(), objects=given)) == []


def test_a_claim_of_somebody_else_is_told() -> None:
    found = world()
    faults = judged(dataclasses.replace(found, ranges={**found.ranges, IP: "ns/other"}))
    assert faults == [f"{IP} is taken by ns/other, but ns/web has it"]


def test_a_claim_of_nobody_is_told() -> None:
    found = world()
    more = {**found.ranges, "/ranges/ip/127.66.0.8": "ns/gone"}
    [fault] = judged(dataclasses.replace(found, ranges=more))
    assert fault.startswith("/ranges/ip/127.66.0.8 has leaked")


def test_indexes_are_read_as_kubernetes_writes_them() -> None:
    assert jobs.indexes("") == []
    assert jobs.indexes("0,2-4,9") == [0, 2, 3, 4, 9]
