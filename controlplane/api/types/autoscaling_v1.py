"""Types of `autoscaling_v1`; made by scripts/gentypes."""

from typing import ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class CrossVersionObjectReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_version: str = ""
    kind: str = ""
    name: str = ""


class HorizontalPodAutoscalerSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"maxReplicas", "scaleTargetRef"})
    max_replicas: int = 0
    min_replicas: int | None = None
    scale_target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    target_cpu_utilization_percentage: int | None = field(
        default=None, name="targetCPUUtilizationPercentage"
    )


class HorizontalPodAutoscalerStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"currentReplicas", "desiredReplicas"})
    current_cpu_utilization_percentage: int | None = field(
        default=None, name="currentCPUUtilizationPercentage"
    )
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: str | None = None
    observed_generation: int | None = None


class HorizontalPodAutoscaler(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "autoscaling/v1"
    kind: str = "HorizontalPodAutoscaler"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()


class ScaleSpec(Record, frozen=True, kw_only=True):
    replicas: int = 0


class ScaleStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"replicas"})
    replicas: int = 0
    selector: str = ""


class Scale(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "autoscaling/v1"
    kind: str = "Scale"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ScaleSpec = ScaleSpec()
    status: ScaleStatus = ScaleStatus()
