"""ReplicationControllers: a data file and a small one; all else is the registry's (2.19)."""

from typing import Any

from controlplane.api import tables
from controlplane.api.defaulting import apply_defaults
from controlplane.api.registry import Registry
from controlplane.api.resource import Object

FOUND = Registry.builtin().find("", "v1", "replicationcontrollers")
assert FOUND is not None
RESOURCE = FOUND
TEMPLATE: Any = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "nginx"}]},
}


def made(**spec: Any) -> Object:
    obj: Object = {"metadata": {"name": "a"}, "spec": {"template": TEMPLATE, **spec}}
    assert RESOURCE.strategy.default is not None
    return RESOURCE.strategy.default(apply_defaults(RESOURCE.defaults, obj))


def faults(obj: Object) -> list[tuple[str, str]]:
    assert RESOURCE.strategy.validate is not None
    return [(cause.field, cause.reason) for cause in RESOURCE.strategy.validate(obj)]


def test_selector_and_labels_are_the_templates() -> None:
    found = made()
    assert found["spec"]["selector"] == found["metadata"]["labels"] == {"app": "web"}
    assert found["spec"]["replicas"] == 1
    assert faults(found) == []


def test_a_selector_selects_the_template() -> None:
    assert faults(made(selector={"app": "other"})) == [
        ("spec.template.metadata.labels", "FieldValueInvalid")
    ]


def test_pods_run_for_ever() -> None:
    template = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    assert ("spec.template.spec.restartPolicy", "FieldValueNotSupported") in faults(
        made(template=template)
    )


def test_no_template_and_no_negative_count() -> None:
    fields = [field for field, _ in faults(made(template={}, replicas=-1))]
    assert "spec.replicas" in fields
    assert "spec.selector" in fields
    assert "spec.template.spec.containers" in fields


def test_columns_as_kubectl_prints_them() -> None:
    found: Any = tables.table(RESOURCE, [made()], now=0.0)
    names = [column["name"] for column in found["columnDefinitions"]]
    assert names == [
        *("Name", "Desired", "Current", "Ready", "Age"),
        *("Containers", "Images", "Selector"),
    ]
    assert found["rows"][0]["cells"][-3:] == ["c", "nginx", "app=web"]
