"""Types of `scheduling_v1`; made by scripts/gentypes."""

from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class PriorityClass(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "value"})
    api_version: str = "scheduling.k8s.io/v1"
    description: str = ""
    global_default: bool = False
    kind: str = "PriorityClass"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    preemption_policy: str | None = None
    value: int = 0
