"""Volumes that are images: off in Kubernetes 1.33, where nobody switches ImageVolume on."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    POD,
    POD_SPEC,
    created,
    faults,
    resource,
    update_faults,
    with_fields,
    workload,
)

IMAGE = {"name": "a", "image": {"reference": "x"}}
PLAIN = {"name": "b", "emptyDir": {}}
MOUNTS = [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]


def holder(api_version: str, kind: str, **spec: Any) -> Any:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": POD_SPEC}
TASK = {"template": {"spec": POD_SPEC | {"restartPolicy": "Never"}}}
HOLDERS = [
    (POD, "spec"),
    (workload("Deployment"), "spec__template__spec"),
    (workload("ReplicaSet"), "spec__template__spec"),
    (workload("StatefulSet", serviceName="a"), "spec__template__spec"),
    (workload("DaemonSet"), "spec__template__spec"),
    (holder("v1", "ReplicationController", template=TEMPLATE), "spec__template__spec"),
    (holder("batch/v1", "Job", **TASK), "spec__template__spec"),
    (
        holder("batch/v1", "CronJob", schedule="* * * * *", jobTemplate={"spec": TASK}),
        "spec__jobTemplate__spec__template__spec",
    ),
]
every_holder = pytest.mark.parametrize(
    ("obj", "path"), HOLDERS, ids=[obj["kind"] for obj, _ in HOLDERS]
)


def asking(obj: Any, path: str, *volumes: Any, mounts: Any = MOUNTS) -> Any:
    """Two containers, of which one mounts something, and one before them."""
    containers = [{"name": "c", "image": "i", "volumeMounts": mounts}, {"name": "d", "image": "i"}]
    first = [{"name": "i", "image": "i", "volumeMounts": mounts[:1]}]
    lists = {"volumes": list(volumes), "containers": containers, "initContainers": first}
    return with_fields(obj, **{f"{path}__{name}": value for name, value in lists.items()})


def pod_spec(obj: Any, path: str) -> Any:
    for name in path.split("__"):
        obj = obj[name]
    return obj


def kept(new: Any, old: Any) -> Any:
    prepare = resource(new).strategy.prepare_update
    assert prepare is not None
    return prepare(new, old)


@every_holder
def test_new_objects_have_none_and_no_mounts_of_any(obj: Any, path: str) -> None:
    asked = asking(obj, path, IMAGE, PLAIN)
    spec = pod_spec(created(asked), path)
    assert spec["volumes"] == [PLAIN]
    assert [one.get("volumeMounts") for one in spec["containers"]] == [MOUNTS[1:], None]
    assert "volumeMounts" not in spec["initContainers"][0]
    assert faults(asked) == []


@every_holder
def test_lists_of_which_nothing_is_left_are_left_out(obj: Any, path: str) -> None:
    spec = pod_spec(created(asking(obj, path, IMAGE, mounts=MOUNTS[:1])), path)
    assert "volumes" not in spec
    assert not any("volumeMounts" in one for one in spec["containers"])


@every_holder
def test_an_update_brings_none_but_where_there_was_one(obj: Any, path: str) -> None:
    without, with_image = asking(obj, path, PLAIN, mounts=MOUNTS[1:]), asking(obj, path, IMAGE)
    assert "volumes" not in pod_spec(kept(with_image, without), path)
    more = asking(obj, path, IMAGE, {**IMAGE, "name": "b"})
    assert pod_spec(kept(more, with_image), path) == pod_spec(more, path)
    assert pod_spec(kept(without, with_image), path)["volumes"] == [PLAIN]


def test_a_pod_that_asks_for_one_later_stays_as_it_is() -> None:
    assert update_faults(with_fields(POD, spec__volumes=[IMAGE]), POD) == []
