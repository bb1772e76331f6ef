"""Nodes. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    columns,
    defaulted,
    faults,
    resource,
    row,
    update_faults,
    with_fields,
)

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}}
TAINT = {"key": "a", "value": "b", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__taints": [TAINT, TAINT | {"effect": "NoExecute"}]}, []),
        (
            {"spec__taints": [TAINT, TAINT | {"value": "c"}]},
            ['spec.taints[1]: Duplicate value: {"effect":"NoSchedule","key":"a","value":"c"}'],
        ),
        (
            {"spec__taints": [{"key": "a", "effect": "Never"}]},
            [
                (
                    'spec.taints[0].effect: Unsupported value: "Never": '
                    'supported values: "NoExecute", "NoSchedule", "PreferNoSchedule"'
                )
            ],
        ),
        ({"spec__taints": [{"effect": "NoSchedule"}]}, ["spec.taints[0].key: Required value"]),
        (
            {"spec__podCIDR": "10.0.0.0"},
            [
                (
                    'spec.podCIDRs[0]: Invalid value: "10.0.0.0": '
                    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
                )
            ],
        ),
    ],
)
def test_a_wrong_node(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 6.4
    assert faults(with_fields(NODE, **fields)) == expected


def test_a_nodes_addresses_are_told_once() -> None:
    address = {"type": "InternalIP", "address": "10.0.0.1"}
    node = with_fields(NODE, status={"addresses": [address, address]})
    assert faults(node) == [
        'status.addresses[1]: Duplicate value: {"address":"10.0.0.1","type":"InternalIP"}'
    ]


def test_both_fields_of_its_pods_range_are_set() -> None:
    # 6.5
    for fields in ({"spec__podCIDR": "10.0.0.0/24"}, {"spec__podCIDRs": ["10.0.0.0/24"]}):
        assert defaulted(with_fields(NODE, **fields))["spec"] == {
            "podCIDR": "10.0.0.0/24",
            "podCIDRs": ["10.0.0.0/24"],
        }


def test_a_pods_range_is_given_once() -> None:
    # 6.5
    given = with_fields(NODE, spec__podCIDR="10.0.0.0/24")
    assert update_faults(given, NODE) == []
    assert update_faults(with_fields(given, spec__podCIDR="10.0.1.0/24"), given) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]


def test_a_node_that_is_cordoned_can_be_found() -> None:
    # 2.20, 6.5
    assert "spec.unschedulable" in resource(NODE).field_labels


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    assert columns(NODE) == (
        ["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
        ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"],
    )


@pytest.mark.parametrize(
    ("ready", "unschedulable", "expected"),
    [
        ("True", False, "Ready"),
        ("False", False, "NotReady"),
        ("Unknown", False, "NotReady"),
        (None, False, "Unknown"),
        ("True", True, "Ready,SchedulingDisabled"),
    ],
)
def test_a_nodes_status(ready: str | None, unschedulable: bool, expected: str) -> None:
    # 1.2, 6.5
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    node = with_fields(NODE, status={"conditions": conditions}, spec__unschedulable=unschedulable)
    assert row(node)["Status"] == expected


def test_a_nodes_row() -> None:
    # 1.2
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "kubernetes.io/role": "db",
    }
    status = {
        "addresses": [
            {"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "10.0.0.1"},
        ],
        "nodeInfo": {"kubeletVersion": "v1.33.0", "osImage": "Debian"},
    }
    found = row(with_fields(NODE, metadata__labels=labels, status=status))
    assert found["Roles"] == "control-plane,db,worker"
    assert found["Version"] == "v1.33.0"
    assert (found["Internal-IP"], found["External-IP"]) == ("10.0.0.1", "<none>")
    assert (found["OS-Image"], found["Kernel-Version"]) == ("Debian", "<unknown>")
    assert row(NODE)["Roles"] == "<none>"
