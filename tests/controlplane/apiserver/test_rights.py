"""Rights in one place, or to one sub-resource, reach no further (11.3)."""

from typing import Any

from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_server import grant, rule

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


async def test_rights_in_a_namespace_are_none_to_what_is_in_none(api: Api) -> None:
    space = await api.new_namespace()
    await grant(api, space, "all", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    for path in (
        f"/api/v1/namespaces/{space}/nodes",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/clusterroles/view",
    ):
        assert (await api.fault("GET", path, user="bob"))["code"] == 404
        assert (await api.fault("DELETE", path, user="bob"))["code"] in (404, 405)
    await api.good("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")
    await api.good("GET", f"/api/v1/namespaces/{space}", user="bob")


async def test_ephemeral_containers_are_all_that_their_subresource_writes(api: Api) -> None:
    space = await api.new_namespace()
    pods = f"/api/v1/namespaces/{space}/pods"
    spec = {"containers": [{"name": "c", "image": "good"}]}
    before = await api.good("POST", pods, {"metadata": {"name": "a"}, "spec": spec})
    change: dict[str, Any] = {
        "metadata": {"labels": {"x": "y"}, "finalizers": ["example.com/held"]},
        "spec": {
            "activeDeadlineSeconds": 5,
            "containers": [{"name": "c", "image": "evil"}],
            "ephemeralContainers": [{"name": "e", "image": "debug"}],
        },
    }
    path = f"{pods}/a/ephemeralcontainers"
    after = await api.good("PATCH", path, change, content_type=MERGE)
    assert [one["name"] for one in after["spec"]["ephemeralContainers"]] == ["e"]
    assert after["spec"]["containers"] == before["spec"]["containers"]
    assert "activeDeadlineSeconds" not in after["spec"]
    assert "labels" not in after["metadata"]
    assert "finalizers" not in after["metadata"]


async def test_who_may_patch_only_creates_nothing_by_an_apply(api: Api) -> None:
    space = await api.new_namespace()
    await grant(api, space, "patches", rule("patch", resource="secrets"))
    path = f"/api/v1/namespaces/{space}/secrets/a?fieldManager=me"
    wanted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    status = await api.fault("PATCH", path, wanted, user="bob", content_type=APPLY)
    assert (status["code"], "cannot create resource" in status["message"]) == (403, True)
    await api.good("PATCH", path, wanted, content_type=APPLY)
    more = {**wanted, "stringData": {"k": "v"}}
    await api.good("PATCH", path, more, user="bob", content_type=APPLY)
