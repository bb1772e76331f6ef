"""Types of `autoscaling_v2`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class HPAScalingPolicy(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"periodSeconds", "type", "value"})
    period_seconds: int = 0
    type: str = ""
    value: int = 0


class HPAScalingRules(Record, frozen=True, kw_only=True):
    policies: tuple[HPAScalingPolicy, ...] = ()
    select_policy: str | None = None
    stabilization_window_seconds: int | None = None
    tolerance: str | None = None


class HorizontalPodAutoscalerBehavior(Record, frozen=True, kw_only=True):
    scale_down: HPAScalingRules | None = None
    scale_up: HPAScalingRules | None = None


class MetricTarget(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    average_utilization: int | None = None
    average_value: str | None = None
    type: str = ""
    value: str | None = None


class ContainerResourceMetricSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"container", "name", "target"})
    container: str = ""
    name: str = ""
    target: MetricTarget = MetricTarget()


class MetricIdentifier(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    selector: meta_v1.LabelSelector | None = None


class ExternalMetricSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"metric", "target"})
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class CrossVersionObjectReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_version: str = ""
    kind: str = ""
    name: str = ""


class ObjectMetricSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"describedObject", "metric", "target"})
    described_object: CrossVersionObjectReference = CrossVersionObjectReference()
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class PodsMetricSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"metric", "target"})
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ResourceMetricSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "target"})
    name: str = ""
    target: MetricTarget = MetricTarget()


class MetricSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    container_resource: ContainerResourceMetricSource | None = None
    external: ExternalMetricSource | None = None
    object: ObjectMetricSource | None = None
    pods: PodsMetricSource | None = None
    resource: ResourceMetricSource | None = None
    type: str = ""


class HorizontalPodAutoscalerSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"maxReplicas", "scaleTargetRef"})
    behavior: HorizontalPodAutoscalerBehavior | None = None
    max_replicas: int = 0
    metrics: tuple[MetricSpec, ...] = ()
    min_replicas: int | None = None
    scale_target_ref: CrossVersionObjectReference = CrossVersionObjectReference()


class HorizontalPodAutoscalerCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class MetricValueStatus(Record, frozen=True, kw_only=True):
    average_utilization: int | None = None
    average_value: str | None = None
    value: str | None = None


class ContainerResourceMetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"container", "current", "name"})
    container: str = ""
    current: MetricValueStatus = MetricValueStatus()
    name: str = ""


class ExternalMetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"current", "metric"})
    current: MetricValueStatus = MetricValueStatus()
    metric: MetricIdentifier = MetricIdentifier()


class ObjectMetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"current", "describedObject", "metric"})
    current: MetricValueStatus = MetricValueStatus()
    described_object: CrossVersionObjectReference = CrossVersionObjectReference()
    metric: MetricIdentifier = MetricIdentifier()


class PodsMetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"current", "metric"})
    current: MetricValueStatus = MetricValueStatus()
    metric: MetricIdentifier = MetricIdentifier()


class ResourceMetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"current", "name"})
    current: MetricValueStatus = MetricValueStatus()
    name: str = ""


class MetricStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    container_resource: ContainerResourceMetricStatus | None = None
    external: ExternalMetricStatus | None = None
    object: ObjectMetricStatus | None = None
    pods: PodsMetricStatus | None = None
    resource: ResourceMetricStatus | None = None
    type: str = ""


class HorizontalPodAutoscalerStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"currentMetrics", "desiredReplicas"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    conditions: tuple[HorizontalPodAutoscalerCondition, ...] = ()
    current_metrics: tuple[MetricStatus, ...] = ()
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: str | None = None
    observed_generation: int | None = None


class HorizontalPodAutoscaler(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "autoscaling/v2"
    kind: str = "HorizontalPodAutoscaler"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()
