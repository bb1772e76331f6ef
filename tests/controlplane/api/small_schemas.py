"""A few types, with the extensions that Kubernetes 1.33 gives them."""

from collections.abc import Mapping
from typing import Any

from controlplane.api.resource import Resource
from controlplane.api.schema import Node, Schema

STRING: Node = {"type": "string"}
INTEGER: Node = {"type": "integer", "format": "int32"}
STRINGS: Node = {"type": "object", "additionalProperties": STRING}


def _ref(name: str, **beside: object) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}", **beside}


def _object(**properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _merged(items: Node, *keys: str, list_keys: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(list_keys or keys),
        "x-kubernetes-patch-merge-key": keys[0],
        "x-kubernetes-patch-strategy": "merge",
    }


DEFINITIONS: Mapping[str, Node] = {
    "ObjectMeta": _object(
        name=STRING,
        namespace=STRING,
        uid=STRING,
        resourceVersion=STRING,
        creationTimestamp=STRING,
        generation=INTEGER,
        labels=STRINGS,
        annotations=STRINGS,
        finalizers={
            "type": "array",
            "items": STRING,
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
        },
        ownerReferences=_merged(
            _object(uid=STRING, name=STRING, kind=STRING, apiVersion=STRING), "uid"
        ),
        managedFields={"type": "array", "items": {"type": "object"}},
    ),
    "Port": _object(name=STRING, containerPort=INTEGER, protocol=STRING, hostPort=INTEGER),
    "Container": _object(
        name=STRING,
        image=STRING,
        args={"type": "array", "items": STRING, "x-kubernetes-list-type": "atomic"},
        env=_merged(_object(name=STRING, value=STRING), "name"),
        ports=_merged(_ref("Port"), "containerPort", list_keys=("containerPort", "protocol")),
        resources=_object(limits=STRINGS, requests=STRINGS),
    ),
    "Volume": _object(
        name=STRING,
        emptyDir=_object(medium=STRING),
        configMap=_object(name=STRING, optional={"type": "boolean"}),
    ),
    "PodSpec": _object(
        containers=_merged(_ref("Container"), "name"),
        volumes=_merged(_ref("Volume"), "name")
        | {"x-kubernetes-patch-strategy": "merge,retainKeys"},
        nodeSelector={**STRINGS, "x-kubernetes-map-type": "atomic"},
        tolerations={
            "type": "array",
            "items": _object(key=STRING, operator=STRING),
            "x-kubernetes-list-type": "atomic",
        },
        restartPolicy=STRING,
    ),
    "Template": _object(metadata=_ref("ObjectMeta"), spec=_ref("PodSpec")),
    "Condition": _object(type=STRING, status=STRING, message=STRING),
    "Deployment": _object(
        apiVersion=STRING,
        kind=STRING,
        metadata=_ref("ObjectMeta"),
        spec=_object(
            replicas=INTEGER,
            paused={"type": "boolean"},
            selector=_object(matchLabels=STRINGS) | {"x-kubernetes-map-type": "atomic"},
            strategy=_object(
                type=STRING, rollingUpdate=_object(maxSurge={"format": "int-or-string"})
            )
            | {"x-kubernetes-patch-strategy": "retainKeys"},
            template=_ref("Template"),
        ),
        status=_object(
            replicas=INTEGER,
            observedGeneration=INTEGER,
            conditions=_merged(_ref("Condition"), "type"),
        ),
    ),
}


def schema(name: str) -> Schema:
    return Schema(_ref(name), DEFINITIONS)


DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    singular="deployment",
    is_namespaced=True,
    schema=schema("Deployment"),
    subresources=("status", "scale"),
    has_generation=True,
)
