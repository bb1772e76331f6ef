"""Objects of metrics.k8s.io out of what agents say, which may be anything."""

import pytest

from controlplane.api.resource import Object
from controlplane.apiserver.usage_objects import (
    Summary,
    node_metrics,
    pod_metrics,
    pods_of,
    resources,
    summary_of,
)

TOLD = {
    "name": "main",
    "cpu": {"time": "1970-01-01T00:00:05Z", "usageNanoCores": 250_000_000},
    "memory": {"workingSetBytes": 3 * 1024 * 1024},
}
WHOM = {"name": "web", "namespace": "shop", "uid": "u"}


def said(told: object) -> Summary:
    found = summary_of(told)
    assert found is not None
    return found


def test_a_pod() -> None:
    summary = said({"pods": [{"podRef": WHOM, "containers": [TOLD, {"name": "new"}]}]})
    [(place, told)] = pods_of({"n1": summary}).items()
    assert place == ("n1", "shop", "web")
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
    found = node_metrics("n", {}, said({"node": TOLD}), 10.0)
    assert found is not None
    assert (found["kind"], found["metadata"]["name"]) == ("NodeMetrics", "n")
    assert found["usage"] == {"cpu": "250m", "memory": "3Mi"}


@pytest.mark.parametrize("summary", [{}, {"node": None}, {"node": {"cpu": {}}}, {"pods": None}])
def test_what_is_not_known_yet(summary: Object) -> None:
    assert node_metrics("n", {}, said(summary), 10.0) is None
    assert pods_of({"n": said(summary)}) == {}
    [new] = pods_of({"n": said({"pods": [{"podRef": WHOM, "containers": [{"name": "main"}]}]})})
    assert new == ("n", "shop", "web")


def test_a_pod_of_which_nothing_is_known_yet() -> None:
    told = said({"pods": [{"podRef": WHOM, "containers": [{"name": "main"}]}]})
    [pod] = pods_of({"n": told}).values()
    assert pod_metrics({}, pod, 10.0) is None


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"node": []},
        {"node": {"cpu": 1}},
        {"node": {"cpu": {"usageNanoCores": -1}}},
        {"node": {"memory": {"workingSetBytes": "1"}}},
        {"pods": [1]},
        {"pods": {"a": "b"}},
        {"pods": [{"podRef": "web"}]},
        {"pods": [{"podRef": WHOM, "containers": [None]}]},
    ],
)
def test_what_is_no_summary(told: object) -> None:
    assert summary_of(told) is None


def test_an_agent_that_tells_of_a_pod_of_another_is_told_apart() -> None:
    """Whoever asks of a pod looks for it by the node that it is bound to."""
    told = said({"pods": [{"podRef": WHOM, "containers": [TOLD]}]})
    assert {node for node, *_ in pods_of({"n1": told, "n2": told})} == {"n1", "n2"}


def test_resources_are_to_be_read_only() -> None:
    assert [(one.plural, one.is_namespaced, one.verbs) for one in resources()] == [
        ("nodes", False, ("get", "list")),
        ("pods", True, ("get", "list")),
    ]
