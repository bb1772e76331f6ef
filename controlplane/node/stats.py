"""What a node and its containers use, as the kubelet's `/stats/summary` tells it. PURE.

Source: Kubernetes' API reference, "Node metrics data" and the Summary API; kube-behaviour 10.7.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from controlplane.node.runtime.interface import Container, Sandbox, Usage

NANOS = 1_000_000_000


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine at a moment. at, cpu_seconds: seconds; the rest bytes"""

    at: float
    cpu_seconds: float
    memory_total: int
    memory_available: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured at one moment. usage: by container id"""

    machine: Machine
    usage: Mapping[str, Usage]


def machine_of(stat: str, meminfo: str, *, ticks: int, at: float) -> Machine:
    """Out of /proc/stat and /proc/meminfo. ticks: of a second. Raises ValueError."""
    first = stat.partition("\n")[0].split()
    if first[:1] != ["cpu"] or len(first) < 8:
        raise ValueError("/proc/stat does not begin with what all CPUs did")
    spent = [int(number) for number in first[1:]]
    idle = spent[3] + spent[4]  # idle, and waiting for disks
    rows = (line.split() for line in meminfo.splitlines())
    memory = {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) > 1}
    return Machine(
        at=at,
        cpu_seconds=(sum(spent[:8]) - idle) / ticks,
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
    )


def summary(
    node: str,
    now: Sample,
    before: Sample | None,
    sandboxes: Sequence[Sandbox],
    containers: Sequence[Container],
) -> dict[str, Any]:
    """A Summary. before: an earlier sample; None: how fast anything is used is not known yet."""
    known = {} if before is None else before.usage
    pods: dict[str, dict[str, Any]] = {}
    of_sandbox = {one.id: one for one in sandboxes}
    for one in containers:
        usage, sandbox = now.usage.get(one.id), of_sandbox.get(one.sandbox_id)
        if usage is not None and sandbox is not None:
            pod = pods.setdefault(sandbox.config.uid, _pod(sandbox))
            pod["containers"].append(_container(one, usage, known.get(one.id)))
    return {
        "node": {
            "nodeName": node,
            **_node(now.machine, None if before is None else before.machine),
        },
        "pods": list(pods.values()),
    }


def _pod(sandbox: Sandbox) -> dict[str, Any]:
    config = sandbox.config
    return {
        "podRef": {"name": config.name, "namespace": config.namespace, "uid": config.uid},
        "startTime": _time(sandbox.created_at),
        "containers": [],
    }


def _container(container: Container, usage: Usage, before: Usage | None) -> dict[str, Any]:
    earlier = None if before is None else (before.at, before.cpu_seconds)
    return {
        "name": container.config.name,
        "startTime": _time(container.started_at),
        "cpu": _cpu((usage.at, usage.cpu_seconds), earlier),
        "memory": {"time": _time(usage.at), "workingSetBytes": usage.memory},
        "rootfs": {"time": _time(usage.at), "usedBytes": usage.disk},
        "process_stats": {"process_count": usage.pids},
    }


def _node(machine: Machine, before: Machine | None) -> dict[str, Any]:
    earlier = None if before is None else (before.at, before.cpu_seconds)
    used = machine.memory_total - machine.memory_available
    return {
        "cpu": _cpu((machine.at, machine.cpu_seconds), earlier),
        "memory": {
            "time": _time(machine.at),
            "availableBytes": machine.memory_available,
            "usageBytes": used,
            "workingSetBytes": used,
        },
    }


def _cpu(now: tuple[float, float], before: tuple[float, float] | None) -> dict[str, Any]:
    """now, before: when, and seconds used until then"""
    found: dict[str, Any] = {
        "time": _time(now[0]),
        "usageCoreNanoSeconds": round(now[1] * NANOS),
    }
    if before is not None and now[0] > before[0] and now[1] >= before[1]:
        found["usageNanoCores"] = round((now[1] - before[1]) / (now[0] - before[0]) * NANOS)
    return found


def _time(seconds: float) -> str:
    told = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return told.replace("+00:00", "Z")
