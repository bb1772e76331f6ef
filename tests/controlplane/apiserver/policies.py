"""An authorizer with a policy that a test has written down."""

from typing import Any, cast

import orjson

from controlplane.api.resource import Object
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.selection import index_of

RBAC = "rbac.authorization.k8s.io"
_PLURALS = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}


class Kept:
    """A cache that is filled by hand; an authorizer looks at it as at a cacher's."""

    def __init__(self, *found: Object) -> None:
        self.generation = 1
        self.cache = ObjectCache(lambda group, plural: index_of(None), "/registry/")
        self._revision = 0
        for one in found:
            self.put(one)

    def put(self, found: Object) -> None:
        self._revision += 1
        self.cache.apply([(_key(found), orjson.dumps(found), self._revision)], self._revision)

    def delete(self, found: Object) -> None:
        self._revision += 1
        self.cache.apply([(_key(found), None, self._revision)], self._revision)

    @property
    def authorizer(self) -> Authorizer:
        return Authorizer(cast(Cacher, self))


def _key(found: Object) -> str:
    metadata = found["metadata"]
    place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"/registry/{RBAC}/{_PLURALS[found['kind']]}/{place}{metadata['name']}"


def cluster_role(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(rules),
        **more,
    }


def role(name: str, namespace: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": list(rules),
    }


def bound(name: str, user: str, namespace: str = "", kind: str = "ClusterRole") -> dict[str, Any]:
    """A binding of the role `name` to a user, in a namespace or everywhere."""
    metadata = {"name": f"{name}-{user}"} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> dict[str, Any]:
    """`rule("get list", "pods")`."""
    found: dict[str, Any] = {
        "verbs": verbs.split(),
        "apiGroups": [group],
        "resources": resources.split(),
    }
    return found | ({"resourceNames": names.split()} if names else {})
