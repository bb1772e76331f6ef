"""1.3: what kubectl before 1.29 reads of OpenAPI v2; read by the official protobuf runtime."""

import json
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controlplane.api import openapi, openapi_v2
from controlplane.api.registry import Registry

# Of gnostic's OpenAPIv2.proto: message → field → (number, type, is repeated).
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Document": {
        "swagger": (1, "", False),
        "info": (2, "Info", False),
        "paths": (8, "Paths", False),
    },
    "Info": {"title": (1, "", False), "version": (2, "", False)},
    "Paths": {"path": (2, "NamedPathItem", True)},
    "NamedPathItem": {"name": (1, "", False), "value": (2, "PathItem", False)},
    "PathItem": {"patch": (8, "Operation", False)},
    "Operation": {
        "parameters": (8, "ParametersItem", True),
        "vendor_extension": (13, "NamedAny", True),
    },
    "ParametersItem": {"parameter": (1, "Parameter", False)},
    "Parameter": {"non_body_parameter": (2, "NonBodyParameter", False)},
    "NonBodyParameter": {"query_parameter_sub_schema": (3, "Query", False)},
    "Query": {"in": (2, "", False), "name": (4, "", False)},
    "NamedAny": {"name": (1, "", False), "value": (2, "Any", False)},
    "Any": {"yaml": (2, "", False)},
}


def parsed(body: bytes) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="v2.proto", package="v2", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, is_repeated) in fields.items():
            added = message.field.add(name=field, number=number)
            added.label = added.LABEL_REPEATED if is_repeated else added.LABEL_OPTIONAL
            added.type = added.TYPE_MESSAGE if kind else added.TYPE_STRING
            if kind:
                added.type_name = f".v2.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("v2.Document")).FromString(
        body
    )


def test_each_kind_that_can_be_patched_can_be_patched_dryly() -> None:
    """1.3: PATCH of each kind takes dryRun and fieldValidation."""
    registry = Registry.builtin()
    found = parsed(openapi_v2.document(registry, openapi.VERSION))
    assert (found.swagger, found.info.version) == ("2.0", "v1.33.0")
    kinds = {}
    for item in found.paths.path:
        (extension,) = item.value.patch.vendor_extension
        assert extension.name == "x-kubernetes-group-version-kind"
        kind = json.loads(extension.value.yaml)
        kinds[kind["group"], kind["version"], kind["kind"]] = item.name
        queries = [
            one.parameter.non_body_parameter.query_parameter_sub_schema
            for one in item.value.patch.parameters
        ]
        assert {getattr(query, "in") for query in queries} == {"query"}
        assert {"dryRun", "fieldValidation"} <= {query.name for query in queries}
    assert kinds["", "v1", "Pod"] == "/api/v1/namespaces/{namespace}/pods/{name}"
    assert kinds["", "v1", "Node"] == "/api/v1/nodes/{name}"
    assert kinds["apps", "v1", "Deployment"] == (
        "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    )
    patched = {(one.group, one.version, one.kind) for one in registry.all() if "patch" in one.verbs}
    assert set(kinds) == patched
