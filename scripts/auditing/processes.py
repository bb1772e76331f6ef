"""Processes and pods: who runs has its processes once, and each process has its pod. PURE.

A shim works in the folder of its sandbox; what it runs has the sandbox's id in its environment,
or descends from the shim; where there are cgroups, it is in that of its container.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from auditing.world import TERMINAL, Object, Process, World, called, phase, uid

_SHIM = "controlplane.node.runtime.shim"
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_COMPONENT = re.compile(r"-m (kvstore|controlplane) ")


def faults(world: World) -> Iterator[str]:
    """What cannot be."""
    shims = _shims(world)
    owners = _owners(world, shims)
    yield from _strays(world, owners, shims)
    yield from _running(world, owners, shims)
    yield from _keepers(world)
    yield from _files(world)


def _shims(world: World) -> dict[str, list[int]]:
    """Sandbox id to the processes that say they are its shim. Where there are no namespaces it has
    forks of its own, which keep a container each: these are what it runs.
    """
    place = re.compile(re.escape(world.folder) + r"/[^/]+/runtime/sandboxes/(\w+)$")
    of: dict[int, str] = {}
    for process in world.processes.values():
        match = place.match(process.folder)
        if match and _SHIM in process.command:
            of[process.pid] = match[1]
    found: dict[str, list[int]] = defaultdict(list)
    for pid, sandbox in of.items():
        if of.get(world.processes[pid].parent) != sandbox:
            found[sandbox].append(pid)
    return found


def _owners(world: World, shims: Mapping[str, list[int]]) -> dict[int, str]:
    """Process to the sandbox that it belongs to, of those that belong to one of this cluster."""
    by_pid = {pid: sandbox for sandbox, pids in shims.items() for pid in pids}
    found = {}
    for process in world.processes.values():
        if process.pid in by_pid:
            found[process.pid] = by_pid[process.pid]
            continue
        ours = process.sandbox in world.sandboxes or process.address.startswith(world.pod_range)
        if process.sandbox and ours:
            found[process.pid] = process.sandbox
            continue
        above = next((pid for pid in _ancestors(world, process) if pid in by_pid), None)
        if above is not None:
            found[process.pid] = by_pid[above]
    return found


def _ancestors(world: World, process: Process) -> Iterator[int]:
    seen = {process.pid}
    while process.parent in world.processes and process.parent not in seen:
        seen.add(process.parent)
        process = world.processes[process.parent]
        yield process.pid


def _strays(
    world: World, owners: Mapping[int, str], shims: Mapping[str, list[int]]
) -> Iterator[str]:
    pods = {uid(pod): pod for pod in world.all("core/pods")}
    for pid, sandbox_id in sorted(owners.items()):
        process = world.processes[pid]
        told = f"process {pid} ({process.command[:60]}) of sandbox {sandbox_id}"
        sandbox = world.sandboxes.get(sandbox_id)
        if sandbox is None:
            yield f"{told} is an orphan: no node has this sandbox"
            continue
        pod = pods.get(sandbox.uid)
        if pod is None:
            yield f"{told} is an orphan: no pod has the uid {sandbox.uid}"
        elif pod["spec"].get("nodeName") != sandbox.node:
            node = pod["spec"].get("nodeName")
            yield f"{told} runs on {sandbox.node}, but {called(pod)} is on {node}"
        elif phase(pod) in TERMINAL:
            yield f"{told} runs, but {called(pod)} is {phase(pod)}"
        elif not shims.get(sandbox_id):
            yield f"{told} runs without the shim of {called(pod)}"


def _running(
    world: World, owners: Mapping[int, str], shims: Mapping[str, list[int]]
) -> Iterator[str]:
    sandboxes = defaultdict(list)
    for sandbox in world.sandboxes.values():
        sandboxes[sandbox.uid].append(sandbox.id)
    for pod in world.all("core/pods"):
        if phase(pod) != "Running" or pod["spec"].get("nodeName") not in world.nodes:
            continue
        keepers = [pid for one in sandboxes[uid(pod)] for pid in shims.get(one, ())]
        if len(keepers) != 1:
            yield f"{called(pod)} is Running, and has {len(keepers)} shims instead of one"
            continue
        yield from _containers(world, pod, keepers[0], owners)


def _containers(world: World, pod: Object, shim: int, owners: Mapping[int, str]) -> Iterator[str]:
    status = pod.get("status") or {}
    running = {
        str(one["containerID"]).rpartition("/")[2]: str(one["name"])
        for kind in _STATUSES
        for one in status.get(kind) or ()
        if "running" in (one.get("state") or {})
    }
    below = [p for p in world.processes.values() if owners.get(p.pid) == owners[shim]]
    first = [process for process in below if process.parent == shim]
    if len(first) != len(running):
        yield (
            f"{called(pod)} has {len(running)} containers that run, and {len(first)} processes"
            f" below its shim {shim}"
        )
    grouped = {name for process in below for name in process.containers}
    if grouped:
        for name in running.keys() - grouped:
            yield f"container {running[name]} of {called(pod)} is told to run, without a process"
        for name in grouped - running.keys():
            yield f"{called(pod)} has processes of container {name}, which it does not tell of"


def _keepers(world: World) -> Iterator[str]:
    """Of members, components and zygotes there is one each, and each has its launcher."""
    lines: dict[str, list[int]] = defaultdict(list)
    for process in world.processes.values():
        is_zygote = _SHIM in process.command and process.folder.endswith("/runtime")
        is_component = _COMPONENT.search(process.command) and _SHIM not in process.command
        if f"{world.folder}/" not in process.command or not (is_zygote or is_component):
            continue
        lines[process.command].append(process.pid)
        parent = world.processes.get(process.parent)
        if is_component and (parent is None or " up" not in parent.command):
            yield f"process {process.pid} ({process.command[:60]}) has lost its launcher"
    for command, pids in lines.items():
        if len(pids) > 1:
            yield f"{command[:80]} runs {len(pids)} times: {', '.join(map(str, sorted(pids)))}"


def _files(world: World) -> Iterator[str]:
    """What nodes keep is of pods that are theirs."""
    nodes = {uid(pod): pod["spec"].get("nodeName") for pod in world.all("core/pods")}
    for sandbox in world.sandboxes.values():
        if nodes.get(sandbox.uid) != sandbox.node:
            yield f"{sandbox.node} keeps sandbox {sandbox.id} of a pod that it does not have"
    for node, of in sorted(world.volumes):
        if nodes.get(of) != node:
            yield f"{node} keeps volumes of a pod that it does not have: {of}"
    for rest in sorted(world.rests):
        yield f"{rest} was left half done"
