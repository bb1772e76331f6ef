"""/eviction, /binding, /scale, /token over a real store (kube-behaviour 2.13, 7.2, 8.1, 11.2)."""

import asyncio
from typing import Any

import jwt
import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver.pods import DISRUPTED_MAX, Pods, holds_still
from tests.controlplane.apiserver.asked import Objects, call, resource
from tests.controlplane.apiserver.conftest import Api

POLICY = "/apis/policy/v1/namespaces"


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


class Space:
    """A namespace with pods."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.pods = f"/api/v1/namespaces/{name}/pods"
        self.budgets = f"{POLICY}/{name}/poddisruptionbudgets"

    async def run(self, name: str, *, is_ready: bool = True, phase: str = "Running") -> None:
        """A pod with label `app: web` that somebody reports as running."""
        await self.api.good("POST", self.pods, pod(name, app="web"))
        ready = {"type": "Ready", "status": "True" if is_ready else "False"}
        patch = {"status": {"phase": phase, "conditions": [ready]}}
        await self.api.good(
            "PATCH",
            f"{self.pods}/{name}/status",
            patch,
            content_type="application/merge-patch+json",
        )

    async def budget(self, name: str = "b", *, spec: Any = None, **status: Any) -> None:
        wanted = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1, **(spec or {})}
        made = await self.api.good(
            "POST", self.budgets, {"metadata": {"name": name}, "spec": wanted}
        )
        told = {
            "observedGeneration": made["metadata"]["generation"],
            "currentHealthy": 2,
            "desiredHealthy": 1,
            "expectedPods": 2,
            "disruptionsAllowed": 1,
            **status,
        }
        await self.api.good(
            "PATCH",
            f"{self.budgets}/{name}/status",
            {"status": told},
            content_type="application/merge-patch+json",
        )

    async def allowed(self, name: str = "b") -> int:
        found = await self.api.good("GET", f"{self.budgets}/{name}")
        return int(found["status"]["disruptionsAllowed"])

    async def evict(self, name: str, query: str = "") -> Any:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        body["deleteOptions"] = {"gracePeriodSeconds": 0}
        return await self.api.ask("POST", f"{self.pods}/{name}/eviction{query}", body)

    async def is_there(self, name: str) -> bool:
        return (await self.api.ask("GET", f"{self.pods}/{name}")).code == 200


@pytest.fixture
async def space(api: Api) -> Space:
    return Space(api, await api.new_namespace())


# ------------------------------------------------------------------------- eviction, 8.1


async def test_a_budget_allows_so_many_evictions_and_no_more(space: Space) -> None:
    """8.1."""
    await space.budget(disruptionsAllowed=1)
    for name in ("a", "b"):
        await space.run(name)
    evicted = await space.evict("a")
    assert (evicted.code, evicted.body["status"], evicted.body["code"]) == (201, "Success", 201)
    assert not await space.is_there("a")
    assert await space.allowed() == 0
    refused = await space.evict("b")
    assert (refused.code, refused.body["reason"]) == (429, "TooManyRequests")
    assert refused.body["message"] == (
        "Cannot evict pod as it would violate the pod's disruption budget."
    )
    (cause,) = refused.body["details"]["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert "retryAfterSeconds" not in refused.body["details"], "or clients would wait for minutes"
    assert cause["message"] == ("The disruption budget b needs 1 healthy pods and has 2 currently")
    assert await space.is_there("b")


async def test_parallel_evictions_never_exceed_the_budget(space: Space) -> None:
    """8.1."""
    await space.budget(disruptionsAllowed=2)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        await space.run(name)
    answers = await asyncio.gather(*map(space.evict, names))
    gone = [name for name in names if not await space.is_there(name)]
    assert len(gone) == 2
    assert sorted(answer.code for answer in answers)[:2] == [201, 201]
    assert all(answer.code in (201, 429) for answer in answers)
    assert await space.allowed() == 0


async def test_who_has_ended_or_not_begun_needs_no_budget(space: Space) -> None:
    """8.1."""
    await space.budget(disruptionsAllowed=0)
    for name, phase in (("a", "Succeeded"), ("b", "Failed"), ("c", "Pending")):
        await space.run(name, phase=phase)
        assert (await space.evict(name)).code == 201


def test_a_pod_that_is_not_ready_is_evicted_as_it_was_read() -> None:
    """8.1: once it is ready its end costs what a budget has."""
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert holds_still(unready, has_budget=True)
    assert not holds_still(ready, has_budget=True)
    assert holds_still(ready, has_budget=False)


async def test_evictions_that_nobody_confirms_are_bounded(space: Space) -> None:
    """8.1."""
    waiting = {f"p{number}": "2025-01-01T00:00:00Z" for number in range(DISRUPTED_MAX + 1)}
    await space.budget(disruptionsAllowed=1, disruptedPods=waiting)
    await space.run("a")
    refused = await space.evict("a")
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert "DisruptedPods map too big" in refused.body["message"]


async def test_two_budgets_are_an_error(space: Space) -> None:
    """8.1."""
    await space.budget("b")
    await space.budget("c")
    await space.run("a")
    refused = await space.evict("a")
    assert refused.code == 500
    assert "more than one PodDisruptionBudget" in refused.body["message"]


async def test_a_dry_run_takes_nothing_off_the_budget(space: Space) -> None:
    """8.1."""
    await space.budget()
    await space.run("a")
    assert (await space.evict("a", "?dryRun=All")).code == 201
    assert await space.is_there("a")
    assert await space.allowed() == 1


async def test_a_budget_that_nobody_has_looked_at_yet_allows_nothing(space: Space) -> None:
    """8.1."""
    await space.budget(observedGeneration=0)
    await space.run("a")
    refused = await space.evict("a")
    assert refused.code == 429
    assert refused.body["details"]["retryAfterSeconds"] == 10
    assert refused.body["details"]["causes"][0]["message"] == (
        "The disruption budget b is still being processed by the server."
    )


async def test_a_budget_that_has_not_come_to_the_cache_is_heeded(space: Space) -> None:
    await space.run("a")
    behind = Objects()
    spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
    place = {"name": "b", "namespace": space.pods.split("/")[4]}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": place}
    await space.api.good("POST", space.budgets, {**budget, "spec": spec})

    async def fresh() -> None:
        behind.put({**budget, "spec": spec})

    own = space.api.assembly
    pods = Pods(own.store, own.writes, own.turns, own.registry, behind.lister, fresh)
    body = {"metadata": {"name": "a"}}
    asked = call(resource("pods"), "POST", f"{space.pods}/a/eviction", body=body)
    with pytest.raises(ApiError) as caught:
        await pods.evict(asked)
    assert caught.value.code == 429


@pytest.mark.parametrize(
    ("policy", "healthy", "allowed", "code"),
    [
        ("AlwaysAllow", 0, 0, 201),
        ("AlwaysAllow", 2, 1, 201),
        ("IfHealthyBudget", 1, 0, 201),
        ("IfHealthyBudget", 2, 1, 201),
        ("IfHealthyBudget", 0, 0, 429),
        ("", 1, 0, 201),
        ("", 2, 1, 201),
        ("", 0, 0, 429),
    ],
)
async def test_unhealthy_pods_go_as_their_policy_says_and_cost_nothing(
    space: Space, policy: str, healthy: int, allowed: int, code: int
) -> None:
    """8.1."""
    spec = {"unhealthyPodEvictionPolicy": policy} if policy else {}
    await space.budget(
        spec=spec, disruptionsAllowed=allowed, currentHealthy=healthy, desiredHealthy=1
    )
    await space.run("a", is_ready=False)
    assert (await space.evict("a")).code == code
    assert await space.allowed() == allowed


async def test_an_empty_selector_is_of_all_pods_and_none_of_no_pod(space: Space) -> None:
    await space.budget(spec={"selector": {}}, disruptionsAllowed=0)
    await space.run("a")
    assert (await space.evict("a")).code == 429
    await space.api.good("DELETE", f"{space.budgets}/b")
    await space.api.good("POST", space.budgets, {"metadata": {"name": "c"}, "spec": {}})
    await space.api.assembly.cacher.current()
    assert (await space.evict("a")).code == 201


# -------------------------------------------------------------------------- binding, 7.2


def binding(name: str, node: str = "n1", **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, **metadata},
        "target": {"kind": "Node", "name": node},
    }


async def test_a_pod_is_bound_once(space: Space) -> None:
    await space.api.good("POST", space.pods, pod("a"))
    await space.api.good("POST", f"{space.pods}/a/binding", binding("a"))
    found = await space.api.good("GET", f"{space.pods}/a")
    assert found["spec"]["nodeName"] == "n1"
    status = await space.api.fault("POST", f"{space.pods}/a/binding", binding("a", "n2"))
    assert status["code"] == 409
    assert 'pod a is already assigned to node "n1"' in status["message"]


async def test_a_dry_run_binds_nothing(space: Space) -> None:
    await space.api.good("POST", space.pods, pod("a"))
    path = f"{space.pods}/a/binding"
    await space.api.good("POST", f"{path}?dryRun=All", binding("a"))
    assert "nodeName" not in (await space.api.good("GET", f"{space.pods}/a"))["spec"]
    status = await space.api.fault("POST", f"{path}?dryRun=Some", binding("a"))
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, "dryRun")
    assert "nodeName" not in (await space.api.good("GET", f"{space.pods}/a"))["spec"]
    await space.api.good("POST", path, binding("a", "n2"))


async def test_parallel_bindings_bind_to_one_node(space: Space) -> None:
    await space.api.good("POST", space.pods, pod("a"))
    answers = await asyncio.gather(
        *(
            space.api.ask("POST", f"{space.pods}/a/binding", binding("a", f"n{number}"))
            for number in range(5)
        )
    )
    assert sorted(answer.code for answer in answers) == [201, 409, 409, 409, 409]


async def test_a_binding_of_an_earlier_pod_is_refused(space: Space) -> None:
    made = await space.api.good("POST", space.pods, pod("a"))
    status = await space.api.fault(
        "POST", f"{space.pods}/a/binding", binding("a", uid="of-another-pod")
    )
    assert status["code"] == 409
    uid = made["metadata"]["uid"]
    await space.api.good("POST", f"{space.pods}/a/binding", binding("a", uid=uid))


@pytest.mark.parametrize("target", [{}, {"name": ""}, {"kind": "Pod", "name": "x"}])
async def test_a_binding_is_to_a_node(space: Space, target: Any) -> None:
    await space.api.good("POST", space.pods, pod("a"))
    status = await space.api.fault(
        "POST", f"{space.pods}/a/binding", {**binding("a"), "target": target}
    )
    assert status["code"] == 422


# ---------------------------------------------------------------------------- scale, 2.13


async def deployment(api: Api) -> str:
    space = await api.new_namespace()
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    await api.good("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    return f"{path}/web"


async def test_a_scale_says_how_many_there_are_and_which(api: Api) -> None:
    found = await api.good("GET", f"{await deployment(api)}/scale")
    assert (found["kind"], found["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert found["spec"] == {"replicas": 2}
    assert found["status"] == {"replicas": 0, "selector": "app=web"}
    assert found["metadata"]["name"] == "web"


async def test_a_table_of_a_scale_has_its_own_columns(api: Api) -> None:
    path = f"{await deployment(api)}/scale"
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = await api.good("GET", path, accept=accept)
    names = [column["name"] for column in table["columnDefinitions"]]
    assert (table["kind"], names) == ("Table", ["Name", "Desired", "Available", "Age"])
    assert table["rows"][0]["cells"][:3] == ["web", 2, 0]
    patch, merge = {"spec": {"replicas": 0}}, "application/merge-patch+json"
    table = await api.good("PATCH", path, patch, content_type=merge, accept=accept)
    assert table["rows"][0]["cells"][:3] == ["web", 0, 0]
    part = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert (await api.good("GET", path, accept=part))["kind"] == "PartialObjectMetadata"


async def test_a_scale_changes_replicas_and_nothing_else(api: Api) -> None:
    path = await deployment(api)
    before = await api.good("GET", path)
    merge = "application/merge-patch+json"
    patch = {"spec": {"replicas": 5}, "metadata": {"labels": {"x": "y"}}}
    scaled = await api.good("PATCH", f"{path}/scale", patch, content_type=merge)
    assert scaled["spec"] == {"replicas": 5}
    after = await api.good("GET", path)
    assert after["spec"] == {**before["spec"], "replicas": 5}
    assert "labels" not in after["metadata"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    whole = {**scaled, "spec": {"replicas": 0}}
    assert (await api.good("PUT", f"{path}/scale", whole))["spec"] == {}
    assert (await api.good("GET", path))["spec"]["replicas"] == 0


async def test_a_scale_that_is_old_is_409(api: Api) -> None:
    path = await deployment(api)
    old = await api.good("GET", f"{path}/scale")
    await api.good("PUT", f"{path}/scale", {**old, "spec": {"replicas": 3}})
    status = await api.fault("PUT", f"{path}/scale", {**old, "spec": {"replicas": 4}})
    assert (status["code"], status["reason"]) == (409, "Conflict")


@pytest.mark.parametrize("replicas", [-1, "x", 1.5, True])
async def test_a_scale_to_no_number_is_refused(api: Api, replicas: Any) -> None:
    path = await deployment(api)
    merge = "application/merge-patch+json"
    patch = {"spec": {"replicas": replicas}}
    status = await api.fault("PATCH", f"{path}/scale", patch, content_type=merge)
    assert status["code"] in (400, 422)


# ---------------------------------------------------------------------------- token, 11.2


async def test_a_token_of_an_account_says_who_it_is(api: Api) -> None:
    """11.2."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/serviceaccounts/default/token"
    made = await api.good("POST", path, {"spec": {"expirationSeconds": 600}})
    assert made["kind"] == "TokenRequest"
    assert made["spec"]["expirationSeconds"] == 600
    found = jwt.decode(made["status"]["token"], options={"verify_signature": False})
    assert found["exp"] - found["iat"] == 600
    for_an_hour = await api.good("POST", path, {"spec": {}})
    assert for_an_hour["spec"]["expirationSeconds"] == 3600
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = await api.good("POST", me, {}, user=made["status"]["token"])
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{space}:default"


async def test_a_token_ends_with_the_pod_that_it_is_bound_to(api: Api) -> None:
    """11.2."""
    space = Space(api, await api.new_namespace())
    await api.good("POST", space.pods, pod("a"))
    path = space.pods.replace("/pods", "/serviceaccounts/default/token")
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a"}
    made = await api.good("POST", path, {"spec": {"boundObjectRef": reference}})
    token = made["status"]["token"]
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = await api.good("POST", me, {}, user=token)
    assert who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == ["a"]
    await api.good("DELETE", f"{space.pods}/a?gracePeriodSeconds=0")
    await api.assembly.cacher.current()
    assert (await api.fault("POST", me, {}, user=token))["code"] == 401
    status = await api.fault("POST", path, {"spec": {"boundObjectRef": reference}})
    assert status["code"] == 404


@pytest.mark.parametrize(
    ("spec", "code", "told"),
    [
        ({"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**33}, 422, "may not specify a duration larger than 2^32 seconds"),
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"boundObjectRef": {"apiVersion": "apps/v1", "kind": "Pod", "name": "x"}},
            400,
            "cannot bind token to object of type apps/v1, Kind=Pod",
        ),
        ({"boundObjectRef": {"kind": "Secret", "name": "none"}}, 404, 'secrets "none" not found'),
        ({"audiences": 5}, 400, "cannot unmarshal number"),
    ],
)
async def test_token_requests_that_are_refused(api: Api, spec: Any, code: int, told: str) -> None:
    """11.2: 600 s at least."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/serviceaccounts/default/token"
    status = await api.fault("POST", path, {"spec": spec})
    assert status["code"] == code
    assert told in status["message"]


async def test_a_token_is_bound_to_pods_of_its_own_account_only(api: Api) -> None:
    space = Space(api, await api.new_namespace())
    accounts = space.pods.replace("/pods", "/serviceaccounts")
    await api.good("POST", accounts, {"metadata": {"name": "other"}})
    await api.good("POST", space.pods, pod("a"))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a"}
    body = {"spec": {"boundObjectRef": reference}}
    status = await api.fault("POST", f"{accounts}/other/token", body)
    assert (status["code"], status["message"]) == (
        400,
        (
            'cannot bind token for serviceaccount "other" to pod running with different'
            " serviceaccount name."
        ),
    )
