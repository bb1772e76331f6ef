"""Which container is meant, and why it has no log: in Kubernetes' words. kube-behaviour 10.7."""

from typing import Any

import pytest

from controlplane.api import podlogs, record
from controlplane.api.errors import ApiError
from controlplane.api.types.core_v1 import Pod


def pod(*names: str, **status: Any) -> Pod:
    """Containers by name; `init:a` and `debug:a` are of these kinds."""
    spec: dict[str, list[dict[str, str]]] = {}
    for name in names:
        kind, _, bare = name.rpartition(":")
        field = {"init": "initContainers", "debug": "ephemeralContainers"}.get(kind, "containers")
        spec.setdefault(field, []).append({"name": bare, "image": "x"})
    return record.from_object(
        Pod, {"metadata": {"name": "web"}, "spec": spec, "status": {**status}}
    )


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (["main"], "", "main"),
        (["main", "other"], "other", "other"),
        (["main", "init:first"], "first", "first"),
        (["main", "debug:shell"], "shell", "shell"),
        (["main", "init:first"], "", "main"),
    ],
)
def test_the_container_that_is_meant(names: list[str], asked: str, found: str) -> None:
    assert podlogs.chosen_container(pod(*names), asked) == found


@pytest.mark.parametrize(
    ("names", "asked", "told"),
    [
        (["main"], "x", "container x is not valid for pod web"),
        (
            ["a", "b"],
            "",
            "a container name must be specified for pod web, choose one of: [a b]",
        ),
        (
            ["a", "b", "init:c", "init:d"],
            "",
            (
                "a container name must be specified for pod web, choose one of: [a b] "
                "or one of the init containers: [c d]"
            ),
        ),
        ([], "", "a container name must be specified for pod web"),
    ],
)
def test_a_container_that_is_not_clear(names: list[str], asked: str, told: str) -> None:
    with pytest.raises(ApiError) as raised:
        podlogs.chosen_container(pod(*names), asked)
    assert (raised.value.code, raised.value.message) == (400, told)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, "is waiting to start: ContainerCreating"),
        ({"waiting": {"reason": "ErrImagePull"}}, "is waiting to start: image can't be pulled"),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            "is waiting to start: trying and failing to pull image",
        ),
        ({}, "is waiting to start - no logs yet"),
        ({"terminated": {"exitCode": 1}}, "is terminated"),
    ],
)
def test_why_there_is_no_log(state: dict[str, Any], told: str) -> None:
    found = pod("main", containerStatuses=[{"name": "main", "state": state}])
    error = podlogs.without_log(found, "main")
    assert error.code == 400
    assert error.message == f'container "main" in pod "web" {told}'
    assert podlogs.without_log(found, "other").message == (
        'container "other" in pod "web" is not available'
    )


def test_the_attempt_before() -> None:
    ended = {"terminated": {"exitCode": 1, "containerID": "process://abc"}}
    found = pod("main", containerStatuses=[{"name": "main", "lastState": ended}])
    assert podlogs.previous_id(found, "main") == "abc"
    for none in (
        pod("main"),
        pod("main", containerStatuses=[{"name": "main"}]),
        pod("main", containerStatuses=[{"name": "main", "lastState": {"terminated": {}}}]),
    ):
        with pytest.raises(ApiError, match='previous terminated container "main" in pod "web" not'):
            podlogs.previous_id(none, "main")


def test_times_with_as_many_decimals_as_a_runtime_tells() -> None:
    assert podlogs.moment("1970-01-01T00:00:01.123456789Z") == 1.123456
    assert podlogs.moment("1970-01-01T00:00:01.5Z") == 1.5
    assert podlogs.moment("1970-01-01T01:00:01+01:00") == 1.0
    for bad in ("1970-01-01T00:00:01", "1970-01-01T00:00:01.Z", "now", ""):
        with pytest.raises(ValueError, match=r".*"):
            podlogs.moment(bad)
