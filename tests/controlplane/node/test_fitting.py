"""Whether a pod fits."""

from typing import Any

import pytest

from controlplane.node.fitting import Rejection, amounts_of, rejection_of
from tests.controlplane.node.nodes import container, pod

HAS = {"cpu": "2", "memory": "4Gi", "pods": "3"}


def asks(**requests: str) -> Any:
    return amounts_of(pod("p", container("a", resources={"requests": requests})))


def test_what_fits_is_taken() -> None:
    assert rejection_of(asks(cpu="1"), [asks(cpu="1", memory="4Gi")], HAS) is None
    assert rejection_of(asks(), [asks(cpu="2")], HAS) is None


@pytest.mark.parametrize(
    ("wanted", "reason", "words"),
    [
        ({"cpu": "1001m"}, "OutOfcpu", "cpu, requested: 1001, used: 1000, capacity: 2000"),
        ({"memory": "5Gi"}, "OutOfmemory", f"memory, requested: {5 << 30}, used: 0"),
        ({"example.com/gpu": "1"}, "OutOfexample.com/gpu", "requested: 1, used: 0, capacity: 0"),
    ],
)
def test_what_does_not_is_refused(wanted: dict[str, str], reason: str, words: str) -> None:
    found = rejection_of(asks(**wanted), [asks(cpu="1")], HAS)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert found.message.startswith("Pod was rejected: Node didn't have enough resource: ")
    assert words in found.message


def test_pods_are_counted() -> None:
    found = rejection_of(asks(), [asks(), asks(), asks()], HAS)
    assert found is not None
    assert found.reason == "OutOfpods"


def test_init_containers_count_as_far_as_they_are_more() -> None:
    """10.2: max(max init, sum of apps); sidecars beside both."""
    made = pod(
        "p",
        container("a", resources={"requests": {"cpu": "1"}}),
        initContainers=[
            container("s", restartPolicy="Always", resources={"requests": {"cpu": "500m"}}),
            container("i", resources={"requests": {"cpu": "2"}}),
        ],
    )
    assert amounts_of(made)["cpu"] == 2.5
