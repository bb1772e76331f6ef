"""Jobs in the simulation: their controller is killed after its writes, and cut off from the store.

The truth is the store's history: how each pod ended, if it was tracked then. Numbers are rows of
kube-behaviour.md.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any, Self
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane import controller
from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controllers import jobs
from controlplane.controllers.context import Context
from controlplane.controllers.job_pods import INDEX, TRACKING
from controlplane.events import EventRecorder
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.job_objects import job_object
from tests.controlplane.killed import killed_at_end

REGISTRY = Registry.builtin()
SECONDS_MAX = 4_000.0  # simulated: back-offs of some failures in a row
_POLL_SECONDS = 0.5


def _resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


JOBS, PODS = _resource("batch", "jobs"), _resource("", "pods")
NAMESPACES, ACCOUNTS = _resource("", "namespaces"), _resource("", "serviceaccounts")


class Fuse:
    """Burns with each write. `blown`: there will be no other."""

    def __init__(self, writes: int) -> None:
        self.blown = asyncio.Event()
        self._left = writes

    async def burn(self) -> None:
        """Called after a write."""
        self._left -= 1
        if self._left <= 0:
            self.blown.set()
            await asyncio.Event().wait()


class MortalStore(ObjectStore):
    """A store whose process is killed after so many writes."""

    fuse: Fuse

    async def create(self, *args: Any, **options: Any) -> Object:
        made = await super().create(*args, **options)
        await self.fuse.burn()
        return made

    async def update(self, *args: Any, **options: Any) -> Object:
        made = await super().update(*args, **options)
        await self.fuse.burn()
        return made

    async def delete(self, *args: Any, **options: Any) -> Any:
        made = await super().delete(*args, **options)
        await self.fuse.burn()
        return made


@asynccontextmanager
async def _controllers(
    world: World, lives: Iterator[int], cuts: Sequence[Cut] = ()
) -> AsyncIterator[None]:
    """The process of the controller: killed after so many writes each time; then it stays."""

    async def be(writes: int) -> None:
        async with world.connect() as store, world.suffer(store, cuts):
            mortal = MortalStore(store.client, clock=world.now, new_uid=lambda: _uid(world))
            mortal.fuse = Fuse(writes)
            recorder = EventRecorder(store, "test")  # nobody reads what it keeps
            made = jobs.controller(Context(registry=REGISTRY, recorder=recorder))
            work = controller.run([made], mortal, clock=world.clock, random=world.random)
            tasks = [asyncio.ensure_future(work), asyncio.ensure_future(mortal.fuse.blown.wait())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                assert mortal.fuse.blown.is_set(), "it ends by its own fault only"
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def live() -> None:
        for writes in lives:
            await be(writes)
        await be(10**9)

    async with killed_at_end(live()):
        yield


def _uid(world: World) -> str:
    return str(UUID(int=world.random.getrandbits(128), version=4))


class Node:
    """Ends the pods of a job as the dice say, and lets go those that are deleted."""

    def __init__(self, world: World, store: ObjectStore, failures: int) -> None:
        self._world = world
        self._store = store
        self._failures = failures

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            try:
                for pod in (await self._store.list(PODS, "shop")).items:
                    await self._look(pod)
            except ApiError as error:
                if error.code not in (404, 409, 503, 504):
                    raise
            await self._world.clock.sleep(_POLL_SECONDS)

    async def _look(self, pod: Object) -> None:
        metadata, phase = pod["metadata"], pod["status"]["phase"]
        place = (PODS, metadata["namespace"], metadata["name"])
        if metadata.get("deletionTimestamp"):
            if phase == "Pending":
                await self._end(pod, "Failed")
            options = DeleteOptions(grace_period_seconds=0, uid=metadata["uid"])
            await self._store.delete(*place, options=options)
        elif phase == "Pending" and self._world.random.random() < 0.5:
            fails = self._failures > 0 and self._world.random.random() < 0.4
            self._failures -= fails
            await self._end(pod, "Failed" if fails else "Succeeded")

    async def _end(self, pod: Object, phase: str) -> None:
        metadata = pod["metadata"]

        def ended(current: Object) -> Object:
            return {**current, "status": {**current["status"], "phase": phase}}

        place = (PODS, metadata["namespace"], metadata["name"])
        await self._store.update(*place, ended, uid=metadata["uid"])


class Truth(msgspec.Struct):
    """Pods that were tracked when they ended.

    succeeded  uid -> index
    """

    succeeded: dict[str, str] = {}
    failed: set[str] = set()

    @classmethod
    async def told_by(cls, store: ObjectStore) -> Self:
        """All that ever happened to pods."""
        truth = cls()
        await store.create(PODS, {"metadata": {"name": "last", "namespace": "shop"}})
        async with store.watch(PODS, "shop", 1) as changes:
            async for batch in changes:
                for pod in filter(None, (change.object(PODS) for change in batch)):
                    if pod["metadata"]["name"] == "last":
                        return truth
                    truth._hear(pod)
        raise AssertionError("a watch does not end")

    def _hear(self, pod: Object) -> None:
        metadata, phase = pod["metadata"], pod["status"]["phase"]
        if TRACKING not in (metadata.get("finalizers") or ()):
            return
        if phase == "Succeeded":
            self.succeeded[metadata["uid"]] = (metadata.get("annotations") or {}).get(INDEX, "")
        elif phase == "Failed":
            self.failed.add(metadata["uid"])


async def _insist(world: World, attempt: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await attempt()
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            if error.code not in (409, 503, 504):
                raise
        await world.clock.sleep(_POLL_SECONDS)


def _is_complete(found: Object) -> bool:
    conditions = found["status"].get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


async def _run_job(
    world: World, spec: dict[str, Any], lives: Iterator[int], failures: int, cuts: Sequence[Cut]
) -> tuple[Object, Truth, Sequence[Object]]:
    """The job when it has ended, what became of its pods, and what is left of them."""
    async with world.connect() as store:
        node = Node(world, store, failures)
        namespace = {"metadata": {"name": "shop"}, "status": {"phase": "Active"}}
        account = {"metadata": {"name": "default", "namespace": "shop"}}
        await _insist(world, lambda: store.create(NAMESPACES, namespace))
        await _insist(world, lambda: store.create(ACCOUNTS, account))
        work = asyncio.create_task(node.work())
        try:
            async with _controllers(world, lives, cuts):
                await _insist(world, lambda: store.create(JOBS, job_object(**spec)))
                await world.heal()

                async def is_complete() -> bool:
                    try:
                        return _is_complete(await store.get(JOBS, "shop", "sum"))
                    except ApiError as error:
                        if error.code not in (503, 504):
                            raise
                        return False

                await world.until(is_complete, seconds_max=SECONDS_MAX)
        finally:
            work.cancel()
            await asyncio.wait([work])
        left = (await store.list(PODS, "shop")).items
        return await store.get(JOBS, "shop", "sum"), await Truth.told_by(store), left


def _require_truth(found: Object, truth: Truth, left: Sequence[Object], completions: int) -> None:
    status = found["status"]
    assert status["succeeded"] == len(truth.succeeded)
    assert status.get("failed", 0) == len(truth.failed)
    assert status["succeeded"] == completions
    assert not any((status.get("uncountedTerminatedPods") or {}).values())
    assert not any(one["metadata"].get("finalizers") for one in left)
    assert "active" not in status


def test_killed_after_each_of_its_writes_it_counts_all_the_same() -> None:
    """4.11: no pod counted twice or lost across controller restarts."""

    async def application(world: World) -> None:
        spec = {"completions": 3, "parallelism": 2, "backoffLimit": 100}
        found, truth, left = await _run_job(world, spec, repeat(1), 2, ())
        _require_truth(found, truth, left, 3)

    run(application, seconds_max=SECONDS_MAX)


def test_killed_after_each_of_its_writes_it_completes_each_index_once() -> None:
    """4.12."""

    async def application(world: World) -> None:
        spec = {
            "completions": 4,
            "parallelism": 3,
            "completionMode": "Indexed",
            "backoffLimitPerIndex": 100,
            "backoffLimit": 2**31 - 1,
        }
        found, truth, left = await _run_job(world, spec, repeat(1), 2, ())
        _require_truth(found, truth, left, 4)
        assert found["status"]["completedIndexes"] == "0-3"
        assert sorted(truth.succeeded.values()) == ["0", "1", "2", "3"]

    run(application, seconds_max=SECONDS_MAX)


@settings(deadline=None, max_examples=10)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=15.0),
    lives=st.lists(st.integers(1, 6), max_size=8),
    cuts=cuts(cuts_max=2),
    completions=st.integers(1, 4),
)
def test_whatever_goes_wrong_it_counts_all_the_same(
    topology: kv.Topology,
    faults: kv.Schedule,
    lives: list[int],
    cuts: list[Cut],
    completions: int,
) -> None:
    """4.11: members fail, the network breaks, the controller is killed between two writes."""

    async def application(world: World) -> None:
        spec = {"completions": completions, "parallelism": 2, "backoffLimit": 100}
        found, truth, left = await _run_job(world, spec, iter(lives), 2, cuts)
        _require_truth(found, truth, left, completions)

    run(application, topology=topology, faults=faults, seconds_max=SECONDS_MAX)


def test_a_job_of_another_controller_is_left_alone_also_when_it_has_ended() -> None:
    """4.13: managedBy; who manages it counts its pods, and ends them."""
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    body = job_object(ended, managedBy="example.com/other")
    metadata: dict[str, Any] = {
        "name": "sum-x",
        "namespace": "shop",
        "finalizers": [TRACKING],
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": "sum",
                "controller": True,
            }
        ],
    }

    async def application(world: World) -> None:
        async with world.connect() as store:
            made = await store.create(JOBS, body)
            metadata["ownerReferences"][0]["uid"] = made["metadata"]["uid"]
            pod = await store.create(PODS, {"metadata": metadata, "spec": {"containers": []}})
            context = Context(registry=REGISTRY, recorder=EventRecorder(store, "test"))
            async with world.running(jobs.controller(context)):
                await world.clock.sleep(10)
                assert await store.get(PODS, "shop", "sum-x") == pod

    run(application, topology=kv.Topology(members=1))
