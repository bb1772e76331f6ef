"""What a Node object says of its node. PURE.

Source: Kubernetes' documentation, "Node Status", "Nodes", "Node-pressure Eviction",
"Reserve Compute Resources for System Daemons"; kube-behaviour 6.1, 6.4, 6.5.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from controlplane.api.meta import rfc3339
from controlplane.api.quantity import render
from controlplane.api.types.core_v1 import (
    DaemonEndpoint,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
)
from controlplane.node.eviction_signals import (
    DEFAULT_THRESHOLDS,
    Pressures,
    Thresholds,
    kept_back,
)

VERSION = "v1.33.0+keelson"
PODS_MAX = 110

ISOLATION = "keelson.dev/isolation"
"""Label: what keeps containers of the node apart."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine is, which does not change while it runs. Sizes are bytes."""

    hostname: str
    cpus: int
    memory: int
    disk: int
    machine: str = "x86_64"
    kernel: str = ""
    os_image: str = ""
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows of its node besides the machine.

    runtime     `name://version`
    port        of its HTTPS server; 0: it has none
    thresholds  with less left, it evicts pods
    """

    name: str
    address: str
    runtime: str
    isolation: str
    port: int = 0
    pods_max: int = PODS_MAX
    thresholds: Thresholds = DEFAULT_THRESHOLDS


def architecture_of(facts: Facts) -> str:
    """Go's word for it."""
    return _ARCHITECTURES.get(facts.machine, facts.machine)


def capacity(facts: Facts, pods_max: int = PODS_MAX) -> dict[str, str]:
    """All that a machine has."""
    return {
        "cpu": str(facts.cpus),
        "ephemeral-storage": _bytes(facts.disk),
        "memory": _bytes(facts.memory),
        "pods": str(pods_max),
    }


def allocatable(
    facts: Facts, pods_max: int = PODS_MAX, thresholds: Thresholds = DEFAULT_THRESHOLDS
) -> dict[str, str]:
    """… without what would make it evict."""
    disk = facts.disk - kept_back(thresholds, "nodefs.available", facts.disk)
    memory = facts.memory - kept_back(thresholds, "memory.available", facts.memory)
    return {
        **capacity(facts, pods_max),
        "ephemeral-storage": str(max(disk, 0)),
        "memory": _bytes(max(memory, 0)),
    }


def _bytes(count: int) -> str:
    """As Kubernetes' nodes tell it: in Ki."""
    return render(Fraction(count // 1024 * 1024), "BinarySI")


def labels_of(identity: Identity, facts: Facts) -> dict[str, str]:
    """Those that the agent sets."""
    architecture = architecture_of(facts)
    return {
        "kubernetes.io/hostname": facts.hostname,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
        ISOLATION: identity.isolation.replace("+", "-"),
    }


def node_status(
    before: NodeStatus,
    identity: Identity,
    facts: Facts,
    pressures: Pressures,
    *,
    faults: Iterable[str],
    now: float,
) -> NodeStatus:
    """What it is to say now.

    faults  why it cannot run pods; none: it is ready
    now     seconds since 1970
    """
    told = [one for one in faults if one]
    said = _conditions(pressures, told)
    return msgspec.structs.replace(
        before,
        addresses=(
            NodeAddress(type="InternalIP", address=identity.address),
            NodeAddress(type="Hostname", address=facts.hostname),
        ),
        capacity=capacity(facts, identity.pods_max),
        allocatable=allocatable(facts, identity.pods_max, identity.thresholds),
        conditions=_since(before.conditions, said, now),
        daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=identity.port)),
        node_info=NodeSystemInfo(
            architecture=architecture_of(facts),
            boot_id=facts.boot_id,
            container_runtime_version=identity.runtime,
            kernel_version=facts.kernel,
            kubelet_version=VERSION,
            machine_id=facts.machine_id,
            operating_system="linux",
            os_image=facts.os_image,
            system_uuid=facts.system_uuid,
        ),
    )


_PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}


def _conditions(pressures: Pressures, faults: list[str]) -> list[NodeCondition]:
    felt = (pressures.memory, pressures.disk, pressures.pids)
    said = []
    for (kind, words), is_felt in zip(_PRESSURES.items(), felt, strict=True):
        reason, message = words[is_felt]
        status = "True" if is_felt else "False"
        said.append(NodeCondition(type=kind, status=status, reason=reason, message=message))
    if faults:
        ready = ("False", "KubeletNotReady", "; ".join(faults))
    else:
        ready = ("True", "KubeletReady", "kubelet is posting ready status")
    status, reason, message = ready
    said.append(NodeCondition(type="Ready", status=status, reason=reason, message=message))
    return said


def _since(
    before: Iterable[NodeCondition], said: Iterable[NodeCondition], now: float
) -> tuple[NodeCondition, ...]:
    """A time of transition changes with the status only; conditions of others stay."""
    found = {one.type: one for one in before}
    moment = rfc3339(now)
    for one in said:
        old = found.get(one.type)
        is_same = old is not None and old.status == one.status
        since = old.last_transition_time if is_same and old is not None else None
        found[one.type] = msgspec.structs.replace(
            one, last_heartbeat_time=moment, last_transition_time=since or moment
        )
    return tuple(found.values())


def is_news(before: NodeStatus, after: NodeStatus) -> bool:
    """Whether it says something else: the time of a heartbeat is nothing."""
    return _without_heartbeats(before) != _without_heartbeats(after)


def _without_heartbeats(status: NodeStatus) -> NodeStatus:
    conditions = tuple(
        msgspec.structs.replace(one, last_heartbeat_time=None) for one in status.conditions
    )
    return msgspec.structs.replace(status, conditions=conditions)


def lease_spec(name: str, renewed: str, seconds: float) -> Mapping[str, Any]:
    """`renewed`: a time with microseconds."""
    return {
        "holderIdentity": name,
        "leaseDurationSeconds": int(seconds),
        "renewTime": renewed,
    }
