"""Generated types: they have what the schemas have, and read and write JSON as Go's types do."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.api import protobuf, schemas
from controlplane.api.record import Record, decode, encode, fields_of, from_object, to_object
from controlplane.api.registry import Registry
from controlplane.api.schema import Schema
from controlplane.api.types import KINDS, core_v1

ROOT = Path(__file__).parents[3]
TYPES = ROOT / "controlplane" / "api" / "types"
BODIES: Mapping[str, Mapping[str, Any]] = json.loads(
    Path(__file__).with_name("protobuf_bodies.json").read_text()
)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "creationTimestamp": "2023-11-14T22:13:20Z"},
    "spec": {
        "hostIPC": True,
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {"limits": {"cpu": "1"}},
                "readinessProbe": {"httpGet": {"port": "http"}},
            }
        ],
    },
    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
}


def test_every_kind_that_is_served_has_a_type() -> None:
    served = {(one.group, one.version, one.kind) for one in Registry.builtin().all()}
    assert served
    assert served <= KINDS.keys()


def _nested(kind: type[Record], schema: Schema) -> Iterator[tuple[type[Record], Schema]]:
    """A type and all that it contains, each with its schema."""
    todo, seen = [(kind, schema)], set()
    while todo:
        kind, schema = todo.pop()
        if kind in seen:
            continue
        seen.add(kind)
        yield kind, schema
        for told in msgspec.structs.fields(kind):
            inner = schema.properties[told.encode_name]
            inner = inner.items or inner.values or inner
            todo.extend((found, inner) for found in _records_in(told.type))


def _records_in(annotation: Any) -> Iterator[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _records_in(argument)


@pytest.mark.parametrize("key", KINDS, ids="/".join)
def test_a_type_has_the_fields_of_its_schema(key: tuple[str, str, str]) -> None:
    for kind, schema in _nested(KINDS[key], schemas.schema_of(*key)):
        assert {field.json_name for field in fields_of(kind)} == schema.properties.keys(), kind
        assert schema.properties.keys() >= kind.ALWAYS
        assert schema.properties.keys() >= kind.MERGE_KEYS.keys()


def test_the_modules_are_what_the_generator_makes(tmp_path: Path) -> None:
    """Whoever changes data files runs scripts/gentypes."""
    tables = ROOT / "controlplane" / "api" / "data" / "protobuf.json.xz"
    for command in (
        ["typegen", str(tables), str(tmp_path)],
        ["ruff", "format", "--config=pyproject.toml", str(tmp_path)],
    ):
        subprocess.run(
            [sys.executable, "-m", *command],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={"PYTHONPATH": "scripts:."},
        )
    made = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    assert made == {path.name: path.read_text() for path in TYPES.glob("*.py")}


def test_a_pod_is_read_from_its_bytes() -> None:
    pod = decode(core_v1.Pod, json.dumps(POD).encode())
    assert pod.spec.host_ipc
    assert pod.spec.containers[0].resources.limits == {"cpu": "1"}
    probe = pod.spec.containers[0].readiness_probe
    assert probe is not None
    assert probe.http_get is not None
    assert probe.http_get.port == "http"
    assert [one.ip for one in pod.status.pod_ips] == ["10.0.0.1"]
    assert pod.metadata.deletion_timestamp is None
    assert to_object(pod) == POD


def test_types_never_change() -> None:
    pod = decode(core_v1.Pod, json.dumps(POD).encode())
    with pytest.raises(AttributeError):
        pod.spec.node_name = "n1"  # type: ignore[misc]


def test_null_is_the_same_as_left_out() -> None:
    raw = b'{"metadata":{"name":"p","labels":null},"spec":{"containers":[],"volumes":null}}'
    pod = decode(core_v1.Pod, raw)
    assert (pod.metadata.labels, pod.spec.volumes) == ({}, ())


def test_what_is_no_pod_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(core_v1.Pod, b'{"spec":{"containers":"many"}}')


def test_zero_is_written_where_nothing_is_something_else() -> None:
    """`replicas` of a Deployment is a pointer in Go, that of a ReplicaSet's status is required."""
    deployment = KINDS["apps", "v1", "Deployment"]
    assert "replicas" not in to_object(from_object(deployment, {"spec": {}})).get("spec", {})
    found = to_object(from_object(deployment, {"spec": {"replicas": 0, "paused": False}}))
    assert found["spec"]["replicas"] == 0
    assert "paused" not in found["spec"]
    status = {"replicas": 0, "readyReplicas": 0, "observedGeneration": 1}
    written = to_object(from_object(KINDS["apps", "v1", "ReplicaSet"], {"status": status}))
    assert written["status"] == {"replicas": 0, "observedGeneration": 1}


def significant(tree: Any) -> Any:
    """Without what is empty, at any depth."""
    if isinstance(tree, dict):
        kept = {name: significant(value) for name, value in tree.items()}
        return {name: value for name, value in kept.items() if value not in (None, "", 0, {}, [])}
    return [significant(element) for element in tree] if isinstance(tree, list) else tree


OBJECTS = [command for command in BODIES if not command.startswith("drain")]
"""drain sends options, and those are read as trees."""


@pytest.mark.parametrize("command", OBJECTS)
def test_what_kubectl_makes_is_read_and_written_whole(command: str) -> None:  # 1.5
    obj = protobuf.decode(base64.b64decode(BODIES[command]["protobuf"]))
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = KINDS[group, version, obj["kind"]]
    assert significant(json.loads(encode(from_object(kind, obj)))) == significant(obj)
