"""Whatever fails meanwhile - members of the store, the agent, its way to the store - every pod of
a node ends as it should, and nothing of those that are gone is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.node.nodes import Node, container, find, is_ready, kinds, node, pod

POLL_SECONDS = 5.0
SETTLE_SECONDS_MAX = 900.0  # back-offs of containers that crashed some times, up to 300 s


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one pod. Times are seconds since it was created."""

    policy: str
    fails: int  # attempts of its container that end with 1, before one that ends with 0 or stays
    stays: bool
    deleted_at: float | None
    grace: int | None
    is_deaf: bool


lives = st.builds(
    Life,
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    fails=st.integers(0, 2),
    stays=st.booleans(),
    deleted_at=st.none() | st.integers(0, 60).map(float),
    grace=st.sampled_from([None, 0, 1, 5]),
    is_deaf=st.booleans(),
)
restarts = st.lists(st.integers(0, 60).map(float), max_size=2)


def scripts(all_lives: list[Life]) -> Any:
    def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
        life = all_lives[int(sandbox.name.rpartition("-")[2])]
        stop_seconds = None if life.is_deaf else 0.5
        if config.attempt < life.fails:
            return Script(start_seconds=0.2, run_seconds=1.5, exit_code=1)
        if life.stays:
            return Script(start_seconds=0.2, stop_seconds=stop_seconds)
        return Script(start_seconds=0.2, run_seconds=2.0, stop_seconds=stop_seconds)

    return script


def is_as_it_should_be(life: Life, told: dict[str, Any]) -> bool:
    """Of a pod that nobody deletes."""
    phase = told.get("phase")
    if life.fails and life.policy == "Never":
        return phase == "Failed"
    if life.stays:
        return phase == "Running" and is_ready(told)
    if life.policy == "Always":  # it ends and begins again, for ever
        return phase == "Running" and told["containerStatuses"][0]["restartCount"] > life.fails
    return phase == "Succeeded"


async def be_agent(here: Node, restarts_at: list[float], cut_off: list[Cut]) -> None:
    """An agent that is killed at these times, and begins anew; the last is cut off so."""
    clock = here.world.clock
    for seconds in sorted(restarts_at):
        async with here.agent():
            await clock.sleep(seconds)
    async with here.agent(*cut_off):
        await asyncio.Event().wait()


async def persist(world: World, work: Any) -> None:
    """As a user who tries again."""
    while True:
        try:
            await work()
        except ApiError as error:
            if error.code in (404, 409):
                return
            await world.clock.sleep(1)
        else:
            return


async def until(world: World, condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """As `World.until`, with fewer looks: what is waited for takes minutes."""
    deadline = world.clock.now() + seconds
    while not await condition():
        assert world.clock.now() < deadline, f"it is not so after {seconds:.0f} s"
        await world.clock.sleep(POLL_SECONDS)


async def live(world: World, user: ObjectStore, life: Life, number: int) -> None:
    name = f"p-{number}"
    made = pod(name, container("a"), restartPolicy=life.policy, terminationGracePeriodSeconds=3)
    await persist(world, lambda: user.create(kinds().pods, made))
    if life.deleted_at is None:
        return
    await world.clock.sleep(life.deleted_at)
    options = DeleteOptions(grace_period_seconds=life.grace)
    await persist(world, lambda: user.delete(kinds().pods, "default", name, options=options))


AGAIN = Life(policy="Always", fails=0, stays=False, deleted_at=None, grace=None, is_deaf=False)


@example(  # deleted while a start is broken off: it was broken off twice, and never over
    topology=kv.Topology(members=1, seed=186),
    faults=(),
    all_lives=[AGAIN],
    restarts_at=[],
    cut_off=[],
    lost_at=1.0,
)
@settings(deadline=None, max_examples=15)
@given(
    topology=kv.topologies(members=(1, 3)),
    faults=kv.fault_schedules(),
    all_lives=st.lists(lives, min_size=1, max_size=3),
    restarts_at=restarts,
    cut_off=cuts(within_seconds=30.0),
    lost_at=st.none() | st.integers(0, 60).map(float),
)
def test_every_pod_ends_as_it_should(
    topology: kv.Topology,
    faults: kv.Schedule,
    all_lives: list[Life],
    restarts_at: list[float],
    cut_off: list[Cut],
    lost_at: float | None,
) -> None:
    """10.1, 10.4, 10.6."""

    async def application(world: World) -> None:
        async with AsyncExitStack() as stack:
            here = await stack.enter_async_context(node(world, script=scripts(all_lives)))
            user = await stack.enter_async_context(world.connect())
            agent = asyncio.ensure_future(be_agent(here, restarts_at, cut_off))
            stack.callback(agent.cancel)
            users = [live(world, user, one, number) for number, one in enumerate(all_lives)]
            acting = asyncio.gather(*users)
            if lost_at is not None:
                await world.clock.sleep(lost_at)
                await lose_sandboxes(here)
            await world.heal()
            await acting
            if lost_at is None:  # else nobody knows which attempt was whose
                await until(world, lambda: is_settled(user, all_lives), SETTLE_SECONDS_MAX)
            for number in range(len(all_lives)):
                await persist(world, partial(user.delete, kinds().pods, "default", f"p-{number}"))
            await until(world, here.is_empty, 120)
            assert not agent.done()
            agent.cancel()
            await asyncio.wait([agent])

    run(application, topology=topology, faults=faults, seconds_max=4000)


async def lose_sandboxes(here: Node) -> None:
    for sandbox in await here.runtime.list_sandboxes():
        here.runtime.lose_sandbox(sandbox.id)


async def is_settled(user: ObjectStore, all_lives: list[Life]) -> bool:
    for number, life in enumerate(all_lives):
        found = await find(user, f"p-{number}")
        if life.deleted_at is not None:
            if found is not None:
                return False
        elif found is None or not is_as_it_should_be(life, found.get("status") or {}):
            return False
    return True
