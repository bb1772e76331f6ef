"""What is told when a container begins to wait, once each time. PURE.

Source: Kubernetes' kubelet, as users see it in `kubectl describe`; kube-behaviour 10.4.
"""

from collections.abc import Iterator
from typing import Literal

from controlplane.api.types.core_v1 import Pod, PodStatus


def waiting_events(
    pod: Pod, status: PodStatus
) -> Iterator[tuple[Literal["Normal", "Warning"], str, str]]:
    """Kind, reason and message of each event. status: as it is to be told now"""
    before = {
        one.name: one.state.waiting.reason
        for one in (*pod.status.container_statuses, *pod.status.init_container_statuses)
        if one.state.waiting is not None
    }
    meta = pod.metadata
    for one in (*status.container_statuses, *status.init_container_statuses):
        waiting = one.state.waiting
        if waiting is None or before.get(one.name) == waiting.reason:
            continue
        if waiting.reason == "CrashLoopBackOff":
            whose = f"{meta.name}_{meta.namespace}({meta.uid})"
            told = f"Back-off restarting failed container {one.name} in pod {whose}"
            yield "Warning", "BackOff", told
        elif waiting.reason == "ImagePullBackOff":
            yield "Normal", "BackOff", waiting.message
            yield "Warning", "Failed", "Error: ImagePullBackOff"
