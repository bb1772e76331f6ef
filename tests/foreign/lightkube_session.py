"""A session with PyPI's `lightkube`, run by the Python of a virtual environment that has it.

PYTHON lightkube_session.py KUBECONFIG NAMESPACE
"""

import sys

from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.apiextensions_v1 import (
    CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
    CustomResourceSubresources,
    CustomResourceValidation,
    JSONSchemaProps,
)
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace
from lightkube.types import PatchType

GROUP, PLURAL = "lightkube.example.com", "boats"
NAMESPACE = sys.argv[2]
client = Client(
    config=KubeConfig.from_file(sys.argv[1]), namespace=NAMESPACE, field_manager="lightkube"
)


def refused(code, reason, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ApiError as error:
        found = error.status
    else:
        raise AssertionError(f"{call} was not refused")
    assert (found.code, found.reason) == (code, reason), found


def config_maps():
    made = client.create(
        ConfigMap(metadata=ObjectMeta(name="a", labels={"x": "1"}), data={"k": "1"})
    )
    assert made.metadata.uid
    refused(409, "AlreadyExists", client.create, ConfigMap(metadata=ObjectMeta(name="a")))
    refused(404, "NotFound", client.get, ConfigMap, "nothing")
    assert [one.metadata.name for one in client.list(ConfigMap, labels={"x": "1"})] == ["a"]
    merged = client.patch(
        ConfigMap, "a", {"data": {"m": "2", "k": None}}, patch_type=PatchType.MERGE
    )
    assert merged.data == {"m": "2"}
    steps = [{"op": "replace", "path": "/data/m", "value": "3"}]
    patched = client.patch(ConfigMap, "a", steps, patch_type=PatchType.JSON)
    assert patched.data == {"m": "3"}
    merged.data = {"lost": "1"}
    refused(409, "Conflict", client.replace, merged)
    patched.data = {"r": "4"}
    assert client.replace(patched).data == {"r": "4"}
    for number in range(5):
        client.create(ConfigMap(metadata=ObjectMeta(name=f"page-{number}", labels={"p": "1"})))
    # In pages of two, which the client follows.
    pages = client.list(ConfigMap, labels={"p": "1"}, chunk_size=2)
    assert [one.metadata.name for one in pages] == [f"page-{number}" for number in range(5)]
    client.deletecollection(ConfigMap)
    assert not list(client.list(ConfigMap, labels={"p": "1"}))
    refused(404, "NotFound", client.delete, ConfigMap, "a")


def watches():
    begun = client.list(ConfigMap)
    names = [one.metadata.name for one in begun]
    assert "seen" not in names
    client.create(ConfigMap(metadata=ObjectMeta(name="seen")))
    client.patch(ConfigMap, "seen", {"data": {"k": "1"}})
    client.delete(ConfigMap, "seen")
    seen = []
    for kind, one in client.watch(ConfigMap, resource_version=begun.resourceVersion):
        if one.metadata.name == "seen":
            seen.append(kind)
            if kind == "DELETED":
                break
    assert seen == ["ADDED", "MODIFIED", "DELETED"], seen


def deployments():
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}),
        spec=PodSpec(containers=[Container(name="main", image="nginx:1")]),
    )
    spec = DeploymentSpec(
        replicas=2, selector=LabelSelector(matchLabels={"app": "web"}), template=template
    )
    made = client.create(Deployment(metadata=ObjectMeta(name="web"), spec=spec))
    assert made.spec.strategy.rollingUpdate.maxSurge == "25%"
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "b:1"}]}}}}
    patched = client.patch(Deployment, "web", sidecar, patch_type=PatchType.STRATEGIC)
    assert {one.name for one in patched.spec.template.spec.containers} == {"main", "side"}
    scaled = client.replace(
        Deployment.Scale(
            metadata=ObjectMeta(name="web", namespace=NAMESPACE), spec=ScaleSpec(replicas=5)
        ),
        name="web",
    )
    assert scaled.spec.replicas == 5
    assert client.get(Deployment, "web").spec.replicas == 5
    client.delete(Deployment, "web")


def applies():
    def apply(value, manager, **named):
        wanted = ConfigMap(metadata=ObjectMeta(name="applied"), data={"k": value})
        return client.apply(wanted, field_manager=manager, **named)

    assert apply("1", "one").metadata.managedFields[0].operation == "Apply"
    refused(409, "Conflict", apply, "2", "two")
    assert apply("2", "two", force=True).data == {"k": "2"}
    client.delete(ConfigMap, "applied")


def custom_resources():
    client.create(definition())
    client.wait(CustomResourceDefinition, f"{PLURAL}.{GROUP}", for_conditions=["Established"])
    boat = create_namespaced_resource(GROUP, "v1", "Boat", PLURAL)
    made = client.create(boat(metadata=ObjectMeta(name="b"), spec={"sails": 2}))
    assert made.spec == {"sails": 2, "color": "white"}
    refused(422, "Invalid", client.create, boat(metadata=ObjectMeta(name="c"), spec={"sails": 0}))
    patched = client.patch(boat, "b", {"spec": {"sails": 3}}, patch_type=PatchType.MERGE)
    assert patched.metadata.generation == 2
    told = client.patch(
        boat.Status,
        "b",
        {"status": {"afloat": True}, "spec": {"sails": 9}},
        patch_type=PatchType.MERGE,
    )
    assert (told.status, told.spec["sails"]) == ({"afloat": True}, 3)
    applied = client.apply(
        boat(metadata=ObjectMeta(name="d"), spec={"sails": 7}), field_manager="one"
    )
    assert applied.metadata.managedFields[0].manager == "one"
    assert [one.metadata.name for one in client.list(boat)] == ["b", "d"]
    client.delete(boat, "b")
    client.delete(CustomResourceDefinition, f"{PLURAL}.{GROUP}")


def definition():
    properties = {
        "sails": JSONSchemaProps(type="integer", minimum=1),
        "color": JSONSchemaProps(type="string", default="white"),
    }
    status = JSONSchemaProps(type="object", properties={"afloat": JSONSchemaProps(type="boolean")})
    schema = JSONSchemaProps(
        type="object",
        properties={
            "spec": JSONSchemaProps(type="object", properties=properties),
            "status": status,
        },
    )
    version = CustomResourceDefinitionVersion(
        name="v1",
        served=True,
        storage=True,
        schema=CustomResourceValidation(openAPIV3Schema=schema),
        subresources=CustomResourceSubresources(status={}),
    )
    return CustomResourceDefinition(
        metadata=ObjectMeta(name=f"{PLURAL}.{GROUP}"),
        spec=CustomResourceDefinitionSpec(
            group=GROUP,
            scope="Namespaced",
            names=CustomResourceDefinitionNames(plural=PLURAL, singular="boat", kind="Boat"),
            versions=[version],
        ),
    )


client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
config_maps()
watches()
deployments()
applies()
custom_resources()
client.delete(Namespace, NAMESPACE)
print("lightkube: all calls answered as expected")
