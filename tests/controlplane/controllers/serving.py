"""Services, the pods behind them and the nodes below, as structs and as objects."""

from collections.abc import Mapping
from typing import Any

from controlplane.api.meta import rfc3339
from controlplane.api.types.core_v1 import (
    Container,
    ContainerPort,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
    Taint,
    Toleration,
)
from controlplane.api.types.meta_v1 import ObjectMeta
from tests.controlplane.controllers.objects import NOW

LABELS = {"app": "web"}


def service(
    name: str = "web",
    *ports: ServicePort,
    namespace: str = "default",
    labels: Mapping[str, str] = {},
    **spec: Any,
) -> Service:
    """One that selects LABELS at port 80, if nothing else is said."""
    told = {
        "cluster_ip": "10.96.0.10",
        "ip_families": ("IPv4",),
        "selector": LABELS,
        "type": "ClusterIP",
        "ports": ports or (ServicePort(name="http", port=80, protocol="TCP", target_port=8080),),
        **spec,
    }
    metadata = ObjectMeta(
        name=name,
        namespace=namespace,
        uid=f"uid-{name}",
        labels=labels,
        creation_timestamp=rfc3339(NOW),
    )
    return Service(metadata=metadata, spec=ServiceSpec(**told))


def pod(
    number: int = 0,
    *,
    namespace: str = "default",
    is_ready: bool = True,
    is_deleted: bool = False,
    node: str = "",
    ports: Mapping[str, int] = {},
    ip: str | None = None,
    tolerations: tuple[Toleration, ...] = (),
    ready_at: float = NOW,
    phase: str = "Running",
    **spec: Any,
) -> Pod:
    """One of many: `number` makes its name, uid and address. `ports`: by name."""
    address = f"127.64.{number // 250}.{number % 250 + 1}" if ip is None else ip
    container = Container(
        name="main",
        ports=tuple(
            ContainerPort(name=name, container_port=port, protocol="TCP")
            for name, port in ports.items()
        ),
    )
    metadata = ObjectMeta(
        name=f"pod-{number}",
        namespace=namespace,
        uid=f"uid-pod-{number}",
        labels=LABELS,
        creation_timestamp=rfc3339(NOW),
        deletion_timestamp=rfc3339(NOW) if is_deleted else None,
    )
    ready = PodCondition(
        type="Ready",
        status="True" if is_ready else "False",
        last_transition_time=rfc3339(ready_at),
    )
    return Pod(
        metadata=metadata,
        spec=PodSpec(containers=(container,), node_name=node, tolerations=tolerations, **spec),
        status=PodStatus(
            conditions=(ready,),
            phase=phase,
            pod_ip=address,
            pod_ips=(PodIP(ip=address),) if address else (),
        ),
    )


def node(
    name: str = "n1",
    *,
    ready: str = "True",
    zone: str = "",
    taints: tuple[Taint, ...] = (),
    unschedulable: bool = False,
    heartbeat: float = NOW,
    **conditions: str,
) -> Node:
    """`ready`, `conditions`: the status of conditions; empty: there is no such condition."""
    told = {"Ready": ready, **conditions}
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return Node(
        metadata=ObjectMeta(
            name=name,
            uid=f"uid-{name}",
            labels=labels,
            creation_timestamp=rfc3339(NOW),
        ),
        spec=NodeSpec(taints=taints, unschedulable=unschedulable),
        status=NodeStatus(
            conditions=tuple(
                NodeCondition(
                    type=kind,
                    status=status,
                    last_heartbeat_time=rfc3339(heartbeat),
                    last_transition_time=rfc3339(NOW),
                )
                for kind, status in told.items()
                if status
            )
        ),
    )
