"""The objects of the story: a small HTTP server, three of it, and its Service. PURE."""

from typing import Any

from cluster.workloads import MANAGED_BY

MANAGER = "cluster-demo"
NAMESPACE, NAME = "demo", "web"
REPLICAS = 3
PORT = 80
_LABELS = {"app": NAME}
_CONTAINER_PORT = 8080


def namespace() -> dict[str, Any]:
    """Where all of it is: deleted as a whole at the end."""
    metadata = {"name": NAMESPACE, "labels": {MANAGED_BY: MANAGER}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def service() -> dict[str, Any]:
    """What clients ask."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": _LABELS,
            "ports": [{"port": PORT, "targetPort": _CONTAINER_PORT}],
        },
    }


def deployment(version: str) -> dict[str, Any]:
    """REPLICAS servers, which answer with their name and `version`."""
    ready = {"httpGet": {"path": "/", "port": _CONTAINER_PORT}, "periodSeconds": 1}
    container = {
        "name": NAME,
        "image": "local/http",
        "env": [
            {"name": "VERSION", "value": version},
            {"name": "PORT", "value": str(_CONTAINER_PORT)},
        ],
        "ports": [{"containerPort": _CONTAINER_PORT}],
        "readinessProbe": ready,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": _LABELS},
            # As in Kubernetes' own example of an update without a gap.
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
            },
        },
    }
