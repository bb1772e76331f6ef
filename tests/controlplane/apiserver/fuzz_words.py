"""Words of which fuzzed requests are made: those that mean something, and hostile ones."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlplane.api.customresources import resources_of
from tests.controlplane.api.served import CRONTABS
from tests.controlplane.apiserver.asked import registry

RESOURCES = [*registry().all(), *resources_of(CRONTABS)]
KUBECTL: Mapping[str, Mapping[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "api" / "protobuf_bodies.json").read_text()
)
PROTOBUF: dict[str, list[bytes]] = {}
"""Kind -> bodies as kubectl sends them."""
for _known in KUBECTL.values():
    if _known.get("protobuf"):
        _bodies = PROTOBUF.setdefault(_known["json"]["kind"], [])
        _bodies.append(base64.b64decode(_known["protobuf"]))

SPACE = "fuzz"
NAMES = ("a", "b", "c")
ODD_NAMES = (
    "",
    "A",
    "..",
    "%2e%2e",
    "a%2Fb",
    "%00",
    "%ff",
    "a" * 300,
    "ä",
    "system:x",
    "*",
    "nope",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ODD_METHODS = ("HEAD", "OPTIONS", "CONNECT", "TRACE", "get", "X")

TEXTS = (
    *("", "a", "b", "0", "1", "80", "65536", "http", "TCP", "UDP", "10%", "25%", "-1%", "101%"),
    *("*/5 * * * *", "@hourly", "Europe/Paris", "2026-01-01T00:00:00Z", "10.96.0.7", "::1", "None"),
    *("0.0.0.0/0", "10.0.0.0/8", "Always", "Never", "OnFailure", "ClusterIP", "NodePort"),
    *("ExternalName", "LoadBalancer", "RollingUpdate", "Recreate", "OnDelete", "In", "NotIn"),
    *("Exists", "DoesNotExist", "Equal", "NoSchedule", "NoExecute", "ReadWriteOnce", "Block"),
    *("Namespaced", "Cluster", "object", "string", "integer", "array", "date-time", "v1", "v2"),
    *("example.com", "stable.example.com", "crontabs", "pods", "deployments.apps", "100m", "1Gi"),
    *("1e9", "Container", "Pod", "PersistentVolumeClaim", "Terminating", "BestEffort", "User"),
    *("Group", "ServiceAccount", "Role", "ClusterRole", "rbac.authorization.k8s.io", "*", "get"),
    *("IPv4", "IPv6", "SingleStack", "RequireDualStack", "Indexed", "FailIndex", "Resource"),
    *("Utilization", "AverageValue", "Prefix", "Exact", "Immediate", "Retain", "Delete"),
    *("kubernetes.io/service-account-token", "kubernetes.io/tls", "Opaque", "{.spec.a}", ".spec.a"),
    *(
        "foregroundDeletion",
        "orphan",
        "kubernetes",
        "example.com/x",
        "a=b",
        "^(a+)+$",
        "self.x > 1",
    ),
    *("cpu", "memory", "requests.cpu", "count/pods", "services.nodeports", "eyJhIjoxfQ=="),
    *("fuzz", "default", "kube-system", "admin", "system:masters", "Running", "Succeeded"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64, -(2**63)),
    *(1.5, -0.0, 1e308, 1e22, float("nan"), float("inf"), "\x00", "\ud800", "\u2028", "ä" * 64),
    *("x" * 5_000, "9" * 400, "1" + "0" * 30, "1e999999999", "0x10", "-", "%s", "$(A)", "${{"),
    *([], {}, [[]], [{}], [None], {"": ""}, {"a": None}, {"a": {}}, ["a", "a"], [1, "a", {}]),
)
DIRECTIVES: tuple[tuple[str, Any], ...] = (
    *(("$patch", "replace"), ("$patch", "delete"), ("$patch", "merge"), ("$patch", 7)),
    *(("$retainKeys", ["type"]), ("$retainKeys", [7]), ("$retainKeys", "type")),
    ("$setElementOrder/containers", [{"name": "a"}]),
    ("$setElementOrder/containers", ["a", 7]),
    ("$setElementOrder/finalizers", ["a"]),
    ("$setElementOrder/", None),
    ("$deleteFromPrimitiveList/finalizers", ["kubernetes"]),
    ("$deleteFromPrimitiveList/finalizers", {}),
)

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "pretty": ("true", "x"),
    "dryRun": ("All", "", "all", "None"),
    "fieldManager": ("me", "", "x" * 129, "%00", "%ff"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "strict"),
    "force": ("true", "false", "x"),
    "gracePeriodSeconds": ("0", "30", "-1", "x", "9" * 19),
    "orphanDependents": ("true", "false", "x"),
    "propagationPolicy": ("Orphan", "Foreground", "Background", "x"),
    "allowWatchBookmarks": ("true", "x"),
    "continue": (
        "",
        "x",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0",
        "e30",
        "bnVsbA",
    ),
    "fieldSelector": (
        *("metadata.name=a", "metadata.name!=a", "spec.nodeName=", "status.phase=Running", "x"),
        *("=", ",", "metadata.name=a,metadata.namespace=fuzz", "metadata.name=%5C", "a==b"),
    ),
    "labelSelector": (
        *("app=a", "app!=a", "app", "!app", "app in (a,b)", "app notin ()", "app>1", "app<x"),
        *("(", "a in (", ",,", "a" * 70, "%00", "x/y/z=1"),
    ),
    "limit": ("1", "2", "0", "-1", "x", "9" * 18, "9" * 30),
    "resourceVersion": ("0", "1", "5", "", "-1", "x", "9" * 18, "9" * 25),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "", "x"),
    "sendInitialEvents": ("true", "false"),
    "timeoutSeconds": ("1", "0", "-1", "x"),
    "watch": ("true", "1", "false", "x"),
    "verbose": ("",),
    "exclude": ("etcd", "x"),
    "%zz": ("%zz",),
    "": ("",),
}

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
CONTENT_TYPES = (
    *("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", ""),
    *("application/json; charset=utf-8", "text/plain", ";", "application/JSON", "\ufffd"),
)
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "accept": (
        *("application/json", "*/*", TABLE, f"{TABLE},application/json", "text/html", "", ";;,,"),
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/vnd.kubernetes.protobuf",
    ),
    "user-agent": ("kubectl/v1.33.0 (linux/amd64)", "", "/", "\ufffd" * 200),
    "if-none-match": ("*", '"x"', ""),
    "authorization": (
        *("Bearer bob", "Bearer ", "Basic YTpi", "Bearer a.b.c", "x", "Bearer " + "A" * 9_000),
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
    ),
}

IMPERSONATION: Mapping[str, tuple[str, ...]] = {
    "impersonate-user": ("bob", "system:serviceaccount:fuzz:default", "", "system:serviceaccount:"),
    "impersonate-group": ("devs\nops", "", "system:masters"),
    "impersonate-uid": ("7",),
    "impersonate-extra-a%2fb": ("x",),
    "impersonate-extra-%zz": ("x\ny",),
}

PATHS = (
    *("/", "", "//", "/api", "/api/", "/api/v1", "/api/v2", "/apis", "/apis/apps", "/apis/apps/v1"),
    *("/apis//v1/pods", "/api/v1/", "/api/v1//", "/api/v1/namespaces//pods", "/apis/nope/v1/x"),
    *(
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/api/v1",
        "/openapi/v3/apis/apps/v1",
        "/openapi/v3/",
    ),
    *("/openapi/v3/apis/stable.example.com/v1", "/healthz", "/livez", "/readyz", "/readyz/etcd"),
    *("/readyz/nope/x", "/version", "/metrics", "/.well-known/openid-configuration"),
    *("/openid/v1/jwks", "/logs", "/api/v1/watch/pods", "/api/v1/namespaces/fuzz/finalize"),
    *("/%zz", "/%00", "/api/v1/namespaces/fuzz/pods/a/log/b/c", "/apis/apps/v1/namespaces/fuzz"),
)
SUBRESOURCES = ("status", "scale", "log", "exec", "proxy", "binding", "eviction", "token", "nope")
