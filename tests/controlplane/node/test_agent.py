"""The agent of a node, in a simulated world: from an object to containers, and back.

Numbers are rows of kube-behaviour.md.
"""

from controlplane.node.runtime.fake import Script
from controlplane.testing import World, run
from tests.controlplane.node.nodes import (
    ADDRESS,
    container,
    events,
    find,
    kinds,
    node,
    pod,
    status,
)
from tests.controlplane.node.waiting import delete, scripted, until_gone, until_phase, until_ready

EXEC = {"exec": {"command": ["check"]}}


def test_pod_runs_and_tells_so() -> None:
    """10.1."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            told = await until_ready(world, user, "p")
            assert told["phase"] == "Running"
            assert told["hostIP"] == ADDRESS
            assert told["podIP"].startswith("10.1.0.")
            assert told["podIPs"] == [{"ip": told["podIP"]}]
            assert told["containerStatuses"][0]["containerID"].startswith("fake://container-")
            kinds_told = {one["type"]: one["status"] for one in told["conditions"]}
            assert kinds_told == dict.fromkeys(
                (
                    "PodReadyToStartContainers",
                    "Initialized",
                    "Ready",
                    "ContainersReady",
                    "PodScheduled",
                ),
                "True",
            )
            await delete(user)
            await until_gone(world, user, here, seconds=5)
            assert await events(user) == [
                ("Normal", "Pulling", 'Pulling image "local/a"'),
                (
                    "Normal",
                    "Pulled",
                    (
                        'Successfully pulled image "local/a" in 0s (0s including waiting). '
                        "Image size: 0 bytes."
                    ),
                ),
                ("Normal", "Created", "Created container: a"),
                ("Normal", "Started", "Started container a"),
                ("Normal", "Killing", "Stopping container a"),
            ]

    run(application)


def test_deaf_container_is_killed_when_its_grace_is_over() -> None:
    """10.6: 30 s."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=None))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            begun = world.clock.now()
            await delete(user)
            await until_gone(world, user, here, seconds=33)
            assert world.clock.now() - begun >= 30

    run(application)


def test_deletion_may_be_hurried() -> None:
    """10.6."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=None))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            await delete(user)
            await world.clock.sleep(2)
            await delete(user, grace=1)
            await until_gone(world, user, here, seconds=4)

    run(application)


def test_pod_that_is_deleted_by_force_ends() -> None:
    """10.6: its object is gone at once, its processes are not forgotten."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            await delete(user, grace=0)
            assert await find(user, "p") is None
            await until_gone(world, user, here, seconds=3)

    run(application)


def test_pre_stop_hook_comes_first_and_may_overrun_by_two_seconds() -> None:
    """10.6: + 2 s if preStop overruns."""

    async def application(world: World) -> None:
        slow = Script(answer_seconds=60, stop_seconds=None)
        slow_node = node(world, script=scripted(a=slow))
        async with slow_node as here, world.connect() as user, here.agent():
            hooked = container("a", lifecycle={"preStop": EXEC})
            await user.create(kinds().pods, pod("p", hooked))
            await until_ready(world, user, "p")
            begun = world.clock.now()
            await delete(user, grace=10)
            await until_gone(world, user, here, seconds=14)
            assert 12 <= world.clock.now() - begun < 13
            assert "FailedPreStopHook" in [one[1] for one in await events(user)]

    run(application)


def test_pods_outlive_their_agent() -> None:
    """… and stay ready: another agent begins with what was told."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            async with here.agent():
                asked = container("a", startupProbe=EXEC, readinessProbe=EXEC)
                await user.create(kinds().pods, pod("p", asked))
                before = await until_ready(world, user, "p", seconds=25)
                await user.create(kinds().pods, pod("q"))
                await until_ready(world, user, "q")
            await user.delete(kinds().pods, "default", "q")
            await world.clock.sleep(5)
            containers = await here.runtime.list_containers()
            assert [one.state for one in containers] == ["running", "running"]
            async with here.agent():

                async def is_q_gone() -> bool:
                    return await find(user, "q") is None

                await world.until(is_q_gone, seconds_max=10)
                assert await status(user, "p") == before
            assert len(await here.runtime.list_containers()) == 1

    run(application)


def test_agent_that_is_killed_before_a_start_leaves_no_restart() -> None:
    """What was made and never ran has not failed."""
    slow = scripted(a=Script(start_seconds=5, run_seconds=1))

    async def application(world: World) -> None:
        async with node(world, script=slow) as here, world.connect() as user:
            async with here.agent():
                await user.create(kinds().pods, pod("p", restartPolicy="Never"))
                await world.clock.sleep(3)
                (made,) = await here.runtime.list_containers()
                assert made.state == "created"
                assert (await status(user, "p"))["containerStatuses"]  # it was told of
            async with here.agent():
                told = await until_phase(world, user, "p", "Succeeded")
                assert told["containerStatuses"][0]["restartCount"] == 0

    run(application)


def test_what_a_pod_left_while_there_was_no_agent_is_removed() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            async with here.agent():
                await user.create(kinds().pods, pod("p"))
                await until_ready(world, user, "p")
            await delete(user, grace=0)
            async with here.agent():
                await until_gone(world, user, here, seconds=5)

    run(application)


def test_pod_of_the_same_name_is_another_one() -> None:
    """StatefulSets rely on it: the old one's processes end, the new one's begin."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=5))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            old = (await until_ready(world, user, "p"))["podIP"]
            await delete(user, grace=0)
            await user.create(kinds().pods, pod("p"))
            new = (await until_ready(world, user, "p"))["podIP"]
            assert new != old
            await world.clock.sleep(10)
            assert len(await here.runtime.list_containers()) == 1

    run(application)


def test_pod_of_another_node_is_left_alone() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p", node="node-2"))
            unbound = pod("q")
            del unbound["spec"]["nodeName"]
            await user.create(kinds().pods, unbound)
            await world.clock.sleep(5)
            assert await here.is_empty()

    run(application)
