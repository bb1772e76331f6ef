"""What a Job's podFailurePolicy says of a pod that failed. PURE.

Rules are tried in order, and the first that matches decides; without one the failure counts.

Source: Kubernetes' API reference of PodFailurePolicy; kube-behaviour 4.13.
"""

from collections.abc import Iterator
from typing import Literal, cast

import msgspec

from controlplane.api.types.batch_v1 import (
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
)
from controlplane.api.types.core_v1 import ContainerStatus, Pod

Action = Literal["Count", "FailIndex", "FailJob", "Ignore"]


class Ruling(msgspec.Struct, frozen=True):
    """What becomes of a failure. `message`: why the job fails with it."""

    action: Action = "Count"
    message: str = ""

    @property
    def is_counted(self) -> bool:
        """Against the limits of the job, or of its index."""
        return self.action != "Ignore"


COUNTED = Ruling()


def ruling(policy: PodFailurePolicy | None, pod: Pod) -> Ruling:
    """Of a pod that failed."""
    for position, rule in enumerate(policy.rules if policy is not None else ()):
        cause = _cause(rule, pod)
        if cause:
            message = f"{cause} matching {rule.action} rule at index {position}"
            return Ruling(cast("Action", rule.action), message)
    return COUNTED


def _cause(rule: PodFailurePolicyRule, pod: Pod) -> str:
    """What of a pod the rule is about; empty: nothing."""
    whom = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.on_exit_codes is not None:
        for status, code in _failures(pod):
            if _is_meant(rule.on_exit_codes, status, code):
                return f"Container {status.name} for pod {whom} failed with exit code {code}"
        return ""
    for pattern in rule.on_pod_conditions:
        for one in pod.status.conditions:
            if (one.type, one.status) == (pattern.type, pattern.status):
                return f"Pod {whom} has condition {one.type}"
    return ""


def _failures(pod: Pod) -> Iterator[tuple[ContainerStatus, int]]:
    """Containers that failed, and their exit codes."""
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        ended = status.state.terminated
        if ended is not None and ended.exit_code:
            yield status, ended.exit_code


def _is_meant(
    requirement: PodFailurePolicyOnExitCodesRequirement, status: ContainerStatus, code: int
) -> bool:
    if requirement.container_name not in (None, status.name):
        return False
    return (code in requirement.values) == (requirement.operator == "In")
