"""Which code a write is refused with, and why (kube-behaviour 2.1, 2.3, 2.11, 2.12, 2.14, 2.18)."""

from typing import Any

import pytest

from controlplane.apiserver.bodies import with_owners_once
from tests.controlplane.apiserver.asked import call, resource
from tests.controlplane.apiserver.conftest import Answered, Api

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Maps:
    """ConfigMaps of a namespace."""

    def __init__(self, api: Api, space: str) -> None:
        self.api = api
        self.space = space
        self.path = f"/api/v1/namespaces/{space}/configmaps"

    async def new(self, name: str = "c") -> Any:
        return await self.api.good("POST", self.path, {"metadata": {"name": name}})

    async def put(self, **metadata: Any) -> Answered:
        return await self.api.ask("PUT", f"{self.path}/c", {"metadata": metadata})

    async def patch(self, kind: str, body: object, query: str = "") -> Answered:
        return await self.api.ask("PATCH", f"{self.path}/c{query}", body, content_type=kind)


@pytest.fixture
async def maps(api: Api) -> Maps:
    return Maps(api, await api.new_namespace())


def told(answered: Answered) -> tuple[int, str, str]:
    body = answered.body
    return answered.code, body["reason"], body["message"]


# ------------------------------------------------------------------------- whom it is about


async def test_an_update_of_another_uid_is_a_conflict(maps: Maps) -> None:
    """2.3: the uid of a body that replaces an object is a precondition."""
    made = await maps.new()
    uid = made["metadata"]["uid"]
    code, reason, message = told(await maps.put(name="c", uid="another"))
    assert (code, reason) == (409, "Conflict")
    assert message.startswith('Operation cannot be fulfilled on configmaps "c": ')
    assert "UID in precondition: another, UID in object meta: " + uid in message
    assert (await maps.api.ask("PUT", f"{maps.path}/c", made)).code == 200


async def test_a_patch_of_the_uid_is_invalid(maps: Maps) -> None:
    """2.12: it is no precondition there, but a field that is immutable."""
    await maps.new()
    code, reason, message = told(await maps.patch(MERGE, {"metadata": {"uid": "another"}}))
    assert (code, reason) == (422, "Invalid")
    assert "metadata.uid: Invalid value" in message


async def test_an_apply_of_a_uid_makes_no_new_object(maps: Maps) -> None:
    """2.15: whoever names a uid means an object that there is."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}}
    code, reason, message = told(await maps.patch(APPLY, body, "?fieldManager=m"))
    assert (code, reason) == (409, "Conflict")
    assert "uid mismatch: the provided object specified uid u" in message


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "the name of the object (c based on URL) was undeterminable: name must be provided"),
        ({"name": "d"}, "the name of the object (d) does not match the name on the URL (c)"),
        (
            {"name": "c", "namespace": "other"},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
async def test_a_body_is_of_the_object_of_its_url(maps: Maps, metadata: Any, why: str) -> None:
    """2.1."""
    await maps.new()
    assert told(await maps.put(**metadata)) == (400, "BadRequest", why)


@pytest.mark.parametrize(
    "metadata", [{"name": "d"}, {"name": None}, {"namespace": "other"}], ids=str
)
async def test_a_patch_moves_no_object(maps: Maps, metadata: Any) -> None:
    """2.12: name and namespace are immutable."""
    await maps.new()
    answered = await maps.patch(MERGE, {"metadata": metadata})
    assert told(answered)[:2] == (400, "BadRequest")


async def test_the_namespace_of_what_is_in_none_is_dropped(api: Api) -> None:
    """2.1: `kubectl -n x apply` of a file with metadata.namespace works for every kind."""
    path, metadata = "/api/v1/nodes", {"name": "in-none", "namespace": "default"}
    made = await api.good("POST", path, {"metadata": metadata})
    assert "namespace" not in made["metadata"]
    whole = {**made, "metadata": {**made["metadata"], "namespace": "default"}}
    assert "namespace" not in (await api.good("PUT", f"{path}/in-none", whole))["metadata"]


# ----------------------------------------------------------------------------------- scales


async def scaled(api: Api) -> str:
    space = await api.new_namespace()
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    labels = {"app": "web"}
    containers = [{"name": "c", "image": "nginx"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await api.good("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    return f"{path}/web/scale"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"name": "other"}, 400),
        ({"name": "web", "namespace": "other"}, 400),
        ({}, 400),
        ({"name": "web", "uid": "another"}, 409),
        ({"name": "web"}, 200),
    ],
)
async def test_a_scale_is_of_the_object_of_its_url(api: Api, metadata: Any, code: int) -> None:
    """2.13: a Scale is checked as any other body."""
    path = await scaled(api)
    body = {"metadata": metadata, "spec": {"replicas": 2}}
    assert (await api.ask("PUT", path, body)).code == code


async def test_a_patch_of_a_scale_renames_nothing(api: Api) -> None:
    """2.13."""
    path = await scaled(api)
    patch = {"metadata": {"name": "other"}, "spec": {"replicas": 2}}
    assert (await api.ask("PATCH", path, patch, content_type=MERGE)).code == 400


@pytest.mark.parametrize("name", ["other", ""])
async def test_actions_on_a_pod_name_it(api: Api, name: str) -> None:
    """7.2, 8.1."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/pods"
    spec = {"containers": [{"name": "c", "image": "nginx"}]}
    await api.good("POST", path, {"metadata": {"name": "a"}, "spec": spec})
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "n"}}
    status = await api.fault("POST", f"{path}/a/binding", binding)
    assert (status["code"], status["message"]) == (
        400,
        "name in URL does not match name in Binding object",
    )
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    status = await api.fault("POST", f"{path}/a/eviction", eviction)
    assert (status["code"], status["message"]) == (
        400,
        "name in URL does not match name in Eviction object",
    )


# ---------------------------------------------------------------------------------- methods


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("BREW", "/api/v1/namespaces/default/configmaps", 405),
        ("OPTIONS", "/api/v1/namespaces/default/configmaps/a", 405),
        ("BREW", "/api/v1/namespaces/default/nothings", 404),
        ("BREW", "/api/v7/configmaps", 404),
        ("POST", "/version", 405),
        ("PUT", "/apis", 405),
        ("DELETE", "/openapi/v3", 405),
        ("POST", "/nothing", 404),
    ],
)
async def test_a_method_that_there_is_not_is_405_where_there_is_something(
    api: Api, method: str, path: str, code: int
) -> None:
    """2.1, 2.18."""
    status = await api.fault(method, path)
    reason = "MethodNotAllowed" if code == 405 else "NotFound"
    assert (status["code"], status["reason"]) == (code, reason)


# ---------------------------------------------------------------------------------- patches


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (MERGE, {"data": [1]}),
        (STRATEGIC, {"data": {"a": 1}}),
        (JSON, [{"op": "add", "path": "/data", "value": "x"}]),
    ],
)
async def test_a_patch_to_what_cannot_be_decoded_is_invalid(
    maps: Maps, kind: str, patch: Any
) -> None:
    """2.14: 422, where a whole object of such a field is 400."""
    await maps.new()
    answered = await maps.patch(kind, patch)
    code, reason, message = told(answered)
    assert (code, reason) == (422, "Invalid")
    assert message.startswith(' "" is invalid: patch: Invalid value: ')
    assert "json: cannot unmarshal" in message
    assert [cause["field"] for cause in answered.body["details"]["causes"]] == ["patch"]
    assert (await maps.api.ask("PUT", f"{maps.path}/c", {"data": [1]})).code == 400


async def test_a_strict_patch_of_an_unknown_field_is_invalid(maps: Maps) -> None:
    """2.11, 2.14."""
    await maps.new()
    patch = {"nothing": 1}
    code, reason, message = told(await maps.patch(MERGE, patch, "?fieldValidation=Strict"))
    assert (code, reason) == (422, "Invalid")
    assert 'strict decoding error: unknown field "nothing"' in message
    warned = await maps.patch(MERGE, patch)
    assert warned.code == 200
    assert ("Warning", '299 - "unknown field \\"nothing\\""') in warned.headers


# ----------------------------------------------------------------------------------- owners


async def test_an_owner_is_named_once(maps: Maps) -> None:
    """2.12: what is told twice is kept once, with a warning."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"}
    metadata = {"name": "c", "ownerReferences": [owner, {**owner, "name": "p"}, owner]}
    created = await maps.api.ask("POST", maps.path, {"metadata": metadata})
    patched = await maps.patch(MERGE, {"metadata": metadata})
    for answered in (created, patched):
        assert answered.code < 300, answered
        assert answered.body["metadata"]["ownerReferences"] == [owner, {**owner, "name": "p"}]
        (warning,) = [value for name, value in answered.headers if name == "Warning"]
        assert ".metadata.ownerReferences contains duplicate entries" in warning
        assert "duplicate UID(s) observed: u-1" in warning


async def test_owners_that_are_nothing_are_refused(maps: Maps) -> None:
    """Found by test_fuzz, seed 30."""
    await maps.new()
    steps = [{"op": "add", "path": "/metadata/ownerReferences", "value": [None, None]}]
    answered = await maps.patch(JSON, steps)
    assert answered.code == 422
    fields = [cause["field"] for cause in answered.body["details"]["causes"]]
    assert set(fields) == {
        f"metadata.ownerReferences.{field}" for field in ("apiVersion", "kind", "name", "uid")
    }


def test_many_owners_take_time_in_proportion_to_their_number() -> None:
    compared = 0

    class Counted(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    owners = [{"kind": "ConfigMap", "uid": Counted(number)} for number in range(1_000)]
    posted = call(resource("configmaps"), "POST", "/api/v1/namespaces/shop/configmaps")
    once = with_owners_once(posted, {"metadata": {"ownerReferences": [*owners, *owners]}})
    assert once["metadata"]["ownerReferences"] == owners
    assert compared < 10_000


# --------------------------------------------------------------- updates without a revision

LEASES = "/apis/coordination.k8s.io/v1/namespaces"
DEFINITION: dict[str, Any] = {
    "metadata": {"name": "gauges.put.example"},
    "spec": {
        "group": "put.example",
        "scope": "Namespaced",
        "names": {"plural": "gauges", "singular": "gauge", "kind": "Gauge"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"size": {"type": "integer"}},
                    }
                },
            }
        ],
    },
}


async def require_versioned(api: Api, path: str, whole: Any, whom: str) -> None:
    """A PUT must say what it replaces; a patch need not."""
    bare = {key: value for key, value in whole["metadata"].items() if key != "resourceVersion"}
    for metadata in (bare, {**bare, "resourceVersion": "0"}):
        status = await api.fault("PUT", path, {**whole, "metadata": metadata})
        assert (status["code"], status["reason"]) == (422, "Invalid")
        assert status["message"] == (
            f"{whom} is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified "
            "for an update"
        )
    patch = {"metadata": {"labels": {"a": "b"}}}
    await api.good("PATCH", path, patch, content_type=MERGE)
    assert (await api.fault("PUT", path, whole))["code"] == 409
    await api.good("PUT", path, await api.good("GET", path))


async def test_a_lease_is_not_overwritten_blindly(api: Api) -> None:
    """2.3."""
    path = f"{LEASES}/{await api.new_namespace()}/leases"
    made = await api.good("POST", path, {"metadata": {"name": "a"}, "spec": {}})
    await require_versioned(api, f"{path}/a", made, 'leases.coordination.k8s.io "a"')


async def test_a_disruption_budget_is_not_overwritten_blindly(api: Api) -> None:
    """2.3: neither is what its status says."""
    space = await api.new_namespace()
    path = f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets"
    made = await api.good("POST", path, {"metadata": {"name": "a"}, "spec": {"minAvailable": 1}})
    await require_versioned(api, f"{path}/a", made, 'poddisruptionbudgets.policy "a"')
    bare = {**made, "metadata": {"name": "a"}}
    assert (await api.fault("PUT", f"{path}/a/status", bare))["code"] == 422


async def test_custom_resources_and_definitions_are_not_overwritten_blindly(api: Api) -> None:
    """2.3, 11.7."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await api.good("POST", definitions, DEFINITION)
    name = "gauges.put.example"
    whom = f'customresourcedefinitions.apiextensions.k8s.io "{name}"'
    await require_versioned(api, f"{definitions}/{name}", made, whom)
    established = {
        "conditions": [
            {"type": kind, "status": "True", "reason": "r", "lastTransitionTime": None}
            for kind in ("NamesAccepted", "Established")
        ],
        "acceptedNames": DEFINITION["spec"]["names"],
        "storedVersions": ["v1"],
    }
    patch = {"status": established}
    await api.good("PATCH", f"{definitions}/{name}/status", patch, content_type=MERGE)
    await api.assembly.cacher.current()
    space = await api.new_namespace()
    path = f"/apis/put.example/v1/namespaces/{space}/gauges"
    gauge = await api.good("POST", path, {"metadata": {"name": "a"}, "size": 1})
    await require_versioned(api, f"{path}/a", gauge, 'gauges.put.example "a"')
    await api.good("DELETE", f"{definitions}/{name}")
    await api.assembly.cacher.current()
    status = await api.fault("POST", path, {"metadata": {"name": "b"}})
    assert (status["code"], status["message"]) == (
        405,
        "create not allowed while custom resource definition is terminating",
    )
    labels = {"metadata": {"labels": {"c": "d"}}}
    await api.good("PATCH", f"{path}/a", labels, content_type=MERGE)
    await api.good("DELETE", f"{path}/a")


async def test_most_kinds_are_overwritten_blindly(maps: Maps) -> None:
    """2.3."""
    await maps.new()
    body = {"metadata": {"name": "c"}, "data": {"a": "b"}}
    assert (await maps.api.ask("PUT", f"{maps.path}/c", body)).code == 200


@pytest.mark.parametrize(
    ("place", "plural", "body"),
    [
        ("/apis/coordination.k8s.io/v1", "leases", {"spec": {}}),
        ("/api/v1", "endpoints", {}),
        ("/api/v1", "services", {"spec": {"ports": [{"port": 80}]}}),
        ("/api/v1", "limitranges", {"spec": {"limits": []}}),
        ("/apis/rbac.authorization.k8s.io/v1", "roles", {"rules": []}),
    ],
)
async def test_an_update_creates_what_is_not_there_of_some_kinds(
    api: Api, place: str, plural: str, body: Any
) -> None:
    """2.1: 201, as of a create; a uid means one that was there."""
    path = f"{place}/namespaces/{await api.new_namespace()}/{plural}/a"
    meant = {"metadata": {"name": "a", "uid": "u"}, **body}
    assert (await api.fault("PUT", path, meant))["code"] == 409
    assert (await api.ask("PUT", path, {"metadata": {"name": "a"}, **body})).code == 201
    found = await api.good("GET", path)
    assert (await api.ask("PUT", path, found)).code == 200


async def test_an_update_creates_nothing_of_other_kinds(maps: Maps) -> None:
    """2.1."""
    assert told(await maps.put(name="c"))[:2] == (404, "NotFound")


async def test_who_may_update_may_not_thereby_create(api: Api) -> None:
    """11.3."""
    space = await api.new_namespace()
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}"
    rule = {"apiGroups": [""], "resources": ["endpoints"], "verbs": ["update"]}
    await api.good("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "bob"}],
    }
    await api.good("POST", f"{rbac}/rolebindings", binding)
    await api.assembly.cacher.current()
    path = f"/api/v1/namespaces/{space}/endpoints/a"
    assert (await api.fault("PUT", path, {"metadata": {"name": "a"}}, user="bob"))["code"] == 403
