"""What kubectl prints of pods. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    NOW,
    POD,
    columns,
    row,
    with_fields,
)


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    assert columns(POD) == (
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
    )


def container_status(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "ready": False, "restartCount": 0, "state": {}} | fields


RUNNING = container_status(ready=True, state={"running": {}})
INIT = {"name": "init", "image": "i"}


@pytest.mark.parametrize(
    ("fields", "ready", "status", "restarts"),
    [
        ({"status": {"phase": "Pending"}}, "0/1", "Pending", "0"),
        ({"status": {"phase": "Running", "containerStatuses": [RUNNING]}}, "1/1", "Running", "0"),
        (
            {
                "status": {
                    "phase": "Running",
                    "containerStatuses": [
                        container_status(
                            restartCount=3,
                            state={"waiting": {"reason": "CrashLoopBackOff"}},
                            lastState={"terminated": {"finishedAt": "2023-11-14T22:08:20Z"}},
                        )
                    ],
                }
            },
            "0/1",
            "CrashLoopBackOff",
            "3 (5m ago)",
        ),
        (
            {
                "status": {
                    "phase": "Succeeded",
                    "containerStatuses": [
                        container_status(
                            state={"terminated": {"exitCode": 0, "reason": "Completed"}}
                        )
                    ],
                }
            },
            "0/1",
            "Completed",
            "0",
        ),
        (
            {
                "status": {
                    "phase": "Failed",
                    "containerStatuses": [container_status(state={"terminated": {"exitCode": 3}})],
                }
            },
            "0/1",
            "ExitCode:3",
            "0",
        ),
        (
            {
                "spec__initContainers": [INIT],
                "status": {
                    "phase": "Pending",
                    "initContainerStatuses": [container_status(name="init", state={"running": {}})],
                },
            },
            "0/1",
            "Init:0/1",
            "0",
        ),
        (
            {
                "spec__initContainers": [INIT],
                "status": {
                    "phase": "Pending",
                    "initContainerStatuses": [
                        container_status(
                            name="init",
                            restartCount=2,
                            state={"terminated": {"exitCode": 1, "reason": "Error"}},
                        )
                    ],
                },
            },
            "0/1",
            "Init:Error",
            "2",
        ),
        (
            {
                "spec__initContainers": [INIT | {"restartPolicy": "Always"}],
                "status": {
                    "phase": "Running",
                    "initContainerStatuses": [
                        container_status(name="init", started=True, ready=True, restartCount=1)
                    ],
                    "containerStatuses": [RUNNING],
                },
            },
            "2/2",
            "Running",
            "1",
        ),
        (
            {
                "metadata__deletionTimestamp": "2023-11-14T22:08:20Z",
                "status": {"phase": "Running", "containerStatuses": [RUNNING]},
            },
            "1/1",
            "Terminating",
            "0",
        ),
        (
            {
                "status": {
                    "phase": "Pending",
                    "conditions": [
                        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
                    ],
                }
            },
            "0/1",
            "SchedulingGated",
            "0",
        ),
        ({"status": {"phase": "Failed", "reason": "Evicted"}}, "0/1", "Evicted", "0"),
    ],
)
def test_one_word_tells_how_a_pod_is(
    fields: dict[str, Any], ready: str, status: str, restarts: str
) -> None:
    # 10.1 to 10.4, as kubectl prints them.
    found = row(with_fields(POD, **fields))
    assert (found["Ready"], found["Status"], found["Restarts"]) == (ready, status, restarts)


def test_wide_columns_of_a_pod() -> None:
    assert NOW == 1_700_000_000
    gates = {"spec__readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    status = {
        "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "a", "status": "True"}, {"type": "b", "status": "False"}],
    }
    found = row(with_fields(POD, status=status, spec__nodeName="n1", **gates))
    assert (found["IP"], found["Node"], found["Nominated Node"], found["Readiness Gates"]) == (
        "10.0.0.1",
        "n1",
        "<none>",
        "1/2",
    )
