"""Pods whose fate is being written while others are scheduled. Numbers are of kube-behaviour.md."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.events import EventRecorder
from controlplane.informer import Informers
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile
from controlplane.scheduler.pod_class import PodClass
from controlplane.scheduler.scheduler import Scheduler
from controlplane.testing import World, run
from tests.controlplane.killed import killed_at_end
from tests.controlplane.scheduler.objects import node, pod

REGISTRY = Registry.builtin()


def _resource(plural: str) -> Resource:
    found = REGISTRY.storage("", plural)
    assert found is not None
    return found


PODS = _resource("pods")
NOT_HELPFUL = (
    '0/1 nodes are available: persistentvolumeclaim "missing" not found. preemption: '
    "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)


@asynccontextmanager
async def _scheduling(world: World, writing: ObjectStore) -> AsyncIterator[None]:
    """It hears by a connection of its own: what it writes may be held up alone."""
    async with (
        world.connect() as reading,
        Informers(reading, clock=world.clock, random=world.random) as informers,
    ):
        recorders = {"default-scheduler": EventRecorder(writing, "test")}  # nobody reads them
        scheduler = Scheduler(
            writing,
            informers,
            REGISTRY,
            DEFAULT,
            recorders,
            dice=world.random,
            clock=world.clock,
        )
        async with killed_at_end(scheduler.run()):
            yield


async def _create(store: ObjectStore, plural: str, obj: Object) -> None:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "uid"}
    await store.create(_resource(plural), {**obj, "metadata": metadata})


@asynccontextmanager
async def _failing_once(world: World, work: str) -> AsyncIterator[ObjectStore]:
    """A store whose clock fails once, in a task of this name: nothing of a store's own fails so."""
    left = [work]

    def clock() -> float:
        task = asyncio.current_task()
        if left and task is not None and task.get_name().startswith(left[0]):
            left.clear()
            raise ZeroDivisionError("of our own making")
        return world.now()

    async with world.cluster.connect() as client:
        yield ObjectStore(client, clock=clock, dice=world.random)
        assert not left, f"there was no {work}"


async def _ending(store: ObjectStore) -> list[str]:
    pods = (await store.list(PODS)).items
    return [one["metadata"]["name"] for one in pods if one["metadata"].get("deletionTimestamp")]


def test_preemption_that_is_being_written_is_the_only_one() -> None:
    """7.7: the pod may be tried again before anybody sees a victim end."""

    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as writing:
            for number in range(8):
                await _create(user, "nodes", node(f"n{number}"))
                low = pod(f"low-{number}", cpu="3", nodeName=f"n{number}")
                low["spec"]["terminationGracePeriodSeconds"] = 3600
                await _create(user, "pods", low)
            await _create(user, "pods", pod("ends", cpu="1m", nodeName="n0"))
            async with _scheduling(world, writing):
                with world.cut_off(writing, is_silent=True):
                    await _create(user, "pods", pod("high", cpu="3", priority=100))
                    await world.clock.sleep(1.5)  # it was tried, and may be again
                    now = DeleteOptions(grace_period_seconds=0)
                    await user.delete(PODS, "default", "ends", options=now)
                    await world.clock.sleep(1.5)
                    assert not await _ending(user)

                async def is_any_ending() -> bool:
                    return bool(await _ending(user))

                await world.until(is_any_ending)
                await world.clock.sleep(20.0)
                assert len(await _ending(user)) == 1

    run(application)


def test_pod_whose_binding_fails_by_whatever_is_tried_again() -> None:
    """7.2: a failed bind un-assumes, also where it is our own fault."""

    async def application(world: World) -> None:
        async with world.connect() as user, _failing_once(world, "binding") as writing:
            await _create(user, "nodes", node("n"))
            await _create(user, "pods", pod("p", cpu="3"))

            async def is_bound() -> bool:
                found = await user.get(PODS, "default", "p")
                return bool(found["spec"].get("nodeName"))

            async with _scheduling(world, writing):
                await world.until(is_bound)

    run(application)


def test_pod_whose_preemption_fails_by_whatever_tries_another() -> None:
    """7.7: it does not wait for the end of pods that were never told."""

    async def application(world: World) -> None:
        async with world.connect() as user, _failing_once(world, "preemption") as writing:
            await _create(user, "nodes", node("n"))
            await _create(user, "pods", pod("low", cpu="3", nodeName="n"))
            await _create(user, "pods", pod("high", cpu="3", priority=100))

            async def is_ending() -> bool:
                return bool(await _ending(user))

            async with _scheduling(world, writing):
                await world.until(is_ending)

    run(application)


def test_pod_that_no_node_can_be_helped_to_have_is_not_evaluated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its claim makes a class of its own, whose evaluation would push out what others share."""
    asked: list[PodClass] = []
    evaluation_of = Evaluations.of

    def counted(self: Evaluations, profile: Profile, kind: PodClass) -> Evaluation:
        asked.append(kind)
        return evaluation_of(self, profile, kind)

    monkeypatch.setattr(Evaluations, "of", counted)

    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as writing:
            await _create(user, "nodes", node("n"))
            volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}]
            await _create(user, "pods", pod("p", volumes=volumes))

            async def is_told() -> bool:
                found = await user.get(PODS, "default", "p")
                told = [one["message"] for one in found["status"].get("conditions", ())]
                assert told in ([], [NOT_HELPFUL])
                return bool(told)

            async with _scheduling(world, writing):
                await world.until(is_told)

    run(application)
    assert not asked
