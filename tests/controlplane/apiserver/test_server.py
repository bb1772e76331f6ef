"""The chain that every request goes through, over a real store (kube-behaviour 2.1, 2.18, 11.3)."""

import asyncio
from typing import Any

import pytest

from tests.controlplane.apiserver.conftest import Api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
POD = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}


async def grant(api: Api, namespace: str, name: str, *rules: dict[str, Any]) -> None:
    """Give bob a role in a namespace."""
    place = f"{RBAC}/namespaces/{namespace}"
    await api.good("POST", f"{place}/roles", {"metadata": {"name": name}, "rules": list(rules)})
    group = "rbac.authorization.k8s.io"
    await api.good(
        "POST",
        f"{place}/rolebindings",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "bob"}],
        },
    )


def rule(*verbs: str, resource: str = "configmaps", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": list(verbs), **more}


async def test_who_is_not_known_is_401(api: Api) -> None:
    """11.1, 2.18."""
    status = await api.fault("GET", "/api/v1/pods", user="nobody")
    assert (status["code"], status["reason"]) == (401, "Unauthorized")


async def test_who_may_not_is_403_before_anything_else_is_said(api: Api) -> None:
    """11.3. Whether there is such a thing is nothing that he is told."""
    for path in ("/api/v1/namespaces/default/pods", "/apis/none.example/v1/things"):
        status = await api.fault("GET", path, user="bob")
        assert (status["code"], status["reason"]) == (403, "Forbidden")
    status = await api.fault("GET", "/api/v1/namespaces/d/pods", user="bob")
    assert status["message"] == (
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the '
        'namespace "d"'
    )


async def test_anonymous_users_see_health_and_version_and_no_more(api: Api) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/version"):
        assert (await api.ask("GET", path, user="")).code == 200
    for path in ("/api", "/metrics", "/openapi/v3", "/", "/api/v1/namespaces"):
        assert (await api.ask("GET", path, user="")).code == 403


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/api/v1/namespaces/default/configmaps/a", 405),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405),
        ("PATCH", "/api/v1/namespaces/default/configmaps", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/configmaps", 405),
        ("GET", "/api/v1/namespaces/default/nothings", 404),
        ("GET", "/api/v7/pods", 404),
        ("GET", "/apis/none/v1/pods", 404),
        ("GET", "/api/v1/namespaces/default/pods/a/nothing", 404),
        ("GET", "/api/v1/namespaces/default/status/more", 404),
        ("GET", "/api/v1/namespaces//pods", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/namespaces/default/configmaps/none", 404),
        ("DELETE", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
    ],
)
async def test_what_there_is_not(api: Api, method: str, path: str, code: int) -> None:
    """2.1, 2.18."""
    status = await api.fault(method, path, {})
    assert status["code"] == code
    assert status["status"] == "Failure"


async def test_what_is_new_is_201_and_all_else_that_went_well_200(api: Api) -> None:
    """2.1, 2.15."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps"
    assert (await api.ask("POST", path, {"metadata": {"name": "a"}})).code == 201
    found = await api.ask("GET", f"{path}/a")
    assert found.code == 200
    assert (await api.ask("PUT", f"{path}/a", found.body)).code == 200
    assert (await api.ask("GET", path)).code == 200
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
    by_apply: dict[str, Any] = {"content_type": "application/apply-patch+yaml"}
    for code in (201, 200):
        made = await api.ask("PATCH", f"{path}/b?fieldManager=me", applied, **by_apply)
        assert made.code == code
    assert (await api.ask("DELETE", f"{path}/a")).code == 200


async def test_a_patch_of_an_unknown_form_is_415(api: Api) -> None:
    """2.14."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps/a"
    unknown: dict[str, Any] = {"content_type": "application/json"}
    status = await api.fault("PATCH", path, {}, **unknown)
    assert (status["code"], status["reason"]) == (415, "UnsupportedMediaType")


async def test_a_role_for_one_name_lets_list_and_watch_this_name_by_its_field(api: Api) -> None:
    """RBAC's documentation, "Referring to resources": metadata.name as a field selector."""
    space = await api.new_namespace()
    await grant(api, space, "r", rule("get", "list", "deletecollection", resourceNames=["mine"]))
    path = f"/api/v1/namespaces/{space}/configmaps"
    for name in ("mine", "other"):
        await api.good("POST", path, {"metadata": {"name": name}})
    found = await api.good("GET", f"{path}?fieldSelector=metadata.name%3Dmine", user="bob")
    assert [one["metadata"]["name"] for one in found["items"]] == ["mine"]
    for query in ("", "?fieldSelector=metadata.name%3Dother", "?fieldSelector=metadata.name!%3Dx"):
        assert (await api.fault("GET", path + query, user="bob"))["code"] == 403
    assert (await api.fault("GET", f"{path}?fieldSelector=((", user="bob"))["code"] == 403
    await api.good("DELETE", f"{path}?fieldSelector=metadata.name%3Dmine", user="bob")
    left = await api.good("GET", path)
    assert [one["metadata"]["name"] for one in left["items"]] == ["other"]


async def test_a_right_to_an_object_is_none_to_its_subresources(api: Api) -> None:
    space = await api.new_namespace()
    await grant(api, space, "r", rule("*", resource="pods"))
    await api.good("POST", f"/api/v1/namespaces/{space}/pods", POD)
    path = f"/api/v1/namespaces/{space}/pods/a"
    await api.good("GET", path, user="bob")
    for method, sub in (("GET", "status"), ("POST", "eviction"), ("POST", "binding")):
        assert (await api.fault(method, f"{path}/{sub}", {}, user="bob"))["code"] == 403


async def test_impersonation_is_a_right(api: Api) -> None:
    asked = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    found = await api.good("POST", asked, {}, impersonate_user="carol", impersonate_group="x\ny")
    assert found["status"]["userInfo"] == {
        "username": "carol",
        "groups": ["x", "y", "system:authenticated"],
    }
    status = await api.fault("POST", asked, {}, user="bob", impersonate_user="carol")
    assert status["code"] == 403
    assert 'User "bob" cannot impersonate resource "users"' in status["message"]
    # Who acts for another has his rights, and not his own any more.
    path = "/api/v1/namespaces/default/pods"
    assert (await api.fault("GET", path, impersonate_user="carol"))["code"] == 403
    status = await api.fault("GET", path, impersonate_group="x")
    assert status["code"] == 400


async def test_bodies_that_are_none_are_400(api: Api) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    bodies: list[Any] = [[], "x", 5, None, {"metadata": 5}, {"metadata": {"name": 5}}]
    for body in (*bodies, {"data": [1]}):
        status = await api.fault("POST", path, body)
        assert status["code"] in (400, 422), body
    status = await api.fault("DELETE", f"{path}/x", {"preconditions": 7})
    assert status["code"] == 400


async def test_metrics_do_not_grow_with_what_strangers_ask_for(api: Api) -> None:
    async def rows() -> int:
        text = (await api.ask("GET", "/metrics")).raw.decode()
        assert "strange" not in text
        return sum(line.startswith("apiserver_request_total{") for line in text.splitlines())

    async def strange(number: int) -> None:
        for user in ("nobody", "bob", "admin"):
            await api.ask("GET", f"/apis/strange{number}/v1/strange", user=user)
            await api.ask("GET", f"/api/v1/namespaces/x/pods/a/strange{number}", user=user)
            await api.ask(f"STRANGE{number}", "/api/v1/pods", user=user)

    await strange(0)
    await rows()  # has a row itself
    before = await rows()
    for number in range(1, 6):
        await strange(number)
    assert await rows() == before


# ------------------------------------------------------------------- services and quotas


async def test_parallel_services_never_share_an_address(api: Api) -> None:
    """5.2, 5.3."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/services"

    async def create(number: int) -> Any:
        spec = {"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}
        return await api.good("POST", path, {"metadata": {"name": f"s{number}"}, "spec": spec})

    made = await asyncio.gather(*map(create, range(20)))
    assert len({one["spec"]["clusterIP"] for one in made}) == 20
    assert len({one["spec"]["ports"][0]["nodePort"] for one in made}) == 20
    # One that is given up can be had again.
    taken = made[0]["spec"]["ports"][0]["nodePort"]
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": taken}]}
    wanted = {"metadata": {"name": "again"}, "spec": spec}
    assert (await api.fault("POST", path, wanted))["code"] == 422
    await api.good("DELETE", f"{path}/s0")
    assert (await api.good("POST", path, wanted))["spec"]["ports"][0]["nodePort"] == taken


async def test_a_dry_run_takes_no_address(api: Api) -> None:
    """2.10, 5.2."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/services"
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30005}]}
    wanted = {"metadata": {"name": "a"}, "spec": spec}
    for _ in range(2):
        await api.good("POST", f"{path}?dryRun=All", wanted)
    assert (await api.fault("GET", f"{path}/a"))["code"] == 404
    await api.good("POST", path, wanted)


async def test_a_secret_is_not_readable_in_the_store(api: Api) -> None:
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/secrets"
    await api.good("POST", path, {"metadata": {"name": "s"}, "stringData": {"a": "hidden"}})
    client = api.assembly.store.client
    raw = (await client.get_range(f"/registry/core/secrets/{space}/s")).kvs[0].value
    assert raw.startswith(b"k8s:enc:aesgcm:v1:k1:")
    assert (await api.good("GET", f"{path}/s"))["data"] == {"a": "aGlkZGVu"}
    listed = await api.good("GET", path)
    assert listed["items"][0]["data"] == {"a": "aGlkZGVu"}
