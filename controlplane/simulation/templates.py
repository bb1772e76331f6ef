"""What users of the simulation write, and what their containers do once they run.

web:N       runs until it is stopped; at N = 3 it takes no notice of its stop signal
web:broken  cannot be started
web:crash   ends with 1 some seconds after each start
task:1      ends after some seconds, one in four times with 1
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig

GOOD_IMAGES = ("web:1", "web:2", "web:3")
BAD_IMAGES = ("web:broken", "web:crash")
TASK_IMAGE = "task:1"
GRACE_SECONDS = 4
BORNE_SECONDS = 5  # a node that is lost
_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_FAILURES_IN = 4
_STARTS_MAX = 8  # of eighths of a second


def script(sandbox: SandboxConfig, container: ContainerConfig) -> Script:
    """What becomes of an attempt of a container; the same in every run of a seed."""
    luck = crc32(f"{sandbox.uid} {container.attempt}".encode())
    start_seconds = (1 + luck % _STARTS_MAX) / 8
    match container.image:
        case "web:broken":
            return Script(refusal=("CreateContainerError", "it cannot be made"))
        case "web:crash":
            return Script(start_seconds=start_seconds, run_seconds=2.0, exit_code=1)
        case "web:3":
            return Script(start_seconds=start_seconds, stop_seconds=None)
        case "task:1":
            code = int(luck % _FAILURES_IN == 0)
            run_seconds = 1.0 + luck % 5
            return Script(start_seconds=start_seconds, run_seconds=run_seconds, exit_code=code)
        case _:
            return Script(start_seconds=start_seconds, stop_seconds=0.5)


def template(labels: Mapping[str, str], image: str, *, restarts: str = "Always") -> dict[str, Any]:
    """Of pods."""
    bears = [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": BORNE_SECONDS,
        }
        for key in _LOST
    ]
    requests = {"cpu": "1", "memory": "1Gi"}
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": restarts,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "tolerations": bears,
            "containers": [{"name": "main", "image": image, "resources": {"requests": requests}}],
        },
    }


def deployment(
    namespace: str, name: str, *, replicas: int, image: str, strategy: Mapping[str, Any]
) -> dict[str, Any]:
    """`strategy`: as its spec has it."""
    labels = {"app": name}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template(labels, image),
            "strategy": dict(strategy),
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 60,
        },
    }


def job(
    namespace: str, name: str, *, completions: int, parallelism: int, is_indexed: bool
) -> dict[str, Any]:
    """It survives any number of failures."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "completions": completions,
            "parallelism": parallelism,
            "completionMode": "Indexed" if is_indexed else "NonIndexed",
            "backoffLimit": 1_000,
            "template": template({"task": name}, TASK_IMAGE, restarts="Never"),
        },
    }


def service(namespace: str, name: str) -> dict[str, Any]:
    """Of the Deployment of its name."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def budget(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of the Deployment of its name."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "selector": {"matchLabels": {"app": name}}},
    }
