"""The environment of containers, and what it refers to."""

import base64
from typing import Any

import pytest

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Service
from controlplane.node.environment import (
    ConfigError,
    Origin,
    Reference,
    environment,
    expand,
    references,
)
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import UID, pod

CONFIG = Reference("configmap", "c")
SECRET = Reference("secret", "s")
OBJECTS = {
    CONFIG: {"metadata": {"name": "c"}, "data": {"colour": "red", "size": "9"}},
    SECRET: {
        "metadata": {"name": "s"},
        "data": {"password": base64.b64encode(b"x\xc3\xa9").decode(), "broken": "%"},
    },
}


def service(name: str, namespace: str = "default", **spec: Any) -> Service:
    return from_object(
        Service,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}], **spec},
        },
    )


def of(*, spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    """The environment of a container with these fields."""
    found = pod(container("a", **fields), **(spec or {}))
    origin = Origin(
        objects=OBJECTS,
        services=(service("my-db"), service("kubernetes"), service("far", "elsewhere")),
        host_ip="192.0.2.1",
        address="10.1.0.9",
        allocatable={"cpu": "4", "memory": "8Gi"},
    )
    return environment(found, found.spec.containers[0], origin)


def value(name: str, **source: Any) -> str | None:
    return of(env=[{"name": name, "valueFrom": source}]).get(name)


def test_values_and_what_they_refer_to() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(A)-$$(A)-$(NONE)-$"},
        {"name": "C", "value": "$(MY_DB_SERVICE_HOST)"},
        {"name": "EMPTY"},
    ]
    found = of(env=env)
    assert found["B"] == "11-$(A)-$(NONE)-$"
    assert found["C"] == "10.96.0.7"
    assert found["EMPTY"] == ""


def test_later_words_win() -> None:
    found = of(
        envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "P_", "configMapRef": {"name": "c"}}],
        env=[{"name": "size", "value": "10"}, {"name": "MY_DB_SERVICE_HOST", "value": "mine"}],
    )
    assert found["colour"] == found["P_colour"] == "red"
    assert found["size"] == "10"
    assert found["MY_DB_SERVICE_HOST"] == "mine"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "default"),
        ("metadata.uid", UID),
        ("spec.nodeName", "node-1"),
        ("status.hostIP", "192.0.2.1"),
        ("status.podIP", "10.1.0.9"),
        ("status.podIPs", "10.1.0.9"),
        ("metadata.labels['app']", ""),
    ],
)
def test_fields(path: str, expected: str) -> None:
    assert value("X", fieldRef={"fieldPath": path}) == expected


def test_resources_are_told_in_units_of_the_divisor_rounded_up() -> None:
    limits = {"resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "65Mi"}}}

    def told(resource: str, divisor: str = "") -> str:
        reference = {"resource": resource, "divisor": divisor}
        env = [{"name": "X", "valueFrom": {"resourceFieldRef": reference}}]
        return of(env=env, **limits)["X"]

    assert told("limits.cpu") == "2"
    assert told("limits.cpu", "1m") == "1500"
    assert told("requests.memory", "1Mi") == "65"
    assert told("requests.memory") == str(65 << 20)
    assert told("limits.memory", "1Gi") == "8"  # of the node: it has no limit


def test_keys_of_config_maps_and_secrets() -> None:
    assert value("X", configMapKeyRef={"name": "c", "key": "colour"}) == "red"
    assert value("X", secretKeyRef={"name": "s", "key": "password"}) == "xé"
    assert value("X", configMapKeyRef={"name": "no", "key": "k", "optional": True}) is None
    assert value("X", secretKeyRef={"name": "s", "key": "no", "optional": True}) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "x"}}]}, 'configmap "x" not found'),
        ({"envFrom": [{"secretRef": {"name": "x"}}]}, 'secret "x" not found'),
        (
            {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
            "couldn't find key k in ConfigMap default/c",
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "broken"}}}]},
            "couldn't find key broken in Secret default/s",
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]},
            "unsupported fieldPath: spec.x",
        ),
    ],
)
def test_what_is_not_there(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as told:
        of(**fields)
    assert str(told.value) == message


def test_objects_that_are_optional_may_be_absent() -> None:
    assert "colour" not in of(envFrom=[{"secretRef": {"name": "x", "optional": True}}])


def test_references() -> None:
    found = pod(
        container(
            "a",
            envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
            env=[
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}},
            ],
        )
    )
    assert references(found.spec.containers[0]) == [CONFIG, SECRET, Reference("secret", "t")]


def test_services_are_told_as_programs_know_them() -> None:
    found = of()
    assert {name: text for name, text in found.items() if name.startswith("MY_DB")} == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "80",
        "MY_DB_PORT": "tcp://10.96.0.7:80",
        "MY_DB_PORT_80_TCP": "tcp://10.96.0.7:80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_ADDR": "10.96.0.7",
    }
    assert not [name for name in found if name.startswith("FAR")]
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.7"


def test_pod_that_wants_no_links_is_told_of_the_api_only() -> None:
    found = of(spec={"enableServiceLinks": False})
    assert "MY_DB_SERVICE_HOST" not in found
    assert "KUBERNETES_SERVICE_PORT" in found


def test_headless_service_has_no_address_to_tell() -> None:
    found = pod("a")
    origin = Origin(services=(service("h", clusterIP="None"),))
    assert environment(found, found.spec.containers[0], origin) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A", "$(A"), ("$()", "$()"), ("$$$(A)", "$1"), ("a$b", "a$b"), ("$$(A)", "$(A)")],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected
