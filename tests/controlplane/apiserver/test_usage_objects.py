"""Objects of metrics.k8s.io out of what agents say, which may be anything."""

import pytest

from controlplane.api.resource import Object
from controlplane.apiserver.usage_objects import node_metrics, pod_metrics, pods_of, resources

TOLD = {
    "name": "main",
    "cpu": {"time": "1970-01-01T00:00:05Z", "usageNanoCores": 250_000_000},
    "memory": {"workingSetBytes": 3 * 1024 * 1024},
}
WHOM = {"name": "web", "namespace": "shop", "uid": "u"}


def test_a_pod() -> None:
    summary = {"pods": [{"podRef": WHOM, "containers": [TOLD, {"name": "new"}]}]}
    [(place, told)] = pods_of(summary)
    assert place == ("shop", "web")
    assert pod_metrics({"app": "web"}, told, 10.0) == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "creationTimestamp": "1970-01-01T00:00:10Z",
            "labels": {"app": "web"},
        },
        "timestamp": "1970-01-01T00:00:05Z",
        "window": "15s",
        "containers": [{"name": "main", "usage": {"cpu": "250m", "memory": "3Mi"}}],
    }


def test_a_node() -> None:
    found = node_metrics("n", {}, {"node": TOLD}, 10.0)
    assert found is not None
    assert (found["kind"], found["metadata"]["name"]) == ("NodeMetrics", "n")
    assert found["usage"] == {"cpu": "250m", "memory": "3Mi"}


@pytest.mark.parametrize("summary", [{}, {"node": None}, {"node": {"cpu": {}}}, {"pods": None}])
def test_what_is_not_known_yet(summary: Object) -> None:
    assert node_metrics("n", {}, summary, 10.0) is None
    assert list(pods_of(summary)) == []
    assert pod_metrics({}, {"podRef": WHOM, "containers": [{"name": "main"}]}, 10.0) is None


def test_resources_are_to_be_read_only() -> None:
    assert [(one.plural, one.is_namespaced, one.verbs) for one in resources()] == [
        ("nodes", False, ("get", "list")),
        ("pods", True, ("get", "list")),
    ]
