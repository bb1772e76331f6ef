"""The roles and bindings that every cluster has from the start. PURE data.

Source: Kubernetes' documentation, "Default roles and role bindings". A role that somebody changed
is completed again at the start, unless its annotation `rbac.authorization.kubernetes.io/autoupdate`
is "false".
"""

from collections.abc import Iterator
from typing import Any

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_ALL = [*_READ, *_WRITE]
_LABEL = "rbac.authorization.k8s.io/aggregate-to-"
_API = "rbac.authorization.k8s.io/v1"

_CORE_VIEWED = [
    "bindings",
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "namespaces/status",
    "persistentvolumeclaims",
    "persistentvolumeclaims/status",
    "pods",
    "pods/log",
    "pods/status",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "replicationcontrollers/status",
    "resourcequotas",
    "resourcequotas/status",
    "serviceaccounts",
    "services",
    "services/status",
]
_CORE_EDITED = [
    "configmaps",
    "events",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "secrets",
    "serviceaccounts",
    "services",
    "services/proxy",
]
_PODS_EDITED = ["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]
_APPS = [
    "controllerrevisions",
    "daemonsets",
    "deployments",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
]
_STATUS = ["daemonsets/status", "deployments/status", "replicasets/status", "statefulsets/status"]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _paths(*paths: str) -> dict[str, Any]:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


_VIEW = [
    _rule([""], _CORE_VIEWED, _READ),
    _rule(["apps"], [*_APPS, *_STATUS], _READ),
    _rule(["autoscaling"], ["horizontalpodautoscalers", "horizontalpodautoscalers/status"], _READ),
    _rule(["batch"], ["cronjobs", "cronjobs/status", "jobs", "jobs/status"], _READ),
    _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
    _rule(["networking.k8s.io"], ["ingresses", "ingresses/status", "networkpolicies"], _READ),
    _rule(["policy"], ["poddisruptionbudgets", "poddisruptionbudgets/status"], _READ),
]
_EDIT = [
    _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets"], _READ),
    _rule([""], ["serviceaccounts"], ["impersonate"]),
    _rule([""], _PODS_EDITED, _WRITE),
    _rule([""], ["pods/eviction", "serviceaccounts/token"], ["create"]),
    _rule([""], _CORE_EDITED, _WRITE),
    _rule(["apps"], [one for one in _APPS if one != "controllerrevisions"], _WRITE),
    _rule(["autoscaling"], ["horizontalpodautoscalers"], _WRITE),
    _rule(["batch"], ["cronjobs", "jobs"], _WRITE),
    _rule(["coordination.k8s.io"], ["leases"], _ALL),
    _rule(["networking.k8s.io"], ["ingresses", "networkpolicies"], _WRITE),
    _rule(["policy"], ["poddisruptionbudgets"], _WRITE),
]
_ADMIN = [
    _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
    _rule(["rbac.authorization.k8s.io"], ["rolebindings", "roles"], _ALL),
]
_EVERYTHING = [
    _rule(["*"], ["*"], ["*"]),
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
_DISCOVERY = [
    _paths(
        *("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/version"),
        *("/openapi", "/openapi/*", "/version/"),
    )
]
_PUBLIC = [_paths("/healthz", "/livez", "/readyz", "/version", "/version/")]
_SELF = [
    _rule(
        ["authorization.k8s.io"],
        ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ["create"],
    ),
    _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
]
_ISSUER = [_paths("/.well-known/openid-configuration", "/.well-known/openid-configuration/")]
_ISSUER[0]["nonResourceURLs"] += ["/openid/v1/jwks", "/openid/v1/jwks/"]

_PLAIN: dict[str, list[dict[str, Any]]] = {
    "cluster-admin": _EVERYTHING,
    "system:aggregate-to-view": _VIEW,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-admin": _ADMIN,
    "system:discovery": _DISCOVERY,
    "system:public-info-viewer": _PUBLIC,
    "system:basic-user": _SELF,
    "system:service-account-issuer-discovery": _ISSUER,
    "system:monitoring": [_paths("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics")],
    "system:auth-delegator": [
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ],
}
_AGGREGATED = ("view", "edit", "admin")
_GRANTED = {
    "cluster-admin": ("system:masters",),
    "system:discovery": ("system:authenticated",),
    "system:basic-user": ("system:authenticated",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
    "system:service-account-issuer-discovery": ("system:serviceaccounts",),
    "system:monitoring": ("system:monitoring",),
}


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }


def cluster_roles() -> Iterator[dict[str, Any]]:
    """Every default ClusterRole; those of aggregated ones are filled in by `aggregation`."""
    for name, rules in _PLAIN.items():
        role: dict[str, Any] = {
            "apiVersion": _API,
            "kind": "ClusterRole",
            "metadata": _metadata(name),
        }
        for target in ("view", "edit", "admin"):
            if name == f"system:aggregate-to-{target}":
                role["metadata"]["labels"][_LABEL + target] = "true"
        yield role | {"rules": rules}
    for name in _AGGREGATED:
        role = {"apiVersion": _API, "kind": "ClusterRole", "metadata": _metadata(name)}
        if name != "admin":
            wider = "edit" if name == "view" else "admin"
            role["metadata"]["labels"][_LABEL + wider] = "true"
        chosen = [{"matchLabels": {_LABEL + name: "true"}}]
        yield role | {"aggregationRule": {"clusterRoleSelectors": chosen}, "rules": []}


def cluster_role_bindings() -> Iterator[dict[str, Any]]:
    """Every default ClusterRoleBinding."""
    for name, groups in _GRANTED.items():
        yield {
            "apiVersion": _API,
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(name),
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
                for group in groups
            ],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
        }
