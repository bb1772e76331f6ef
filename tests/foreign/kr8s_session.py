"""A session with PyPI's `kr8s`, run by the Python of a virtual environment that has it.

PYTHON kr8s_session.py KUBECONFIG NAMESPACE
"""

import asyncio
import sys

import kr8s
from kr8s.asyncio.objects import (
    ConfigMap,
    CustomResourceDefinition,
    Deployment,
    Namespace,
    new_class,
)

GROUP, PLURAL = "kr8s.example.com", "boats"
NAMESPACE = sys.argv[2]
WAIT_SECONDS_MAX = 60


async def refused(code, call):
    try:
        await call
    except kr8s.ServerError as error:
        found = error.response.status_code
    else:
        raise AssertionError("it was not refused")
    assert found == code, found


async def config_maps(api):
    made = await ConfigMap(
        {
            "metadata": {"name": "a", "namespace": NAMESPACE, "labels": {"x": "1"}},
            "data": {"k": "1"},
        },
        api=api,
    )
    await made.create()
    assert made.metadata.uid
    await refused(409, made.create())
    assert await made.exists()
    found = [
        one async for one in api.get("configmaps", namespace=NAMESPACE, label_selector={"x": "1"})
    ]
    assert [one.name for one in found] == ["a"]
    await made.patch({"data": {"m": "2", "k": None}})
    assert dict(made.data) == {"m": "2"}
    await made.patch([{"op": "replace", "path": "/data/m", "value": "3"}], type="json")
    assert dict(made.data) == {"m": "3"}
    await made.label({"y": "2"})
    await made.annotate({"z": "3"})
    again = await ConfigMap.get("a", namespace=NAMESPACE, api=api)
    assert dict(again.labels) == {"x": "1", "y": "2"}
    assert dict(again.annotations) == {"z": "3"}
    await made.delete()
    try:
        await made.refresh()
    except kr8s.NotFoundError:
        pass
    else:
        raise AssertionError("it is still there")


async def watches(api):
    seen, begun = [], asyncio.Event()

    async def look():
        async for kind, one in api.watch("configmaps", namespace=NAMESPACE):
            begun.set()
            if one.name == "seen":
                seen.append(kind)
                if kind == "DELETED":
                    return

    looking = asyncio.create_task(look())
    first = await ConfigMap({"metadata": {"name": "first", "namespace": NAMESPACE}}, api=api)
    await first.create()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await begun.wait()
        one = await ConfigMap({"metadata": {"name": "seen", "namespace": NAMESPACE}}, api=api)
        await one.create()
        await one.patch({"data": {"k": "1"}})
        await one.delete()
        await looking
    assert seen == ["ADDED", "MODIFIED", "DELETED"], seen


async def deployments(api):
    made = await Deployment(
        {
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": "nginx:1"}]},
                },
            },
        },
        api=api,
    )
    await made.create()
    assert made.spec.strategy.type == "RollingUpdate"
    async with api.call_api(
        "PATCH",
        version="apps/v1",
        url="deployments/web",
        namespace=NAMESPACE,
        headers={"Content-Type": "application/strategic-merge-patch+json"},
        content='{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"b:1"}]}}}}',
    ) as response:
        containers = response.json()["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in containers} == {"main", "side"}
    await made.scale(3)
    assert (await Deployment.get("web", namespace=NAMESPACE, api=api)).spec.replicas == 3
    await made.delete(propagation_policy="Background")


async def custom_resources(api):
    definition = await CustomResourceDefinition(definition_of(), api=api)
    await definition.create()
    await definition.wait("condition=Established", timeout=WAIT_SECONDS_MAX)
    boat = new_class(
        kind="Boat", version=f"{GROUP}/v1", namespaced=True, plural=PLURAL, asyncio=True
    )
    made = await boat(
        {"metadata": {"name": "b", "namespace": NAMESPACE}, "spec": {"sails": 2}}, api=api
    )
    await made.create()
    assert dict(made.spec) == {"sails": 2, "color": "white"}
    await made.patch({"spec": {"sails": 3}})
    assert made.metadata.generation == 2
    await made.patch({"status": {"afloat": True}, "spec": {"sails": 9}}, subresource="status")
    assert (dict(made.status), made.spec.sails) == ({"afloat": True}, 3)
    wrong = await boat(
        {"metadata": {"name": "c", "namespace": NAMESPACE}, "spec": {"sails": 0}}, api=api
    )
    await refused(422, wrong.create())
    found = [one.name async for one in api.get(f"{PLURAL}.{GROUP}", namespace=NAMESPACE)]
    assert found == ["b"]
    await made.delete()
    await definition.delete()


def definition_of():
    spec = {
        "type": "object",
        "properties": {
            "sails": {"type": "integer", "minimum": 1},
            "color": {"type": "string", "default": "white"},
        },
    }
    status = {"type": "object", "properties": {"afloat": {"type": "boolean"}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}
        },
        "subresources": {"status": {}},
    }
    return {
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": PLURAL, "singular": "boat", "kind": "Boat"},
            "versions": [version],
        },
    }


async def main():
    api = await kr8s.asyncio.api(kubeconfig=sys.argv[1], namespace=NAMESPACE)
    assert (await api.version())["minor"].startswith("33")
    assert any(one["kind"] == "Pod" for one in await api.api_resources())
    namespace = await Namespace({"metadata": {"name": NAMESPACE}}, api=api)
    await namespace.create()
    await config_maps(api)
    await watches(api)
    await deployments(api)
    await custom_resources(api)
    await namespace.delete()
    print("kr8s: all calls answered as expected")


asyncio.run(main())
