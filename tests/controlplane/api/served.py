"""A small registry: kinds in both scopes, several versions, sub-resources, custom resources."""

from typing import Any

from controlplane.api.customresources import resources_of
from controlplane.api.registry import Registry, load_kind
from controlplane.api.resource import Object, Resource, Strategy

POD = """
kind = "Pod"
plural = "pods"
is_namespaced = true
versions = ["v1"]
short_names = ["po"]
categories = ["all"]
subresources = ["binding", "eviction", "exec", "log", "status"]

[[columns]]
name = "Name"
format = "name"
path = ".metadata.name"

[[columns]]
name = "Status"
cell = "status"

[[columns]]
name = "Priority"
type = "integer"
path = ".spec.priority"

[[columns]]
name = "Age"
type = "date"
path = ".metadata.creationTimestamp"

[[columns]]
name = "Node"
priority = 1
path = ".spec.nodeName"
"""
NAMESPACE = """
kind = "Namespace"
plural = "namespaces"
is_namespaced = false
versions = ["v1"]
short_names = ["ns"]
subresources = ["finalize", "status"]
verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
"""
EVENTS = """
group = "events.k8s.io"
kind = "Event"
plural = "events"
is_namespaced = true
versions = ["v1"]
"""
DEPLOYMENT = """
group = "apps"
kind = "Deployment"
plural = "deployments"
is_namespaced = true
versions = ["v1"]
short_names = ["deploy"]
categories = ["all"]
subresources = ["scale", "status"]
scale = ["spec.replicas", "status.replicas", "spec.selector"]
"""
AUTOSCALER = """
group = "autoscaling"
kind = "HorizontalPodAutoscaler"
plural = "horizontalpodautoscalers"
is_namespaced = true
versions = ["v1", "v2"]
short_names = ["hpa"]
storage_version = "v2"

[defaults]
"spec.minReplicas" = 1

[[columns]]
name = "Name"
path = ".metadata.name"

[[versions_override]]
version = "v1"
short_names = []
"""
REVIEW = """
group = "authorization.k8s.io"
kind = "SelfSubjectAccessReview"
plural = "selfsubjectaccessreviews"
is_namespaced = false
versions = ["v1"]
verbs = ["create"]
"""

CRONTABS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "crontabs.stable.example.com"},
    "spec": {
        "group": "stable.example.com",
        "scope": "Namespaced",
        "names": {
            "plural": "crontabs",
            "singular": "crontab",
            "kind": "CronTab",
            "listKind": "CronTabList",
            "shortNames": ["ct"],
            "categories": ["all"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A CronTab runs an image by a plan.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "description": "What is wanted.",
                                "properties": {
                                    "cronSpec": {"type": "string", "pattern": "^[0-9* /]+$"},
                                    "image": {"type": "string", "description": "What runs."},
                                    "replicas": {"type": "integer", "minimum": 1},
                                    "port": {
                                        "x-kubernetes-int-or-string": True,
                                        "anyOf": [{"type": "integer"}, {"type": "string"}],
                                    },
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {
                                    "replicas": {"type": "integer"},
                                    "labelSelector": {"type": "string"},
                                },
                            },
                        },
                    }
                },
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.labelSelector",
                    },
                },
                "additionalPrinterColumns": [
                    {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                    {
                        "name": "Age",
                        "type": "date",
                        "jsonPath": ".metadata.creationTimestamp",
                        "priority": 1,
                    },
                ],
                "selectableFields": [{"jsonPath": ".spec.image"}],
            }
        ],
    },
}

STRATEGIES = {"pods": Strategy(cells={"status": lambda pod, now: phase(pod)})}


def phase(pod: Object) -> str:
    """What kubectl prints of a pod on which no container has anything to say."""
    return str(pod.get("status", {}).get("phase", "Unknown"))


def registry() -> Registry:
    """All of the above."""
    texts = (POD, NAMESPACE, EVENTS, DEPLOYMENT, AUTOSCALER, REVIEW)
    built_in = [one for text in texts for one in load_kind(text, STRATEGIES)]
    return Registry([*built_in, *resources_of(CRONTABS)])


def resource(plural: str) -> Resource:
    """The one of a name, in its best version."""
    return next(one for one in registry().all() if one.plural == plural)
