"""The agent of a node, in a simulated world: the hooks of containers.

Numbers are rows of kube-behaviour.md.
"""

from typing import Any

from controlplane.api.types.core_v1 import Probe
from controlplane.node.handlers import Answer, Target
from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import (
    ContainerConfig,
    ExecResult,
    SandboxConfig,
)
from controlplane.objects import ObjectStore
from controlplane.testing import World, run
from tests.controlplane.node.nodes import (
    Node,
    condition,
    container,
    events,
    kinds,
    node,
    pod,
    status,
)
from tests.controlplane.node.waiting import delete, scripted, until_gone, until_ready

EXEC = {"exec": {"command": ["hook"]}}
HOOK_SECONDS = 20.0
SLOW = Script(answer_seconds=HOOK_SECONDS)
GREETED: dict[str, Any] = {"lifecycle": {"postStart": EXEC}}


async def states(user: ObjectStore) -> dict[str, str]:
    """Name of a container -> its state, or the reason why it waits."""
    told = await status(user, "p")
    found = (*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ()))
    return {
        one["name"]: one["state"].get("waiting", {}).get("reason") or next(iter(one["state"]))
        for one in found
    }


async def running(here: Node) -> list[str]:
    return [
        one.config.name for one in await here.runtime.list_containers() if one.state == "running"
    ]


def test_container_starts_when_the_hook_of_the_one_before_is_done() -> None:
    """10.1, 10.2: and until then none of the pod is told to run, or asked."""
    asked: list[str] = []

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        asked.append(target.spec.name)
        return Answer("success")

    async def application(world: World) -> None:
        here_is = node(world, script=scripted(a=SLOW), ask=ask)
        async with here_is as here, world.connect() as user, here.agent():
            probed = container("a", **GREETED, readinessProbe={"tcpSocket": {"port": 1}})
            await user.create(kinds().pods, pod("p", probed, "b"))
            await world.clock.sleep(HOOK_SECONDS - 2)
            assert await running(here) == ["a"]
            assert await states(user) == {"a": "ContainerCreating", "b": "ContainerCreating"}
            told = await status(user, "p")
            assert told["phase"] == "Pending"
            assert condition(told, "Ready")["status"] == "False"
            assert not told["containerStatuses"][0].get("started")
            assert not asked
            await until_ready(world, user, "p", seconds=15)
            assert await states(user) == {"a": "running", "b": "running"}

    run(application)


def test_init_container_waits_for_the_hook_of_a_sidecar() -> None:
    """10.3."""

    async def application(world: World) -> None:
        script = scripted(s=SLOW, i=Script(run_seconds=1))
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            inits = [container("s", restartPolicy="Always", **GREETED), container("i")]
            await user.create(kinds().pods, pod("p", initContainers=inits))
            await world.clock.sleep(HOOK_SECONDS - 2)
            assert await running(here) == ["s"]
            assert set((await states(user)).values()) == {"PodInitializing"}
            assert condition(await status(user, "p"), "Initialized")["status"] == "False"
            await until_ready(world, user, "p", seconds=10)

    run(application)


def test_images_of_a_pod_are_pulled_one_after_another() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            pulls: list[str] = []
            pull = here.runtime.pull_image

            async def slow_pull(name: str) -> Any:
                pulls.append(name)
                await world.clock.sleep(5)
                return await pull(name)

            here.runtime.pull_image = slow_pull  # type: ignore[method-assign]
            await user.create(kinds().pods, pod("p", "a", "b"))
            await world.clock.sleep(4)
            assert pulls == ["local/a"]
            await until_ready(world, user, "p")
            assert pulls == ["local/a", "local/b"]

    run(application)


def test_container_whose_hook_fails_is_killed_and_the_next_one_starts() -> None:
    """10.4: with its preStop hook, as any that is killed."""
    hooks: list[str] = []

    def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
        def answer(command: tuple[str, ...]) -> ExecResult:
            hooks.append(command[0])
            return ExecResult(int(command == ("hook",)), b"secret", b"")

        return Script(answer=answer)

    async def application(world: World) -> None:
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            farewell = {"exec": {"command": ["farewell"]}}
            lifecycle = {"postStart": EXEC, "preStop": farewell}
            await user.create(kinds().pods, pod("p", container("a", lifecycle=lifecycle), "b"))

            async def is_told() -> bool:
                found = await states(user)
                return found == {"a": "PostStartHookError", "b": "running"}

            await world.until(is_told, seconds_max=5)
            assert hooks[:2] == ["hook", "farewell"]
            said = await events(user)
            assert ("Warning", "FailedPostStartHook", "PostStartHook failed") in said
            assert ("Normal", "Killing", "FailedPostStartHook") in said

    run(application)


def test_pod_that_is_deleted_while_a_hook_runs_has_its_grace() -> None:
    """10.6."""

    async def application(world: World) -> None:
        slow = Script(answer_seconds=HOOK_SECONDS, stop_seconds=3)
        script = scripted(a=slow)
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p", container("a", **GREETED), "b"))
            await world.clock.sleep(5)
            await delete(user)
            begun = world.clock.now()
            await until_gone(world, user, here, seconds=5)
            assert world.clock.now() - begun >= 3

    run(application)


def test_hooks_of_sidecars_run_when_the_end_begins() -> None:
    """10.3, 10.6: only their signals wait for the containers, all within one grace."""
    moments: dict[str, float] = {}

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            def answer(command: tuple[str, ...]) -> ExecResult:
                moments[f"hook of {config.name}"] = world.clock.now()
                return ExecResult(0, b"", b"")

            is_main = config.name == "a"
            return Script(answer=answer, stop_seconds=10.0 if is_main else 1.0)

        hooked = {"lifecycle": {"preStop": EXEC}}
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            inits = [container(one, restartPolicy="Always", **hooked) for one in ("s", "t")]
            await user.create(
                kinds().pods, pod("p", container("a", **hooked), initContainers=inits)
            )
            await until_ready(world, user, "p")
            stop = here.runtime.stop_container

            async def timed_stop(container_id: str, grace_seconds: float) -> None:
                named = {one.id: one.config.name for one in await here.runtime.list_containers()}
                moments[f"signal to {named[container_id]}"] = world.clock.now()
                await stop(container_id, grace_seconds)

            here.runtime.stop_container = timed_stop  # type: ignore[method-assign]
            begun = world.clock.now()
            await delete(user)
            await until_gone(world, user, here, seconds=15)
            seconds = {one: round(at - begun) for one, at in moments.items()}
            assert seconds == {
                "hook of a": 0,
                "hook of s": 0,
                "hook of t": 0,
                "signal to a": 0,
                "signal to t": 10,
                "signal to s": 11,
            }
            said = [one for one in await events(user) if one[1] == "Killing"]
            assert len(said) == 3

    run(application)


def test_hook_of_a_sidecar_that_hangs_takes_no_more_than_the_grace() -> None:
    """10.6: a deletion that is repeated with less of it shortens the hook, too."""

    async def application(world: World) -> None:
        script = scripted(s=Script(answer_seconds=1_000), a=Script(stop_seconds=None))
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            inits = [container("s", restartPolicy="Always", lifecycle={"preStop": EXEC})]
            await user.create(kinds().pods, pod("p", initContainers=inits))
            await until_ready(world, user, "p")
            begun = world.clock.now()
            await delete(user, grace=30)
            await world.clock.sleep(2)
            await delete(user, grace=5)
            await until_gone(world, user, here, seconds=12)
            assert 7 <= world.clock.now() - begun < 11
            assert len([one for one in await events(user) if one[1] == "Killing"]) == 2

    run(application)


def test_a_hook_of_a_sandbox_that_is_lost_holds_nobody_up() -> None:
    """10.2: what was to start in it starts in the next one, and nothing is told as failed."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            endless = {"lifecycle": {"postStart": {"sleep": {"seconds": 500}}}}
            await user.create(kinds().pods, pod("p", "b", container("a", **endless), "c"))
            await world.clock.sleep(5)
            (sandbox,) = await here.runtime.list_sandboxes()
            assert await running(here) == ["b", "a"]
            here.runtime.lose_sandbox(sandbox.id)
            await world.clock.sleep(30)
            assert sorted(await running(here)) == ["a", "b"]
            assert not [one for one in await events(user) if one[1] == "Failed"]

    run(application)


def test_a_pre_stop_hook_runs_once_when_the_pod_is_deleted_meanwhile() -> None:
    """10.6: its container was ending already, as its postStart hook had failed."""
    said: list[tuple[str, ...]] = []

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            def answer(command: tuple[str, ...]) -> ExecResult:
                said.append(command)
                return ExecResult(1 if command == ("hook",) else 0, b"", b"")

            return Script(answer=answer, stop_seconds=8)

        async with node(world, script=script) as here, world.connect() as user, here.agent():
            both = {"postStart": EXEC, "preStop": {"exec": {"command": ["bye"]}}}
            await user.create(kinds().pods, pod("p", container("a", lifecycle=both)))
            await world.clock.sleep(4)
            assert said == [("hook",), ("bye",)]
            await delete(user)
            await until_gone(world, user, here, seconds=60)
            assert said == [("hook",), ("bye",)]
            assert len([one for one in await events(user) if one[1] == "Killing"]) == 1

    run(application)
