"""Quotas are put right. Numbers are rows of kube-behaviour.md."""

from typing import Any

import msgspec

from controlplane.api import stored
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister
from controlplane.controllers import resource_quota
from controlplane.controllers.context import Context, custom_resource
from controlplane.controllers.resource_quota import is_news, plan
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, DeleteOptions, ObjectStore
from controlplane.testing import World, run
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW, config_map, definition
from tests.controlplane.controllers.simulated import context_of, resource


def _quota(namespace: str = "n", name: str = "q", **hard: str) -> dict[str, Any]:
    told = {key.replace("_", "."): value for key, value in hard.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"hard": told}}


def _pod(namespace: str, name: str, cpu: str, **more: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "512Mi"}}}
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "spec": {"containers": [container]}, **more}


# ------------------------------------------------------------------------ the plan


def test_used_is_the_sum_and_written_as_the_limit_is(cluster: Cluster) -> None:
    """8.2: status.used."""
    quota = _quota(pods="10", requests_cpu="2", requests_memory="4Gi", secrets="3")
    pods = [_pod("n", "a", "500m"), _pod("n", "b", "1")]
    found = plan(quota, [(cluster.resource("pods"), pods)], NOW)
    assert found["status"] == {
        "hard": quota["spec"]["hard"],
        "used": {
            "pods": "2",
            "requests.cpu": "1500m",
            "requests.memory": "1Gi",
            "secrets": "0",
        },
    }
    assert found["spec"] == quota["spec"]


def test_only_what_is_in_scope_is_used(cluster: Cluster) -> None:
    """8.2: scopes."""
    quota = _quota(pods="10")
    quota["spec"]["scopes"] = ["BestEffort"]
    idle: Object = {"metadata": {"name": "i"}, "spec": {"containers": [{"name": "c"}]}}
    found = plan(quota, [(cluster.resource("pods"), [_pod("n", "a", "1"), idle])], NOW)
    assert found["status"]["used"] == {"pods": "1"}


def test_quota_is_counted_when_it_never_was_or_for_other_limits() -> None:
    """8.2."""
    quota = _quota(pods="1")
    assert is_news(quota)
    counted = {**quota, "status": {"hard": {"pods": "1"}, "used": {"pods": "0"}}}
    assert not is_news(counted)
    assert is_news({**counted, "spec": {"hard": {"pods": "2"}}})


# ------------------------------------------------------------------ on real stores


async def _used(cluster: Cluster, namespace: str) -> dict[str, str]:
    found = await cluster.find("resourcequotas", namespace, "q")
    assert found is not None
    used: dict[str, str] = (found.get("status") or {}).get("used") or {}
    return used


async def test_quota_follows_what_goes_and_what_ends(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2: recalculated on deletion; pods that have ended use nothing."""
    pods = cluster.resource("pods")
    for number in range(3):
        await store.create(pods, _pod(namespace, f"p{number}", "1"))
    await cluster.create("configmaps", config_map(namespace, "m"))
    async with cluster.running(resource_quota.controller):
        await cluster.create(
            "resourcequotas",
            {**_quota(namespace, pods="5", cpu="9", configmaps="4")},
        )

        async def uses(**expected: str) -> bool:
            return await _used(cluster, namespace) == expected

        await until(lambda: uses(pods="3", cpu="3", configmaps="1"))
        await store.delete(pods, namespace, "p0", options=DeleteOptions(grace_period_seconds=0))
        await until(lambda: uses(pods="2", cpu="2", configmaps="1"))
        await store.update(
            pods, namespace, "p1", lambda old: {**old, "status": {"phase": "Succeeded"}}
        )
        await until(lambda: uses(pods="1", cpu="1", configmaps="1"))
        await store.delete(cluster.resource("configmaps"), namespace, "m")
        await until(lambda: uses(pods="1", cpu="1", configmaps="0"))


async def test_service_of_another_type_uses_less(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2: recalculated when it is no longer a load balancer."""
    services = cluster.resource("services")
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    await store.create(services, {"metadata": {"name": "s", "namespace": namespace}, "spec": spec})
    async with cluster.running(resource_quota.controller):
        quota = _quota(namespace)
        quota["spec"]["hard"] = {"services.loadbalancers": "2", "services": "2"}
        await cluster.create("resourcequotas", quota)

        async def uses(balancers: int) -> bool:
            used = await _used(cluster, namespace)
            return used == {"services.loadbalancers": str(balancers), "services": "1"}

        await until(lambda: uses(1))
        await store.update(
            services, namespace, "s", lambda old: {**old, "spec": {**spec, "type": "ClusterIP"}}
        )
        await until(lambda: uses(0))


def test_a_new_service_makes_nobody_count_anew() -> None:
    """8.2: admission has counted it; that of another type is not counted by anybody else."""
    services, looks = resource("", "services"), list[str]()

    def noted(made: Controller) -> Controller:
        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            looks.append(key.name)
            return await made.reconcile(key, lister, store)

        return msgspec.structs.replace(made, reconcile=reconcile)

    async def application(world: World) -> None:
        async with (
            world.connect() as store,
            world.running(noted(resource_quota.controller(context_of(store)))),
        ):
            await world.clock.sleep(5)
            looks.clear()
            made = {"metadata": {"name": "s", "namespace": "n"}, "spec": {"type": "NodePort"}}
            await store.create(services, made)
            await world.clock.sleep(5)
            assert looks == []
            await store.update(
                services, "n", "s", lambda old: {**old, "spec": {"type": "ClusterIP"}}
            )
            await world.clock.sleep(5)
            assert looks == ["n"]

    run(application)


async def test_quotas_are_counted_anew_every_five_minutes(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2."""
    pauses: list[float | None] = []

    def noted(context: Context) -> Controller:
        made = resource_quota.controller(context)

        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            pause = await made.reconcile(key, lister, store)
            if key.namespace == namespace:
                pauses.append(pause)
            return pause

        return msgspec.structs.replace(made, reconcile=reconcile)

    async with cluster.running(noted):
        await cluster.create("resourcequotas", _quota(namespace, pods="5"))

        async def is_counted() -> bool:
            return bool(pauses)

        await until(is_counted)
    assert pauses[0] == 300.0


def test_pod_that_a_lost_node_keeps_is_not_charged_for_ever() -> None:
    """8.2: but it is an object still."""
    pods, quotas = resource("", "pods"), resource("", "resourcequotas")

    async def application(world: World) -> None:
        async with world.connect() as store:
            quota = _quota(pods="5", requests_cpu="5")
            quota["spec"]["hard"]["count/pods"] = "5"
            await store.create(quotas, quota)
            pod = _pod("n", "p", "1")
            pod["spec"] |= {"nodeName": "lost", "terminationGracePeriodSeconds": 400}
            await store.create(pods, pod)

            async def used() -> list[str]:
                told = (await store.get(quotas, "n", "q"))["status"]["used"]
                return [told[name] for name in ("pods", "requests.cpu", "count/pods")]

            async with world.running(resource_quota.controller(context_of(store))):
                await world.clock.sleep(5)
                await store.delete(pods, "n", "p")
                await world.clock.sleep(790)
                assert await used() == ["1", "1", "1"], "it may take its grace, and as much again"
                await world.clock.sleep(400)
                assert await used() == ["0", "0", "1"]

    run(application, seconds_max=3000)


async def test_other_limits_are_counted_at_once(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2."""
    quotas = cluster.resource("resourcequotas")
    async with cluster.running(resource_quota.controller):
        await store.create(quotas, _quota(namespace, pods="5"))

        async def is_counted(**expected: str) -> bool:
            return await _used(cluster, namespace) == expected

        await until(lambda: is_counted(pods="0"))
        await store.update(
            quotas, namespace, "q", lambda old: {**old, "spec": {"hard": {"secrets": "7"}}}
        )
        await until(lambda: is_counted(secrets="0"))


async def test_custom_resources_are_counted(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2: count/<res>.<group>."""
    group = f"{namespace}.example.com"
    made = await cluster.create("customresourcedefinitions", definition("gears", "Gear", group))
    gears = custom_resource(made)
    assert gears is not None
    await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})
    quota = _quota(namespace)
    quota["spec"]["hard"] = {f"count/gears.{group}": "3"}
    await cluster.create("resourcequotas", quota)
    async with cluster.running(resource_quota.controller):

        async def is_counted() -> bool:
            return await _used(cluster, namespace) == {f"count/gears.{group}": "1"}

        await until(is_counted)


async def test_what_admission_counts_meanwhile_is_not_lost(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2: each pod is counted in the Txn that creates it, while others are deleted."""
    pods, quotas = cluster.resource("pods"), cluster.resource("resourcequotas")
    async with cluster.running(resource_quota.controller):
        await store.create(quotas, _quota(namespace, pods="100"))

        async def is_counted(count: int) -> bool:
            return await _used(cluster, namespace) == {"pods": str(count)}

        await until(lambda: is_counted(0))
        for number in range(40):
            await _admit(store, cluster, namespace, f"p{number}")
            if number % 2:
                await store.delete(pods, namespace, f"p{number}")
        await until(lambda: is_counted(20))


async def _admit(store: ObjectStore, cluster: Cluster, namespace: str, name: str) -> None:
    """Create a pod as the API server does: with what its quota counts, or not at all."""
    pods, quotas = cluster.resource("pods"), cluster.resource("resourcequotas")
    while True:
        quota = await store.get(quotas, namespace, "q")
        used = int(quota["status"]["used"]["pods"]) + 1
        counted = {**quota, "status": {**quota["status"], "used": {"pods": str(used)}}}
        claim = Claim(
            quotas.key(namespace, "q").encode(),
            stored.encode(quotas, counted),
            int(quota["metadata"]["resourceVersion"]),
        )
        try:
            await store.create(pods, _pod(namespace, name, "1"), also=[claim])
        except ClaimLostError:
            continue
        return
