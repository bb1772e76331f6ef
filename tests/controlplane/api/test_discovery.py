"""Discovery in both forms; that kubectl understands it is `test_kubectl_reads.py`."""

from typing import Any, Literal

import pytest

from controlplane.api import discovery
from controlplane.api.resource import VERBS
from tests.controlplane.api.served import registry


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery_tells_all_of_a_resource(version: Literal["v2", "v2beta1"]) -> None:
    """1.1"""
    made = discovery.api_group_discovery_list(registry(), core=False, version=version)
    assert made["kind"] == "APIGroupDiscoveryList"
    assert made["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    apps = made["items"][0]
    assert apps["metadata"]["name"] == "apps"
    (v1,) = apps["versions"]
    assert (v1["version"], v1["freshness"]) == ("v1", "Current")
    assert v1["resources"] == [
        {
            "resource": "deployments",
            "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "scope": "Namespaced",
            "singularResource": "deployment",
            "verbs": list(VERBS),
            "shortNames": ["deploy"],
            "categories": ["all"],
            "subresources": [
                {
                    "subresource": "scale",
                    "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                    "verbs": ["get", "patch", "update"],
                },
                {
                    "subresource": "status",
                    "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                    "verbs": ["get", "patch", "update"],
                },
            ],
        }
    ]


def test_aggregated_discovery_of_the_core_is_one_group_without_a_name() -> None:
    """1.1"""
    made = discovery.api_group_discovery_list(registry(), core=True, version="v2")
    (core,) = made["items"]
    assert "name" not in core["metadata"]
    assert [one["resource"] for one in core["versions"][0]["resources"]] == ["namespaces", "pods"]
    assert core["versions"][0]["resources"][0]["scope"] == "Cluster"


def test_the_preferred_version_is_first() -> None:
    """1.1"""
    made = discovery.api_group_discovery_list(registry(), core=False, version="v2")
    (autoscaling,) = [one for one in made["items"] if one["metadata"]["name"] == "autoscaling"]
    assert [one["version"] for one in autoscaling["versions"]] == ["v2", "v1"]
    group = discovery.api_group(registry(), "autoscaling")
    assert group is not None
    assert group["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


def test_legacy_roots() -> None:
    """1.1"""
    assert discovery.api_versions("10.0.0.1:6443") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}
        ],
    }
    listed = discovery.api_group_list(registry())
    assert listed["kind"] == "APIGroupList"
    assert [one["name"] for one in listed["groups"]] == registry().groups()[1:]


def _rows(group: str, version: str) -> dict[str, Any]:
    made = discovery.api_resource_list(registry(), group, version)
    assert made is not None
    assert made["groupVersion"] == (f"{group}/{version}" if group else version)
    return {row["name"]: row for row in made["resources"]}


def test_legacy_rows_tell_kinds_of_other_groups() -> None:
    """1.1: kubectl drain looks for pods/eviction of policy/v1 in the core's list."""
    rows = _rows("", "v1")
    assert list(rows) == [
        "namespaces",
        "namespaces/finalize",
        "namespaces/status",
        "pods",
        "pods/binding",
        "pods/eviction",
        "pods/exec",
        "pods/log",
        "pods/status",
    ]
    assert rows["pods/eviction"] == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    }
    assert rows["pods/binding"]["kind"] == "Binding"
    assert rows["pods/exec"]["kind"] == "PodExecOptions"
    assert rows["pods/log"]["kind"] == "Pod"
    assert "group" not in rows["pods/status"]
    assert rows["namespaces"]["verbs"] == sorted(set(VERBS) - {"deletecollection"})
    assert not rows["namespaces/finalize"]["namespaced"]


@pytest.mark.parametrize(
    ("group", "plural", "known"),
    [("", "pods", "xPOwRZ+Yhw8="), ("apps", "deployments", "8aSe+NMegvE=")],
)
def test_storage_version_hashes_are_those_of_kubernetes(
    group: str, plural: str, known: str
) -> None:
    assert _rows(group, "v1")[plural]["storageVersionHash"] == known


def test_the_storage_version_hash_is_equal_in_all_versions() -> None:
    hashes = {
        _rows("autoscaling", version)["horizontalpodautoscalers"]["storageVersionHash"]
        for version in ("v1", "v2")
    }
    assert len(hashes) == 1


def test_what_is_only_created_is_not_stored() -> None:
    review = _rows("authorization.k8s.io", "v1")["selfsubjectaccessreviews"]
    assert review["verbs"] == ["create"]
    assert "storageVersionHash" not in review


def test_what_is_not_there_is_none() -> None:
    assert discovery.api_group(registry(), "absent") is None
    assert discovery.api_group(registry(), "") is None
    assert discovery.api_resource_list(registry(), "apps", "v2") is None
