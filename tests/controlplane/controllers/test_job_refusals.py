"""Jobs whose pods are refused for long. Numbers are rows of kube-behaviour.md."""

from controlplane.controllers import jobs
from controlplane.controllers.conditions import is_true
from controlplane.controllers.patience import AGAIN_SECONDS_MAX
from controlplane.testing import World, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.job_objects import job_object
from tests.controlplane.controllers.simulated import context_of, resource

JOBS, PODS = resource("batch", "jobs"), resource("", "pods")
NAMESPACES, ACCOUNTS = resource("", "namespaces"), resource("", "serviceaccounts")
LONG_SECONDS = 700.0
"""In which what is tried ever later, without a bound, is tried last after some 650 s."""


def test_pods_that_were_refused_for_long_are_tried_each_half_minute() -> None:
    """4.11: Kubernetes' controller of jobs tries at least each minute."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            await store.create(NAMESPACES, {"metadata": {"name": "shop"}})
            await store.create(JOBS, job_object())
            async with world.running(jobs.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS)
                assert not (await store.list(PODS, "shop")).items, "it has no account"
                account = {"metadata": {"name": "default", "namespace": "shop"}}
                await store.create(ACCOUNTS, account)
                await world.clock.sleep(AGAIN_SECONDS_MAX + 1)
                assert len((await store.list(PODS, "shop")).items) == 1

    run(application, topology=kv.Topology(members=1), seconds_max=LONG_SECONDS * 2)


def test_a_job_whose_pods_are_refused_fails_at_its_deadline() -> None:
    """4.11: activeDeadlineSeconds, whatever else it waits for."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            await store.create(NAMESPACES, {"metadata": {"name": "shop"}})
            late = job_object(activeDeadlineSeconds=int(LONG_SECONDS) - 10)
            await store.create(JOBS, late)
            async with world.running(jobs.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS - 20)
                assert not is_true(await store.get(JOBS, "shop", "sum"), "Failed")
                await world.clock.sleep(20)
                assert is_true(await store.get(JOBS, "shop", "sum"), "Failed")

    run(application, topology=kv.Topology(members=1), seconds_max=LONG_SECONDS * 2)
