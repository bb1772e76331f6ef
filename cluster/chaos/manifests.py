"""The objects that users of a cluster in chaos make. PURE."""

import random
from typing import Any

from cluster.workloads import MANAGED_BY

MANAGER = "cluster-chaos"
NAMESPACE = "chaos"
PORT = 80
_CONTAINER_PORT = 8080
_PARTS = {"app.kubernetes.io/part-of": "chaos"}


def namespace() -> dict[str, Any]:
    """Where all of it is."""
    metadata = {"name": NAMESPACE, "labels": {MANAGED_BY: MANAGER}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def deployment(name: str, replicas: int, dice: random.Random) -> dict[str, Any]:
    """Servers, or programs that only wait, which are cheaper; with either strategy."""
    labels = {"app": name}
    strategies: tuple[dict[str, Any], ...] = (
        {"type": "Recreate"},
        {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "50%"}},
    )
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "strategy": dice.choice(strategies),
        "template": {
            "metadata": {"labels": labels | _PARTS},
            "spec": {
                "containers": [dice.choice((_server, _waiter, _waiter))()],
                "terminationGracePeriodSeconds": 2,
            },
        },
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _named(name), "spec": spec}


def _server() -> dict[str, Any]:
    ready = {"httpGet": {"path": "/", "port": _CONTAINER_PORT}, "periodSeconds": 1}
    return {
        "name": "main",
        "image": "local/http",
        "env": [{"name": "VERSION", "value": "0"}],
        "readinessProbe": ready,
    }


def _waiter() -> dict[str, Any]:
    return {"name": "main", "image": "local/pause", "env": [{"name": "VERSION", "value": "0"}]}


def updated(version: int) -> dict[str, Any]:
    """What changes a Deployment's template."""
    annotations = {"chaos.keelson.dev/version": str(version)}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def service(name: str, kind: str) -> dict[str, Any]:
    """Of a Deployment. kind: ClusterIP or NodePort."""
    spec = {
        "type": kind,
        "selector": {"app": name},
        "ports": [{"port": PORT, "targetPort": _CONTAINER_PORT}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _named(name), "spec": spec}


def job(name: str, dice: random.Random, **spec: object) -> dict[str, Any]:
    """Pods that run for 0 to 3 s. spec: of the Job; `fails`: its pods do."""
    code = 1 if spec.pop("fails", False) else 0
    command = f"sleep {dice.uniform(0, 3):.1f}; exit {code}"
    container = {"name": "main", "image": "local/shell", "command": ["sh", "-c", command]}
    template = {
        "metadata": {"labels": _PARTS},
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
        },
    }
    made = {"template": template, "backoffLimit": 20} | spec
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _named(name), "spec": made}


def _named(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}
