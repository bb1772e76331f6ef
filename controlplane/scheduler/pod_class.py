"""What the scheduler knows of pods. Those that differ in their names only share a class. PURE.

All that is worth computing once (selectors, sums of requests, which nodes pass) is computed once
for a class, so that the thousandth pod of a ReplicaSet costs next to nothing.
"""

from collections.abc import Mapping
from weakref import WeakValueDictionary

import msgspec

from controlplane.api.selectors import LabelSelector
from controlplane.api.types.core_v1 import Pod, Taint, Toleration
from controlplane.scheduler import requests
from controlplane.scheduler.node_terms import NodeAsk, ask_of
from controlplane.scheduler.priorities import NORMAL, Priority
from controlplane.scheduler.requests import CPU, MEMORY
from controlplane.scheduler.terms import Carried, Terms, terms_of
from controlplane.scheduler.volume_claims import claims_of

DEFAULT_SCHEDULER = "default-scheduler"
ANY_IP = "0.0.0.0"


class HostPort(msgspec.Struct, frozen=True):
    """A port of the node's that a container wants. `ip` is 0.0.0.0 where it wants all."""

    ip: str
    protocol: str
    port: int


class PodClass:
    """What pods of one class have in common; two are the same only if they are the same object."""

    def __init__(
        self, pod: Pod, content: bytes, default: LabelSelector | None, node_name: str
    ) -> None:
        spec = pod.spec
        self.content = content
        """The same for classes that differ by their default spread, or by `node_name`, only."""
        self.namespace = pod.metadata.namespace
        self.labels: Mapping[str, str] = pod.metadata.labels
        self.node_name = node_name
        """The only node that it may have; empty: any."""
        self.requests = {name: n for name, n in requests.requests_of(spec).items() if n}
        estimate = requests.requests_of(
            spec, {CPU: requests.UNSET_CPU, MEMORY: requests.UNSET_MEMORY}
        )
        self.estimate = (estimate[CPU], estimate[MEMORY]) if estimate else (0, 0)
        """cpu and memory, with what is taken for containers that do not say."""
        self.ports = host_ports(pod)
        self.claims = claims_of(pod)
        self.images = requests.images_of(spec)
        self.tolerations = spec.tolerations
        self.node_ask: NodeAsk = ask_of(spec)
        self.terms: Terms = terms_of(pod, default)
        self.carried: tuple[Carried, ...] = self.terms.carried


class PodFacts(msgspec.Struct, frozen=True):
    """One pod.

    start  when it began to run, RFC 3339; empty: it has not
    """

    uid: str
    namespace: str
    name: str
    kind: PodClass
    scheduler_name: str = DEFAULT_SCHEDULER
    priority: int = 0
    is_preempting: bool = True
    node_name: str = ""
    nominated_node: str = ""
    is_terminating: bool = False
    is_disrupted: bool = False
    start: str = ""

    def counts_like(self, other: "PodFacts") -> bool:
        """Whether nothing is another count when one becomes the other."""
        return self.kind is other.kind and self.is_terminating == other.is_terminating

    def of_kind(self, kind: PodClass) -> "PodFacts":
        """The same pod in a class that differs by its default spread only."""
        return msgspec.structs.replace(self, kind=kind)


class PodClasses:
    """The classes of pods that anybody still knows."""

    def __init__(self) -> None:
        self._classes: WeakValueDictionary[object, PodClass] = WeakValueDictionary()

    def facts(
        self,
        pod: Pod,
        *,
        priority: Priority = NORMAL,
        default: LabelSelector | None = None,
        node_name: str = "",
    ) -> PodFacts:
        """Of a pod.

        default    which pods it is spread with where it says nothing itself
        node_name  the only node that it may have; empty: any
        """
        content = _content(pod)
        key = (content, default, node_name)
        kind = self._classes.get(key)
        if kind is None:
            kind = self._classes[key] = PodClass(pod, content, default, node_name)
        metadata, spec, status = pod.metadata, pod.spec, pod.status
        return PodFacts(
            uid=metadata.uid,
            namespace=metadata.namespace,
            name=metadata.name,
            kind=kind,
            scheduler_name=spec.scheduler_name or DEFAULT_SCHEDULER,
            priority=priority.value,
            is_preempting=priority.is_preempting,
            node_name=spec.node_name,
            nominated_node=status.nominated_node_name,
            is_terminating=metadata.deletion_timestamp is not None,
            is_disrupted=any(
                one.type == "DisruptionTarget" and one.status == "True" for one in status.conditions
            ),
            start=status.start_time or "",
        )


def _content(pod: Pod) -> bytes:
    """All of a pod that a plug-in may look at. Names and most volumes differ from pod to pod."""
    spec = pod.spec
    containers = [
        (one.image, one.resources, one.ports, one.restart_policy) for one in spec.init_containers
    ]
    return msgspec.msgpack.encode(
        (
            pod.metadata.namespace,
            pod.metadata.labels,
            containers,
            [(one.image, one.resources, one.ports) for one in spec.containers],
            spec.overhead,
            spec.node_selector,
            spec.affinity,
            spec.tolerations,
            spec.topology_spread_constraints,
            spec.host_network,
            claims_of(pod),
        )
    )


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """The ports of its node that a pod wants; on the node's network they are all its ports."""
    spec = pod.spec
    sidecars = [one for one in spec.init_containers if one.restart_policy == "Always"]
    found = []
    for container in (*sidecars, *spec.containers):
        for port in container.ports:
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number:
                found.append(HostPort(port.host_ip or ANY_IP, port.protocol or "TCP", number))
    return tuple(dict.fromkeys(found))


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Kubernetes, "Taints and Tolerations": an empty key, effect or operator is any, or Equal."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in ("", "Equal"):
        return toleration.value == taint.value
    return toleration.operator == "Exists"
