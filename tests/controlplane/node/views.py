"""Pods, and what a runtime tells of them, for tests of what is pure."""

from typing import Any

import msgspec

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Pod, PodStatus
from controlplane.node import restarts
from controlplane.node.plan import Health, Situation
from controlplane.node.runtime.interface import (
    Container,
    ContainerConfig,
    ContainerState,
    Sandbox,
    SandboxConfig,
)
from controlplane.node.statuses import pod_status
from controlplane.node.view import PodView
from tests.controlplane.node import nodes

WALL = 1_700_000_000.0  # 2023-11-14T22:13:20Z
NOW = 1_000.0
HOST_IP = "192.0.2.1"
UID = "11111111-2222-4333-8444-555555555555"


def pod(*containers: Any, status: dict[str, Any] | None = None, **spec: Any) -> Pod:
    """Named p, in default."""
    made = nodes.pod("p", *containers, **spec)
    made["metadata"] |= {"uid": UID, "generation": 1}
    return from_object(Pod, {**made, "status": status or {}})


def deleted(one: Pod, *, at: str = "2023-11-14T22:13:50Z", grace: int = 30) -> Pod:
    meta = msgspec.structs.replace(
        one.metadata, deletion_timestamp=at, deletion_grace_period_seconds=grace
    )
    return msgspec.structs.replace(one, metadata=meta)


def sandbox(number: int = 0, *, is_ready: bool = True, address: str = "10.1.0.2") -> Sandbox:
    config = SandboxConfig(
        name="p", namespace="default", uid=UID, attempt=number, log_folder="/nowhere"
    )
    return Sandbox(
        id=f"s{number}", config=config, is_ready=is_ready, address=address, created_at=WALL
    )


def ran(
    name: str,
    state: ContainerState = "running",
    *,
    attempt: int = 0,
    code: int = 0,
    delay: float = 0.0,
    seconds: float = 1.0,
    sandbox_id: str = "s0",
    image: str = "",
) -> Container:
    """A container; `seconds`: that it ran for."""
    config = ContainerConfig(
        name=name,
        attempt=attempt,
        image=image or f"local/{name}",
        log_path=f"{name}/{attempt}.log",
        annotations={restarts.DELAY: f"{delay:g}"},
    )
    is_ended = state == "exited"
    return Container(
        id=f"{name}-{attempt}",
        sandbox_id=sandbox_id,
        config=config,
        state=state,
        image_id=f"id-of-{name}",
        created_at=WALL,
        started_at=0.0 if state == "created" else WALL,
        finished_at=WALL + seconds if is_ended else 0.0,
        exit_code=code,
        reason="" if not is_ended else ("Error" if code else "Completed"),
    )


def view(*containers: Container, sandboxes: tuple[Sandbox, ...] | None = None) -> PodView:
    newest = tuple(sorted(containers, key=lambda one: one.config.attempt, reverse=True))
    return PodView((sandbox(),) if sandboxes is None else sandboxes, newest)


def situation(one: Pod, seen: PodView, **fields: Any) -> Situation:
    """At NOW."""
    return Situation(pod=one, view=seen, **{"now": NOW, **fields})


def told(found: Situation, *, is_over: bool = False, **fields: Any) -> PodStatus:
    return pod_status(
        found, host_ip=HOST_IP, wall=WALL + 60, is_over=is_over, scheme="process", **fields
    )


STARTED = Health()
UNREADY = Health(is_ready=False)
