"""Volumes, claims and storage classes. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from controlplane.api.kinds.persistentvolumeclaim import STRATEGY
from tests.controlplane.api.kinds.served import (
    columns,
    created,
    defaulted,
    faults,
    row,
    update_faults,
    with_fields,
)

VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "a"},
    "spec": {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/data"},
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "a"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fast"},
    "provisioner": "example.com/disk",
}
MODES = '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'


def test_defaults() -> None:
    # 9.1
    volume = created(VOLUME)
    assert volume["spec"] == VOLUME["spec"] | {  # type: ignore[operator]
        "persistentVolumeReclaimPolicy": "Retain",
        "volumeMode": "Filesystem",
        "hostPath": {"path": "/data", "type": ""},
    }
    assert volume["status"] == {"phase": "Pending"}
    claim = created(CLAIM)
    assert (claim["spec"]["volumeMode"], claim["status"]) == ("Filesystem", {"phase": "Pending"})
    assert defaulted(CLASS)["reclaimPolicy"] == "Delete"
    assert defaulted(CLASS)["volumeBindingMode"] == "Immediate"


@pytest.mark.parametrize(
    ("obj", "fields", "expected"),
    [
        (VOLUME, {}, []),
        (CLAIM, {}, []),
        (CLASS, {}, []),
        (
            VOLUME,
            {"spec__accessModes": []},
            ["spec.accessModes: Required value: at least 1 access mode is required"],
        ),
        (
            CLAIM,
            {"spec__accessModes": ["Some"]},
            [f'spec.accessModes: Unsupported value: "Some": supported values: {MODES}'],
        ),
        (
            CLAIM,
            {"spec__accessModes": ["ReadWriteOnce", "ReadWriteOncePod"]},
            ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
        (VOLUME, {"spec__capacity": None}, ["spec.capacity: Required value"]),
        (
            VOLUME,
            {"spec__hostPath": None},
            ["spec: Required value: must specify a volume type"],
        ),
        (
            VOLUME,
            {"spec__nfs": {"server": "s", "path": "/"}},
            ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            VOLUME,
            {"spec__hostPath": None, "spec__local": {"path": "/x"}},
            ["spec.nodeAffinity: Required value: Local volume requires node affinity"],
        ),
        (
            VOLUME,
            {"spec__persistentVolumeReclaimPolicy": "Keep"},
            [
                (
                    'spec.persistentVolumeReclaimPolicy: Unsupported value: "Keep": '
                    'supported values: "Delete", "Recycle", "Retain"'
                )
            ],
        ),
        (CLAIM, {"spec__resources": {}}, ["spec.resources.requests[storage]: Required value"]),
        (
            CLAIM,
            {"spec__resources": {"requests": {"storage": "0"}}},
            ['spec.resources.requests[storage]: Invalid value: "0": must be greater than zero'],
        ),
        (CLASS, {"provisioner": ""}, ["provisioner: Required value"]),
        (
            CLASS,
            {"volumeBindingMode": "Later"},
            [
                (
                    'volumeBindingMode: Unsupported value: "Later": '
                    'supported values: "Immediate", "WaitForFirstConsumer"'
                )
            ],
        ),
    ],
)
def test_what_is_wrong(obj: Any, fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 9.1
    assert faults(with_fields(obj, **fields)) == expected


BOUND = with_fields(
    created(CLAIM),
    spec__volumeName="v",
    spec__storageClassName="fast",
    status={"phase": "Bound", "capacity": {"storage": "1Gi"}},
)
MAY_NOT = (
    "spec: Forbidden: spec is immutable after creation except resources.requests and "
    "volumeAttributesClassName for bound claims"
)


def claim_faults(fields: dict[str, Any], old: Any) -> list[str]:
    """A claim's status is there when it is changed, which `created` would make anew."""
    assert STRATEGY.validate_update is not None
    causes = STRATEGY.validate_update(with_fields(old, **fields), old)
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    ("old", "fields", "expected"),
    [
        (BOUND, {"spec__resources__requests__storage": "2Gi"}, []),
        (
            BOUND,
            {"spec__resources__requests__storage": "512Mi"},
            [
                (
                    "spec.resources.requests.storage: Forbidden: "
                    "field can not be less than status.capacity"
                )
            ],
        ),
        (BOUND, {"spec__storageClassName": "slow"}, [MAY_NOT]),
        (BOUND, {"spec__volumeName": "w"}, [MAY_NOT]),
        (BOUND, {"spec__accessModes": ["ReadWriteMany"]}, [MAY_NOT]),
        (created(CLAIM), {"spec__volumeName": "v"}, []),
        (created(CLAIM), {"spec__storageClassName": "fast"}, []),
        (created(CLAIM), {"spec__resources__requests__storage": "2Gi"}, [MAY_NOT]),
        (BOUND, {"metadata__labels": {"a": "b"}}, []),
    ],
)
def test_what_may_change_of_a_claim(old: Any, fields: dict[str, Any], expected: list[str]) -> None:
    # 9.1
    assert claim_faults(fields, old) == expected


def test_an_expansion_that_failed_may_be_taken_back() -> None:
    # 9.1
    old = with_fields(BOUND, spec__resources__requests__storage="10Gi")
    assert claim_faults({"spec__resources__requests__storage": "5Gi"}, old) == []


@pytest.mark.parametrize(
    ("obj", "fields", "expected"),
    [
        (VOLUME, {"spec__persistentVolumeReclaimPolicy": "Delete"}, []),
        (VOLUME, {"spec__capacity__storage": "2Gi"}, []),
        (
            VOLUME,
            {"spec__hostPath__path": "/other"},
            [
                (
                    "spec.persistentvolumesource: Forbidden: "
                    "spec.persistentvolumesource is immutable after creation"
                )
            ],
        ),
        (
            VOLUME,
            {"spec__volumeMode": "Block"},
            ['spec.volumeMode: Invalid value: "Block": field is immutable'],
        ),
        (
            CLASS,
            {"parameters": {"a": "b"}},
            ["parameters: Forbidden: updates to parameters are forbidden."],
        ),
        (
            CLASS,
            {"reclaimPolicy": "Retain"},
            ["reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden."],
        ),
        (CLASS, {"allowVolumeExpansion": True}, []),
    ],
)
def test_what_may_change(obj: Any, fields: dict[str, Any], expected: list[str]) -> None:
    # 9.1
    assert update_faults(with_fields(obj, **fields), obj) == expected


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    assert columns(VOLUME) == (
        [
            "NAME",
            "CAPACITY",
            "ACCESS MODES",
            "RECLAIM POLICY",
            "STATUS",
            "CLAIM",
            "STORAGECLASS",
            "VOLUMEATTRIBUTESCLASS",
            "REASON",
            "AGE",
        ],
        ["VOLUMEMODE"],
    )
    assert columns(CLAIM) == (
        [
            "NAME",
            "STATUS",
            "VOLUME",
            "CAPACITY",
            "ACCESS MODES",
            "STORAGECLASS",
            "VOLUMEATTRIBUTESCLASS",
            "AGE",
        ],
        ["VOLUMEMODE"],
    )
    assert columns(CLASS)[0] == [
        "NAME",
        "PROVISIONER",
        "RECLAIMPOLICY",
        "VOLUMEBINDINGMODE",
        "ALLOWVOLUMEEXPANSION",
        "AGE",
    ]


def test_a_volumes_row() -> None:
    # 1.2, 9.1
    modes = ["ReadWriteMany", "ReadWriteOnce"]
    found = row(
        with_fields(
            created(VOLUME),
            spec__accessModes=modes,
            spec__claimRef={"namespace": "d", "name": "c"},
            status={"phase": "Bound"},
        )
    )
    assert list(found.values())[:8] == [
        "a",
        "1Gi",
        "RWO,RWX",
        "Retain",
        "Bound",
        "d/c",
        "",
        "<unset>",
    ]


def test_a_claims_row() -> None:
    # 1.2, 9.1: its size and modes are those of the volume that it has.
    pending = row(created(CLAIM))
    assert (pending["Status"], pending["Capacity"], pending["Access Modes"]) == ("Pending", "", "")
    status = {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}
    bound = row(with_fields(BOUND, status=status))
    assert (bound["Volume"], bound["Capacity"], bound["Access Modes"], bound["StorageClass"]) == (
        "v",
        "2Gi",
        "RWO",
        "fast",
    )
    going = with_fields(BOUND, metadata__deletionTimestamp="2023-11-14T22:10:20Z")
    assert row(going)["Status"] == "Terminating"


def test_the_default_class_is_marked() -> None:
    # 1.2, 9.1
    assert row(CLASS)["Name"] == "fast"
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    assert row(with_fields(CLASS, metadata__annotations=annotations))["Name"] == "fast (default)"
    assert row(CLASS)["AllowVolumeExpansion"] is False
