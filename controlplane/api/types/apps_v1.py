"""Types of `apps_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from controlplane.api.record import Record
from controlplane.api.types import core_v1, meta_v1


class ControllerRevision(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "revision"})
    api_version: str = "apps/v1"
    data: Any = None
    kind: str = "ControllerRevision"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    revision: int = 0


class RollingUpdateDaemonSet(Record, frozen=True, kw_only=True):
    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class DaemonSetUpdateStrategy(Record, frozen=True, kw_only=True):
    rolling_update: RollingUpdateDaemonSet | None = None
    type: str = ""


class DaemonSetSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"template"})
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    selector: meta_v1.LabelSelector | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    update_strategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()


class DaemonSetCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class DaemonSetStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"}
    )
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    collision_count: int | None = None
    conditions: tuple[DaemonSetCondition, ...] = ()
    current_number_scheduled: int = 0
    desired_number_scheduled: int = 0
    number_available: int = 0
    number_misscheduled: int = 0
    number_ready: int = 0
    number_unavailable: int = 0
    observed_generation: int = 0
    updated_number_scheduled: int = 0


class DaemonSet(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "apps/v1"
    kind: str = "DaemonSet"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class RollingUpdateDeployment(Record, frozen=True, kw_only=True):
    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class DeploymentStrategy(Record, frozen=True, kw_only=True):
    rolling_update: RollingUpdateDeployment | None = None
    type: str = ""


class DeploymentSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"template"})
    min_ready_seconds: int = 0
    paused: bool = False
    progress_deadline_seconds: int | None = None
    replicas: int | None = None
    revision_history_limit: int | None = None
    selector: meta_v1.LabelSelector | None = None
    strategy: DeploymentStrategy = DeploymentStrategy()
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()


class DeploymentCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    last_update_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class DeploymentStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    available_replicas: int = 0
    collision_count: int | None = None
    conditions: tuple[DeploymentCondition, ...] = ()
    observed_generation: int = 0
    ready_replicas: int = 0
    replicas: int = 0
    terminating_replicas: int | None = None
    unavailable_replicas: int = 0
    updated_replicas: int = 0


class Deployment(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(Record, frozen=True, kw_only=True):
    min_ready_seconds: int = 0
    replicas: int | None = None
    selector: meta_v1.LabelSelector | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()


class ReplicaSetCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class ReplicaSetStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"replicas"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    available_replicas: int = 0
    conditions: tuple[ReplicaSetCondition, ...] = ()
    fully_labeled_replicas: int = 0
    observed_generation: int = 0
    ready_replicas: int = 0
    replicas: int = 0
    terminating_replicas: int | None = None


class ReplicaSet(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "apps/v1"
    kind: str = "ReplicaSet"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class StatefulSetOrdinals(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"start"})
    start: int = 0


class StatefulSetPersistentVolumeClaimRetentionPolicy(Record, frozen=True, kw_only=True):
    when_deleted: str = ""
    when_scaled: str = ""


class RollingUpdateStatefulSetStrategy(Record, frozen=True, kw_only=True):
    max_unavailable: int | str | None = None
    partition: int | None = None


class StatefulSetUpdateStrategy(Record, frozen=True, kw_only=True):
    rolling_update: RollingUpdateStatefulSetStrategy | None = None
    type: str = ""


class StatefulSetSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"serviceName", "template"})
    min_ready_seconds: int = 0
    ordinals: StatefulSetOrdinals | None = None
    persistent_volume_claim_retention_policy: (
        StatefulSetPersistentVolumeClaimRetentionPolicy | None
    ) = None
    pod_management_policy: str = ""
    replicas: int | None = None
    revision_history_limit: int | None = None
    selector: meta_v1.LabelSelector | None = None
    service_name: str = ""
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    update_strategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    volume_claim_templates: tuple[core_v1.PersistentVolumeClaim, ...] = ()


class StatefulSetCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class StatefulSetStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"availableReplicas", "replicas"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    available_replicas: int = 0
    collision_count: int | None = None
    conditions: tuple[StatefulSetCondition, ...] = ()
    current_replicas: int = 0
    current_revision: str = ""
    observed_generation: int = 0
    ready_replicas: int = 0
    replicas: int = 0
    update_revision: str = ""
    updated_replicas: int = 0


class StatefulSet(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "apps/v1"
    kind: str = "StatefulSet"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()
