"""A session with PyPI's `kubernetes`, run by the Python of a virtual environment that has it.

PYTHON kubernetes_session.py KUBECONFIG NAMESPACE
"""

import json
import sys

from kubernetes import client, config, dynamic, watch

GROUP, PLURAL = "kubernetes.example.com", "boats"
MERGE, STEPS = "application/merge-patch+json", "application/json-patch+json"
NAMESPACE = sys.argv[2]
ATTEMPTS_MAX = 10
config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()


def refused(code, reason, call, *arguments, **named):
    """The body of the error that a call must raise."""
    try:
        call(*arguments, **named)
    except client.ApiException as error:
        found = error
    else:
        raise AssertionError(f"{call} was not refused")
    told = json.loads(found.body)
    assert (found.status, told["code"], told["reason"]) == (code, code, reason), told
    return told


def discovery():
    assert client.VersionApi().get_code().minor.startswith("33")
    assert "v1" in core.get_api_resources().group_version
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io"} <= groups


def config_maps():
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata={"name": "a", "labels": {"x": "1"}}, data={"k": "1"})
    )
    assert made.metadata.uid
    assert made.metadata.creation_timestamp.tzinfo
    refused(
        409,
        "AlreadyExists",
        core.create_namespaced_config_map,
        NAMESPACE,
        {"metadata": {"name": "a"}},
    )
    refused(404, "NotFound", core.read_namespaced_config_map, "nothing", NAMESPACE)
    found = core.list_namespaced_config_map(NAMESPACE, label_selector="x=1")
    assert [one.metadata.name for one in found.items] == ["a"]

    merged = core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"m": "2", "k": None}})
    assert merged.data == {"m": "2"}
    steps = [{"op": "replace", "path": "/data/m", "value": "3"}]
    patched = core.patch_namespaced_config_map("a", NAMESPACE, steps)
    assert patched.data == {"m": "3"}
    stale = merged
    stale.data = {"lost": "1"}
    refused(409, "Conflict", core.replace_namespaced_config_map, "a", NAMESPACE, stale)
    patched.data = {"r": "4"}
    assert core.replace_namespaced_config_map("a", NAMESPACE, patched).data == {"r": "4"}

    dry = core.delete_namespaced_config_map("a", NAMESPACE, dry_run="All")
    assert dry["status"] == "Success", dry
    core.delete_namespaced_config_map("a", NAMESPACE)
    refused(404, "NotFound", core.read_namespaced_config_map, "a", NAMESPACE)


def watches():
    told = watch.Watch()
    seen = []
    begun = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "seen"}})
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"k": "1"}})
    core.delete_namespaced_config_map("seen", NAMESPACE)
    for event in told.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=begun, timeout_seconds=60
    ):
        assert isinstance(event["object"], client.V1ConfigMap)
        if event["object"].metadata.name == "seen":
            seen.append(event["type"])
        if event["type"] == "DELETED":
            told.stop()
    assert seen == ["ADDED", "MODIFIED", "DELETED"], seen


def deployments():
    made = apps.create_namespaced_deployment(
        NAMESPACE,
        client.V1Deployment(
            metadata=client.V1ObjectMeta(name="web"),
            spec=client.V1DeploymentSpec(
                replicas=2,
                selector=client.V1LabelSelector(match_labels={"app": "web"}),
                template=client.V1PodTemplateSpec(
                    metadata=client.V1ObjectMeta(labels={"app": "web"}),
                    spec=client.V1PodSpec(
                        containers=[client.V1Container(name="main", image="nginx:1")]
                    ),
                ),
            ),
        ),
    )
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    # A strategic merge adds to a list by its key, where a merge patch would replace it.
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "b:1"}]}}}}
    patched = apps.patch_namespaced_deployment("web", NAMESPACE, sidecar)
    assert {one.name for one in patched.spec.template.spec.containers} == {"main", "side"}
    scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=web")
    resized(scale, 5)
    assert apps.read_namespaced_deployment("web", NAMESPACE).spec.replicas == 5
    status = apps.patch_namespaced_deployment_status("web", NAMESPACE, {"status": {"replicas": 5}})
    assert (status.status.replicas, status.metadata.generation) == (
        5,
        patched.metadata.generation + 1,
    )
    wrong = client.V1Deployment(metadata={"name": "wrong"}, spec={"selector": {}, "template": {}})
    refused(422, "Invalid", apps.create_namespaced_deployment, NAMESPACE, wrong)
    apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Background")


def resized(scale, replicas):
    """As any client does it: the Deployment's controller may have written it meanwhile."""
    for attempt in range(ATTEMPTS_MAX):
        scale.spec.replicas = replicas
        try:
            apps.replace_namespaced_deployment_scale("web", NAMESPACE, scale)
            return
        except client.ApiException as error:
            if error.status != 409 or attempt == ATTEMPTS_MAX - 1:
                raise
        scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)


def applies():
    maps = dynamic.DynamicClient(client.ApiClient()).resources.get(
        api_version="v1", kind="ConfigMap"
    )

    def apply(value, manager, **named):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "applied"},
            "data": {"k": value},
        }
        return maps.server_side_apply(
            body=body, name="applied", namespace=NAMESPACE, field_manager=manager, **named
        )

    assert apply("1", "one").metadata.managedFields[0].operation == "Apply"
    told = refused(409, "Conflict", apply, "2", "two")
    assert 'conflict with "one"' in told["message"]
    assert apply("2", "two", force_conflicts=True).data.k == "2"
    assert [
        one.metadata.name
        for one in maps.get(namespace=NAMESPACE, field_selector="metadata.name=applied").items
    ] == ["applied"]
    maps.delete(name="applied", namespace=NAMESPACE)


def custom_resources():
    definitions = client.ApiextensionsV1Api()
    definitions.create_custom_resource_definition(definition())
    name = f"{PLURAL}.{GROUP}"
    for event in watch.Watch().stream(
        definitions.list_custom_resource_definition,
        field_selector=f"metadata.name={name}",
        timeout_seconds=60,
    ):
        conditions = event["object"].status.conditions or []
        if any(one.type == "Established" and one.status == "True" for one in conditions):
            break
    else:
        raise AssertionError("never established")
    custom, place = client.CustomObjectsApi(), (GROUP, "v1", NAMESPACE, PLURAL)
    body = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Boat",
        "metadata": {"name": "b"},
        "spec": {"sails": 2},
    }
    made = custom.create_namespaced_custom_object(*place, body)
    assert made["spec"] == {"sails": 2, "color": "white"}
    refused(
        422,
        "Invalid",
        custom.create_namespaced_custom_object,
        *place,
        body | {"metadata": {"name": "c"}, "spec": {"sails": 0}},
    )
    # Left to itself the client calls all patches of custom objects merge patches.
    patched = custom.patch_namespaced_custom_object(
        *place, "b", {"spec": {"sails": 3}}, _content_type=MERGE
    )
    assert patched["metadata"]["generation"] == 2
    steps = [{"op": "replace", "path": "/spec/sails", "value": 4}]
    stepped = custom.patch_namespaced_custom_object(*place, "b", steps, _content_type=STEPS)
    assert stepped["spec"]["sails"] == 4
    status = {"status": {"afloat": True}, "spec": {"sails": 9}}
    told = custom.patch_namespaced_custom_object_status(*place, "b", status, _content_type=MERGE)
    assert (told["status"], told["spec"]["sails"]) == ({"afloat": True}, 4)
    found = custom.list_namespaced_custom_object(*place)
    assert [one["metadata"]["name"] for one in found["items"]] == ["b"]
    custom.delete_namespaced_custom_object(*place, "b")
    definitions.delete_custom_resource_definition(name)


def definition():
    spec = {
        "type": "object",
        "properties": {
            "sails": {"type": "integer", "minimum": 1},
            "color": {"type": "string", "default": "white"},
        },
    }
    status = {"type": "object", "properties": {"afloat": {"type": "boolean"}}}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": PLURAL, "singular": "boat", "kind": "Boat"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def access():
    review = client.AuthorizationV1Api().create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    )
    assert review.status.allowed
    token = core.create_namespaced_service_account_token(
        "default",
        NAMESPACE,
        client.AuthenticationV1TokenRequest(spec={"audiences": [], "expirationSeconds": 600}),
    ).status.token
    assert token.count(".") == 2
    found = core.list_namespaced_config_map(NAMESPACE, limit=1)
    assert len(found.items) <= 1


core.create_namespace({"metadata": {"name": NAMESPACE}})
discovery()
config_maps()
watches()
deployments()
applies()
custom_resources()
access()
core.delete_namespace(NAMESPACE)
print("kubernetes: all calls answered as expected")
