"""Discovery: which groups, versions, resources and verbs there are. PURE.

Two forms of the same: one aggregated document, which clients of today ask for, and one document
per group version, which all of them understand. Both follow from the registry, and are valid as
long as its `generation` stays.

Source: Kubernetes API concepts, "API discovery"; kubectl-needs.md, "Discovery".
"""

import base64
import hashlib
from typing import Any, Literal

from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.subresources import subresource


def api_group_discovery_list(
    registry: Registry, *, core: bool, version: Literal["v2", "v2beta1"]
) -> Object:
    """Everything in one document: of `/api` (core) or of `/apis`."""
    groups = [group for group in registry.groups() if (group == "") is core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_discovered_group(registry, group) for group in groups],
    }


def _discovered_group(registry: Registry, group: str) -> Object:
    metadata: dict[str, Any] = {"name": group} if group else {}
    return {
        "metadata": metadata | {"creationTimestamp": None},
        "versions": [
            {
                "version": version,
                "resources": [_discovered(one) for one in registry.of(group, version)],
                "freshness": "Current",
            }
            for version in registry.versions(group)
        ],
    }


def _discovered(resource: Resource) -> Object:
    told: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.is_namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        told["shortNames"] = list(resource.short_names)
    if resource.categories:
        told["categories"] = list(resource.categories)
    if resource.subresources:
        told["subresources"] = [
            {
                "subresource": name,
                "responseKind": _kind(*subresource(name).kind_for(resource)),
                "verbs": list(subresource(name).verbs),
            }
            for name in sorted(resource.subresources)
        ]
    return told


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def api_versions(server_address: str = "") -> Object:
    """`/api` of clients that know no aggregated form; `server_address` is `host:port`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def api_group_list(registry: Registry) -> Object:
    """`/apis`: all groups but the core's."""
    groups = [_group(registry, group) for group in registry.groups() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(registry: Registry, group: str) -> Object | None:
    """`/apis/<group>`; None: there is no such group."""
    if not group or group not in registry.groups():
        return None
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(registry, group)


def _group(registry: Registry, group: str) -> dict[str, Any]:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in registry.versions(group)
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def api_resource_list(registry: Registry, group: str, version: str) -> Object | None:
    """`/api/v1` or `/apis/<group>/<version>`; None: there is no such group version."""
    found = registry.of(group, version)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": [row for one in found for row in _rows(one)],
    }


def _rows(resource: Resource) -> list[Object]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if "list" in resource.verbs:
        row["storageVersionHash"] = storage_version_hash(resource)
    return [row, *(_subresource_row(resource, name) for name in sorted(resource.subresources))]


def _subresource_row(resource: Resource, name: str) -> Object:
    group, version, kind = subresource(name).kind_for(resource)
    row: dict[str, Any] = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.is_namespaced,
    }
    if (group, version) != (resource.group, resource.version):
        # Only a group version that is not the document's own is told.
        row |= {"group": group, "version": version}
    return row | {"kind": kind, "verbs": list(subresource(name).verbs)}


def storage_version_hash(resource: Resource) -> str:
    """Tells clients that objects are kept in another version than before.

    Source: API reference, APIResource.storageVersionHash; opaque, equal to Kubernetes' own.
    """
    stored = f"{resource.place[0]}/{resource.storage_version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(stored.encode()).digest()[:8]).decode()
