"""A valid object of each kind, from which fuzzed ones are made: kubectl's own, and the rest."""

from collections.abc import Mapping
from typing import Any

from tests.controlplane.api.served import CRONTABS
from tests.controlplane.apiserver.fuzz_words import KUBECTL

_LABELS = {"app": "a"}
_SELECTOR = {"matchLabels": _LABELS}
_POD = {
    "containers": [
        {
            "name": "a",
            "image": "a:1",
            "ports": [{"name": "http", "containerPort": 80}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
        }
    ],
    "initContainers": [{"name": "i", "image": "i:1"}],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": _SELECTOR,
        }
    ],
}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": _POD}
_WORKLOAD = {"selector": _SELECTOR, "template": _TEMPLATE}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

_OTHERS: tuple[dict[str, Any], ...] = (
    {"kind": "Pod", "spec": _POD, "metadata": {"labels": _LABELS}},
    {
        "kind": "Node",
        "spec": {"podCIDR": "10.1.0.0/24", "taints": [{"key": "a", "effect": "NoExecute"}]},
    },
    {
        "kind": "Endpoints",
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}],
    },
    {
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80}],
    },
    {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"storage": "9Gi"}}]}},
    {"kind": "PersistentVolumeClaim", "spec": _CLAIM},
    {
        "kind": "PersistentVolume",
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/v"},
        },
    },
    {
        "kind": "StatefulSet",
        "spec": {
            "serviceName": "a",
            "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": _CLAIM}],
            **_WORKLOAD,
        },
    },
    {"kind": "DaemonSet", "spec": _WORKLOAD},
    {"kind": "ReplicaSet", "spec": _WORKLOAD},
    {"kind": "Deployment", "spec": {"strategy": {"type": "Recreate"}, **_WORKLOAD}},
    {"kind": "ReplicationController", "spec": {"selector": _LABELS, "template": _TEMPLATE}},
    {"kind": "ControllerRevision", "revision": 1, "data": {"a": 1}},
    {
        "kind": "HorizontalPodAutoscaler",
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
        },
    },
    {"kind": "Lease", "spec": {"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z"}},
    {"kind": "IngressClass", "spec": {"controller": "example.com/a"}},
    {
        "kind": "NetworkPolicy",
        "spec": {
            "podSelector": _SELECTOR,
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 80}]}],
        },
    },
    {"kind": "StorageClass", "provisioner": "example.com/a", "parameters": {"a": "b"}},
    {"kind": "CronTab", "spec": {"cronSpec": "* * * * *", "replicas": 1, "port": "http"}},
    {"kind": "CustomResourceDefinition", "spec": CRONTABS["spec"]},
    {"kind": "Scale", "spec": {"replicas": 1}},
    {"kind": "Binding", "target": {"kind": "Node", "name": "a"}},
    {"kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": 0}},
    {"kind": "TokenRequest", "spec": {"audiences": ["api"], "expirationSeconds": 600}},
    {"kind": "TokenReview", "spec": {"token": "a.b.c"}},
    {"kind": "SelfSubjectRulesReview", "spec": {"namespace": "fuzz"}},
    {
        "kind": "SubjectAccessReview",
        "spec": {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods"}},
    },
    {
        "kind": "Event",
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "fuzz"},
        "reason": "A",
        "message": "a",
        "type": "Normal",
        "count": 1,
    },
)


def _by_kind() -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in [*(known["json"] for known in KUBECTL.values()), *_OTHERS]:
        found.setdefault(one["kind"], []).append(one)
    return found


SAMPLES = _by_kind()
"""Kind -> objects, without what says where they are."""
