"""Types of `policy_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class Eviction(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "policy/v1"
    delete_options: meta_v1.DeleteOptions | None = None
    kind: str = "Eviction"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()


class PodDisruptionBudgetSpec(Record, frozen=True, kw_only=True):
    max_unavailable: int | str | None = None
    min_available: int | str | None = None
    selector: meta_v1.LabelSelector | None = None
    unhealthy_pod_eviction_policy: str | None = None


class PodDisruptionBudgetStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"}
    )
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    conditions: tuple[meta_v1.Condition, ...] = ()
    current_healthy: int = 0
    desired_healthy: int = 0
    disrupted_pods: Mapping[str, str] = {}
    disruptions_allowed: int = 0
    expected_pods: int = 0
    observed_generation: int = 0


class PodDisruptionBudget(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "policy/v1"
    kind: str = "PodDisruptionBudget"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
