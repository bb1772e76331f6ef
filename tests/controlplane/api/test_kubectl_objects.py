"""What kubectl makes passes everything that is asked of a new object of its kind."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import defaulting, protobuf, pruning, validation
from controlplane.api.decoding import decode
from controlplane.api.meta import prepare_create, validate_meta
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource

BODIES: Mapping[str, Mapping[str, Any]] = json.loads(
    Path(__file__).with_name("protobuf_bodies.json").read_text()
)
REGISTRY = Registry.builtin()
NOW = 1_700_000_000.0
CREATES = [
    command
    for command in BODIES
    if command.startswith(("create ", "autoscale ")) and not command.startswith("create token")
]


def _resource(obj: Object) -> Resource:
    group, _, version = obj["apiVersion"].rpartition("/")
    [found] = [one for one in REGISTRY.of(group, version) if one.kind == obj["kind"]]
    return found


def _made(resource: Resource, obj: Object) -> Object:
    """As it would be stored."""
    strategy = resource.strategy
    made = defaulting.apply_defaults(resource.defaults, obj)
    if strategy.default:
        made = strategy.default(made)
    made = prepare_create(resource, made, uid="00000000-0000-4000-8000-000000000000", now=NOW)
    return strategy.prepare_create(made) if strategy.prepare_create else made


@pytest.mark.parametrize("command", CREATES)
def test_an_object_of_kubectl_is_valid_in_both_encodings(command: str) -> None:  # 1.5, 2.19
    bodies = {
        protobuf.MEDIA_TYPE: base64.b64decode(BODIES[command]["protobuf"]),
        "application/json": json.dumps(BODIES[command]["json"]).encode(),
    }
    for media_type, body in bodies.items():
        obj = decode(body, media_type).object
        resource = _resource(obj)
        assert pruning.unknown_fields(resource.schema, obj) == []
        made = _made(resource, obj)
        meta = dict(made["metadata"])
        if resource.is_namespaced:
            meta["namespace"] = "default"
        assert validation.validate(resource.schema, made) == []
        assert resource.strategy.validate is None or not list(resource.strategy.validate(made))
        rule = resource.strategy.name_rule
        found = validate_meta(meta, is_namespaced=resource.is_namespaced, name_rule=rule)
        assert list(found) == []
